/*
 * A certificate's place is named after the first name of its site. When a file says
 * the same in another order, or a site's names become those of two, the certificate
 * that was good before is good still: it goes on in the new place, as it is, with
 * what is known about it. The old place stays as it was; nothing renews it.
 */
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "acme/client/standing.h"
#include "acme/store/record.h"
#include "acme/store/store.h"
#include "acme/wire.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

/* All names that are not held back there, and not none. */
static bool is_heritage(struct store *s, const char *webspace, const char *from,
			const struct acme_want *want, time_t now)
{
	const struct record *r = store_record(s, webspace, from);
	const char *active[WIRE_NAMES_MAX];
	struct certificate live;
	size_t n = want->n_names <= WIRE_NAMES_MAX
			   ? record_active(r, want->names, want->n_names, now, active)
			   : 0;

	return n > 0 && store_read(s, webspace, from, active, n, &live, NULL) == 0 && live.covers &&
	       now >= live.not_before && now < live.not_after &&
	       standing_is_of_ca(r, &live, want->directory, want->key);
}

static bool is_good(struct store *s, const char *webspace, const struct acme_want *want, time_t now)
{
	struct acme_standing standing;

	acme_standing(s, webspace, want, now, &standing);
	return standing.good;
}

/* The place of the one to be inherited. */
static bool find(struct store *s, const char *webspace, const struct acme_want *want, time_t now,
		 struct place *ret)
{
	autodir DIR *places = path_list(s->certs, webspace, NULL);
	const struct dirent *entry;

	if (!places || is_good(s, webspace, want, now))
		return false;
	while ((entry = readdir(places)))
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, want->site) != 0 &&
		    store_place(webspace, entry->d_name, ret, NULL) == 0 &&
		    is_heritage(s, webspace, entry->d_name, want, now))
			return true;
	return false;
}

bool acme_may_inherit(struct store *s, const char *webspace, const struct acme_want *want,
		      time_t now)
{
	struct place from;

	return find(s, webspace, want, now, &from);
}

/* The record is on disk first: a certificate that no record knows would be ordered once more. */
int acme_inherit(struct store *s, const char *webspace, const struct acme_want *want, time_t now,
		 struct err *e)
{
	struct place from, to;
	int r = store_place(webspace, want->site, &to, e);

	if (r < 0 || !find(s, webspace, want, now, &from))
		return r;

	autofd int dir = store_site_dir(s, &to, e);

	if (dir < 0)
		return dir;
	record_inherit(store_record_of(s, &to), store_record_of(s, &from));
	r = record_write(dir, store_record_of(s, &to), e);
	if (r >= 0)
		r = store_link(s, &from, &to, e);
	return r < 0 ? r : 1;
}
