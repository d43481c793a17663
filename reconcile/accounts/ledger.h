/*
 * Which id each name was ever given: state_dir/ids, a line "NAME UID" for each,
 * only ever appended to. An id is never given to a second name, since files of
 * the first may still bear it; a name that returns gets its own again. A home
 * directory counts as a line too, by its group: so a fresh host over an old
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

/*
 * A free id for the name, which is then taken in the ledger's eyes. home_root may be -1. Reads
 * the file and the directory at first use. -ENOSPC: the range is used up.
 */
int ledger_choose(struct ledger *l, struct accounts *a, int home_root, const char *name,
		  id_t *ret_id, struct err *e);
/* A name got an id that was not chosen here (the webspace's file fixes it). */
int ledger_note(struct ledger *l, int home_root, const char *name, id_t id, struct err *e);

/* Writes what was chosen or noted since, synced: before the accounts are made. */
int ledger_write(struct ledger *l, struct err *e);
