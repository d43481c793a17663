/* What the host's file does not say but the host does: who the web user is, which ids are taken. */
#include "agent/model/host.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/model/load.h"
#include "agent/model/names.h"

void host_free(struct host *h)
{
	if (!h)
		return;
	arena_clear(&h->arena);
	free(h);
}

static int resolve_web_user(struct host *h, struct err *e)
{
	struct passwd *p;

	errno = 0;
	p = getpwnam(h->web_user);
	if (!p && errno)
		return err_sys(e, "web_user %s", h->web_user);
	if (!p)
		return err_set(e, ENOENT, "web_user %s: there is no such user", h->web_user);
	h->web_uid = p->pw_uid;
	h->web_gid = p->pw_gid;
	return 0;
}

/* "alice:100000:65536" a line (subuid(5)). A file that is absent or odd takes nothing. */
static int check_subordinate(const struct host *h, const char *file, struct err *e)
{
	FILE *f = fopen(file, "re");
	char line[256], owner[64];
	unsigned long first, count;
	int r = 0;

	while (f && r == 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[^:]:%lu:%lu", owner, &first, &count) != 3 || count == 0)
			continue;
		if (first <= h->accounts.uid_max && first + count - 1 >= h->accounts.uid_min)
			r = err_set(
				e, EINVAL,
				"accounts.uid_min to uid_max, %u to %u, meets the ids of %s in %s",
				h->accounts.uid_min, h->accounts.uid_max, owner, file);
	}
	if (f)
		fclose(f);
	return r;
}

int host_resolve(struct host *h, struct err *e)
{
	int r = resolve_web_user(h, e);

	if (r == 0 && h->accounts.create)
		r = check_subordinate(h, "/etc/subuid", e);
	if (r == 0 && h->accounts.create)
		r = check_subordinate(h, "/etc/subgid", e);
	return r;
}

bool host_has_placed(const struct host *h, const struct webspace *w)
{
	return name_is_placed(&w->hosts, h->name);
}
