/*
 * Watched are only directories that root owns: the home root, NAME, NAME/chroot
 * and NAME/chroot/tmp. The attributes of the user's directories come as events of
 * those parents; what a user does inside his own makes no event at all. To
 * chroot/tmp he may write, beside what we have in it: that is no hint.
 *
 * But it is an event. And whoever may write to a directory may set its times, and that is an event of
 * its parent. So each home has a rate: an event and a hint cost time, of which it
 * may owe some seconds. A home that owes more is not watched until it has paid,
 * and is then looked at as a whole. For the same reason lost events lead to a look
 * at everybody only now and then.
 */
#include "watchers/homes.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "watchers/inotify.h"

#define ENTRIES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define WATCHED (ENTRIES | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
#define ENDED   (IN_IGNORED | IN_UNMOUNT)

/* In the long run a home makes ten hints a second at most; at once, a hundred. */
#define EVENT_COST_USEC (10 * USEC_PER_MSEC)
#define HINT_COST_USEC  (100 * USEC_PER_MSEC)
#define DEBT_MAX_USEC   (10 * USEC_PER_SEC)
#define DEBT_CAP_USEC   (20 * USEC_PER_SEC)
#define ANY_GAP_USEC    (10 * USEC_PER_SEC)
#define UNMUTED_USEC    (8 * USEC_PER_SEC) /* what it still owes when it is watched again */

static const struct {
	const char *path;  /* below the home */
	const char *child; /* the entry that the next level watches */
} levels[HOME_LEVELS] = {
	{ "", "chroot" },
	{ "/chroot", "tmp" },
	{ "/chroot/tmp", NULL },
};
#define LEVEL_TMP 2

/* What we have in chroot/tmp; all else there is the user's. */
static const char *const in_tmp[] = { "misc", "upload", "wsdl", "session" };

/* From watch descriptor to home; open addressing, wd 0 is a free place (inotify starts at 1). */
struct home_watch {
	int wd;
	unsigned level;
	struct home *home;
};

static size_t place_of(const struct homes *h, int wd)
{
	size_t i = ((uint32_t)wd * UINT32_C(2654435769)) & (h->room - 1);

	while (h->watches[i].wd && h->watches[i].wd != wd)
		i = (i + 1) & (h->room - 1);
	return i;
}

static struct home_watch *find(const struct homes *h, int wd)
{
	struct home_watch *w = h->room && wd > 0 ? &h->watches[place_of(h, wd)] : NULL;

	return w && w->wd ? w : NULL;
}

static void grow(struct homes *h)
{
	struct homes old = *h;

	h->room = old.room ? old.room * 2 : 64;
	h->watches = memory_new(h->room * sizeof *h->watches);
	for (size_t i = 0; i < old.room; i++)
		if (old.watches[i].wd)
			h->watches[place_of(h, old.watches[i].wd)] = old.watches[i];
	free(old.watches);
}

static void remember(struct homes *h, int wd, struct home *home, unsigned level)
{
	if ((h->n_watches + 1) * 4 > h->room * 3)
		grow(h);

	struct home_watch *w = &h->watches[place_of(h, wd)];

	if (!w->wd)
		h->n_watches++;
	*w = (struct home_watch){ .wd = wd, .level = level, .home = home };
}

/* Takes the entry out and puts those behind it where they are found again. */
static void unlearn(struct homes *h, int wd)
{
	struct home_watch *w = find(h, wd);

	if (!w)
		return;
	w->wd = 0;
	h->n_watches--;
	for (size_t i = (size_t)(w - h->watches + 1) & (h->room - 1); h->watches[i].wd;
	     i = (i + 1) & (h->room - 1)) {
		struct home_watch moved = h->watches[i];

		h->watches[i].wd = 0;
		h->watches[place_of(h, moved.wd)] = moved;
	}
}

void homes_open(struct homes *h, const char *root)
{
	*h = (struct homes){ .root = root, .root_wd = -1, .due_usec = UINT64_MAX };
}

