/*
 * How a certificate that a CA shall issue stands, for those who serve it and
 * those who look: from the files alone, so that it needs no running client.
 */
#include "acme/client/standing.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acme/client/failure.h"
#include "acme/store/record.h"
#include "acme/store/store.h"
#include "acme/wire.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

bool standing_is_of_ca(const struct record *r, const struct certificate *live,
		       const char *directory, enum key_type key)
{
	return live->key_matches && !live->internal && r->content == live->content && r->ca &&
	       strcmp(r->ca, directory) == 0 && r->key && strcmp(r->key, key_type_words[key]) == 0;
}

/*
 * Also when it is out of date: what stood in for it would be trusted no more, and if it is our clock
 * that is wrong a good certificate were lost.
 */
static bool is_usable(const struct certificate *live)
{
	return live->key_matches && !live->internal && live->covers_some;
}

static bool is_in_date(const struct certificate *live, time_t now)
{
	return now >= live->not_before && now < live->not_after;
}

static void why_not(const struct record *r, struct acme_standing *ret)
{
	ret->reason = failure_word(r->reason);
	ret->text = r->problem ? r->problem : "the CA has not issued it yet";
}

static void why_out_of_date(const struct record *r, struct acme_standing *ret)
{
	if (r->reason)
		return;
	ret->reason = "OutOfDate";
	ret->text = "its time is over, or has not come, by this host's clock; the CA has not "
		    "issued another yet";
}

void acme_standing(struct store *s, const char *webspace, const struct acme_want *want, time_t now,
		   struct acme_standing *ret)
{
	const struct record *r = store_record(s, webspace, want->site);
	const char *active[WIRE_NAMES_MAX];
	struct certificate live;
	size_t n = want->n_names < WIRE_NAMES_MAX ? want->n_names : WIRE_NAMES_MAX;
	bool held;

	*ret = (struct acme_standing){ 0 };
	n = record_active(r, want->names, n, now, active);
	held = n < want->n_names;
	why_not(r, ret);
	if (store_read(s, webspace, want->site, n ? active : want->names, n ? n : want->n_names,
		       &live, NULL) < 0 ||
	    !is_usable(&live) || store_current(s, webspace, want->site, ret->dir) < 0)
		return;
	ret->usable = true;
	ret->ends = live.not_after;
	if (!is_in_date(&live, now)) {
		why_out_of_date(r, ret);
		return;
	}
	ret->good = live.covers && standing_is_of_ca(r, &live, want->directory, want->key);
	ret->whole = ret->good && !held;
}

int acme_stand_in(struct store *s, const char *webspace, const char *const *names, size_t n,
		  time_t now, struct acme_standing *ret)
{
	autodir DIR *places = path_list(s->certs, webspace, NULL);
	const struct dirent *place;
	int r = -ENOENT;

	while (r < 0 && places && (place = readdir(places))) {
		struct acme_standing found = { .usable = true };
		struct certificate live;
		struct place at;

		if (place->d_name[0] != '.' &&
		    store_place(webspace, place->d_name, &at, NULL) == 0 &&
		    !store_excludes(s, &at, names, n) &&
		    store_read(s, webspace, place->d_name, names, n, &live, NULL) == 0 &&
		    is_usable(&live) && is_in_date(&live, now) && live.covers)
			r = store_current(s, webspace, place->d_name, found.dir);
		if (r == 0) {
			found.ends = live.not_after;
			*ret = found;
		}
	}
	return r;
}
