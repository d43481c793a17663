/* What of a webspace's conditions goes to the journal. */
#pragma once

#include "agent/base/json.h"
#include "reconcile/reconcile.h"

/*
 * Logs what the conditions tell that was not told before. before: the webspace's status as it
 * was written last, by this agent or an earlier one; NULL: none. fingerprint: of the present
 * desired state, as it is written.
 */
void news_tell(const struct subject *s, const struct json *before, const char *fingerprint,
	       const char *revision);