static void end_watches(struct homes *h, struct home *home)
{
	for (unsigned i = 0; i < HOME_LEVELS; i++) {
		if (home->wd[i] < 0)
			continue;
		unlearn(h, home->wd[i]);
		inotify_forget(home->wd[i]);
		home->wd[i] = -1;
	}
}

void homes_close(struct homes *h)
{
	table_free_values(&h->homes);
	free(h->watches);
	inotify_unshare(h->root_wd);
	*h = (struct homes){ .root_wd = -1 };
}

static int watch_level(struct homes *h, struct home *home, unsigned level, struct err *e)
{
	char path[PATH_MAX];
	int old = home->wd[level];

	if (snprintf(path, sizeof path, "%s/%s%s", h->root, home->name, levels[level].path) >=
	    (int)sizeof path)
		return err_set(e, ENAMETOOLONG, "watch %s: path too long", home->name);

	int wd = inotify_watch(path, WATCHED, old, e);

	if (wd == old && wd >= 0)
		return 0;
	if (old >= 0)
		unlearn(h, old);
	home->wd[level] = wd < 0 ? -1 : wd;
	if (wd >= 0)
		remember(h, wd, home, level);
	/* Not there, or no directory: the pass sees to it, and its parent is watched. */
	return wd == -ENOSPC || wd == -ENOMEM ? wd : 0;
}

static int place(struct homes *h, struct home *home, struct err *e)
{
	if (home->unmute_usec)
		return 0;
	if (h->full)
		return 1;
	if (h->root_wd < 0) {
		int wd = inotify_share(h->root, WATCHED, e);

		h->root_wd = wd < 0 ? -1 : wd;
	}
	for (unsigned i = 0; i < HOME_LEVELS; i++) {
		int r = watch_level(h, home, i, e);

		if (r == -ENOSPC) {
			h->full = true;
			return err_set(
				e, ENOSPC,
				"watch %s/%s: no watches left (fs.inotify.max_user_watches), "
				"drift there waits for the full pass",
				h->root, home->name);
		}
		if (r < 0)
			return r;
	}
	home->misplaced = false;
	return 0;
}

int homes_watch(struct homes *h, const char *name, struct err *e)
{
	struct home *home = table_get(&h->homes, name);

	if (!home) {
		home = memory_new(sizeof *home);
		for (unsigned i = 0; i < HOME_LEVELS; i++)
			home->wd[i] = -1;
		table_set(&h->homes, name, home);
		/* The newest entry's key: the name is kept once. */
		home->name = h->homes.entries[h->homes.n_entries - 1].key;
	}
	return place(h, home, e);
}

static void unlist(struct homes *h, const struct home *home)
{
	struct home **at = &h->changed;

	while (*at && *at != home)
		at = &(*at)->next;
	if (*at)
		*at = home->next;
}

void homes_forget(struct homes *h, const char *name)
{
	struct home *home = table_get(&h->homes, name);

	if (!home)
		return;
	if (home->listed)
		unlist(h, home);
	end_watches(h, home);
	table_take(&h->homes, name);
	free(home);
	h->full = false;
}

/* Its events are counted in the end. */
static void list(struct homes *h, struct home *home)
{
	if (home->listed)
		return;
	home->listed = true;
	home->next = h->changed;
	h->changed = home;
}

void homes_mark(struct homes *h, struct home *home)
{
	home->hinted = true;
	list(h, home);
}

static bool is_users_own(unsigned level, const char *name)
{
	if (level != LEVEL_TMP || !*name)
		return false;
	for (size_t i = 0; i < ELEMENTS(in_tmp); i++)
		if (strcmp(in_tmp[i], name) == 0)
			return false;
	return true;
}

static void root_event(struct homes *h, uint32_t mask, const char *name)
{
	struct home *home = *name ? table_get(&h->homes, name) : NULL;

	if (home) {
		home->misplaced |= (mask & ENTRIES) != 0;
		homes_mark(h, home);
		return;
	}
	if (mask & (ENDED | IN_DELETE_SELF | IN_MOVE_SELF)) {
		inotify_unshare(h->root_wd);
		h->root_wd = -1;
		homes_lost(h);
	}
	if (!*name)
		h->any = true;
}

