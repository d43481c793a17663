/* Reports in the words of the journal: which level, which MESSAGE_ID, which sentence. */
#pragma once

#include "agent/base/loop.h"
#include "reconcile/reconcile.h"

/*
 * While it is open, what was only counted (base/tally.h) is summed up some seconds later, and at
 * the end. One at a time.
 */
struct journal *journal_open(struct loop *loop);
void journal_close(struct journal *j);

/* Logs the report; the kinds that are no news for a person are not logged. revision may be NULL. */
void journal_report(const struct report *r, const char *revision);
