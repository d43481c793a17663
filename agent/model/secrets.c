/* See secrets.h. */
#include "agent/model/secrets.h"

#include <string.h>

#include "agent/base/own.h"

/* Parts of the names under which applications look for their secrets. */
static const char *const telling[] = {
	"PASS", "_PW", ".PW", "SECRET", "TOKEN", "KEY", "DSN", "CREDENTIAL", "DATABASE_URL", "SALT",
};

static bool is_secret(const struct text_pair *p)
{
	for (size_t i = 0; i < ELEMENTS(telling) && *p->value; i++)
		if (strcasestr(p->key, telling[i]))
			return true;
	return false;
}

static const char *first_secret(const struct pair_list *list, const char *key, struct arena *a)
{
	for (size_t i = 0; i < list->count; i++)
		if (is_secret(&list->items[i]))
			return arena_printf(a, "%s.%s", key, list->items[i].key);
	return NULL;
}

const char *secrets_of_webspace(const struct webspace *w, struct arena *a)
{
	const char *found = first_secret(&w->php.env, "php.env", a);

	if (!found)
		found = first_secret(&w->php.values, "php.values", a);
	return found ? found : first_secret(&w->php.user_values, "php.user_values", a);
}

const char *secrets_of_host(const struct host *host, struct arena *a)
{
	const char *found = secrets_of_webspace(host->defaults, a);

	if (host->acme.eab.hmac_key && *host->acme.eab.hmac_key)
		return "acme.eab.hmac_key";
	return found ? arena_printf(a, "defaults.%s", found) : NULL;
}

bool secrets_are_open(const struct stat *st)
{
	return st->st_uid == 0 && (st->st_mode & 0004);
}

const char *secrets_warning(const char *key, const struct stat *st, struct arena *a)
{
	return arena_printf(
		a,
		"%s looks like a secret, and the mode of the file, %04o, lets every user "
		"of this machine read it: chmod 0640",
		key, (unsigned)st->st_mode & 07777);
}
