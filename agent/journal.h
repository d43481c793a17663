/* Reports in the words of the journal: which level, which MESSAGE_ID, which sentence. */
#pragma once

#include "reconcile/reconcile.h"

/* Logs the report; the kinds that are no news for a person are not logged. revision may be NULL. */
void journal_report(const struct report *r, const char *revision);
