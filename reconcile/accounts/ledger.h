/*
 * Which ids each name was ever given: state_dir/ids, a line "NAME UID" (or "NAME UID GID", where
 * they differ) for each, only ever appended to; a name's last line counts. An id is never given
 * to a second name, since files of the first may still bear it; a name that returns gets its own
 * again. A home directory counts as a line too, by its group: so a fresh host over an old
 * volume finds its ids again.
 */
#pragma once

#include <sys/types.h>

#include "agent/base/err.h"
#include "agent/model/webspace.h"
#include "reconcile/accounts/accounts.h"

struct ledger;

/* Ids are chosen in min … max (at most the first million of them). */
struct ledger *ledger_new(const char *state_dir, unsigned min, unsigned max);
void ledger_free(struct ledger *l);

struct ledger_ids {
	uid_t uid;
	gid_t gid;
};

/*
 * home_root may be -1. The first of these calls reads the file and the directory.
 * 1: the name has these ids; 0: it was never given any.
 */
int ledger_get(struct ledger *l, int home_root, const char *name, struct ledger_ids *ret,
	       struct err *e);
/* A free id that no name ever had, and that is not chosen again. -ENOSPC: the range is used up. */
int ledger_choose(struct ledger *l, struct accounts *a, int home_root, id_t *ret_id, struct err *e);
/* The name has these ids from now on. */
int ledger_note(struct ledger *l, int home_root, const char *name, struct ledger_ids ids,
		struct err *e);

/* Writes what was noted since, synced: before the accounts are made. */
int ledger_write(struct ledger *l, struct err *e);