void homes_event(struct homes *h, int wd, uint32_t mask, const char *name)
{
	struct home_watch *w = find(h, wd);

	if (wd == h->root_wd && wd >= 0)
		root_event(h, mask, name);
	if (!w)
		return;

	struct home *home = w->home;
	const char *child = levels[w->level].child;

	home->n_events++;
	if (is_users_own(w->level, name)) {
		list(h, home);
		return;
	}
	homes_mark(h, home);
	if (mask & (IN_DELETE_SELF | IN_MOVE_SELF))
		home->misplaced = true;
	if (mask & ENTRIES && child && strcmp(name, child) == 0)
		home->misplaced = true;
	if (mask & ENDED) {
		home->wd[w->level] = -1;
		home->misplaced = true;
		unlearn(h, wd);
	}
}

void homes_lost(struct homes *h)
{
	struct table_entry *it;

	h->any = true;
	table_each (&h->homes, it)
		((struct home *)it->value)->misplaced = true;
}

/* After an overflow every home is followed, listed or not. */
static void follow_all(struct homes *h)
{
	struct table_entry *it;

	table_each (&h->homes, it) {
		struct home *home = it->value;

		if (home->misplaced)
			(void)place(h, home, NULL);
	}
}

/* Counts what its events and the hint cost. */
static bool owes_too_much(struct home *home, uint64_t now)
{
	uint64_t debt = home->paid_usec > now ? home->paid_usec - now : 0;

	debt += home->n_events * EVENT_COST_USEC + (home->hinted ? HINT_COST_USEC : 0);
	if (debt > DEBT_CAP_USEC)
		debt = DEBT_CAP_USEC;
	home->n_events = 0;
	home->paid_usec = now + debt;
	return debt > DEBT_MAX_USEC;
}

static void due_at(struct homes *h, uint64_t usec)
{
	if (usec < h->due_usec)
		h->due_usec = usec;
}

static void mute(struct homes *h, struct home *home)
{
	end_watches(h, home);
	home->unmute_usec = home->paid_usec - UNMUTED_USEC;
	due_at(h, home->unmute_usec);
}

static void unmute(struct homes *h, struct home *home)
{
	home->unmute_usec = 0;
	home->misplaced = true;
	homes_mark(h, home);
}

void homes_due(struct homes *h, uint64_t now_usec)
{
	struct table_entry *it;

	h->due_usec = UINT64_MAX;
	table_each (&h->homes, it) {
		struct home *home = it->value;

		if (home->unmute_usec > now_usec)
			due_at(h, home->unmute_usec);
		else if (home->unmute_usec)
			unmute(h, home);
	}
}

static bool may_tell_any(struct homes *h, uint64_t now)
{
	if (h->any && now < h->any_usec)
		due_at(h, h->any_usec);
	if (!h->any || now < h->any_usec)
		return false;
	h->any = false;
	h->any_usec = now + ANY_GAP_USEC;
	return true;
}

/* False: it is muted, or has just been. */
static bool may_hint(struct homes *h, struct home *home, uint64_t now)
{
	if (!home->unmute_usec && owes_too_much(home, now))
		mute(h, home);
	return !home->unmute_usec;
}

void homes_tell(struct homes *h, uint64_t now_usec, homes_fn *fn, void *data)
{
	bool any = may_tell_any(h, now_usec);

	if (any) {
		follow_all(h);
		fn(NULL, data);
	}
	/* One at a time: whoever is told may forget any of them. */
	while (h->changed) {
		struct home *home = h->changed;
		bool may = may_hint(h, home, now_usec), hinted = home->hinted;

		h->changed = home->next;
		home->listed = home->hinted = false;
		if (!may || !hinted)
			continue;
		if (home->misplaced)
			(void)place(h, home, NULL);
		if (!any)
			fn(home->name, data);
	}
}
