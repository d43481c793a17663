/* What of a webspace's conditions goes to the journal. */
#pragma once

#include <sys/stat.h>

#include "agent/base/json.h"
#include "agent/model/catalog.h"
#include "agent/model/webspace.h"
#include "reconcile/reconcile.h"

/*
 * Logs what the conditions tell that was not told before. before: the webspace's status as it
 * was written last, by this agent or an earlier one; NULL: none. fingerprint: of the present
 * desired state, as it is written.
 */
void news_tell(const struct subject *s, const struct json *before, const char *fingerprint,
	       const char *revision);

/* Removals that one look has found to be held: one line for all of them. */
struct news_held {
	size_t count;
	char first[WEBSPACE_NAME_MAX + 1];
};
void news_add_held(struct news_held *held, const char *name);
void news_held(struct news_held *held); /* logs, if there are any, and forgets them */

/* Logs that the host's file is another than the known one, which it then is. */
void news_host_file(const char *file, struct stat *known);

/* Logs that what was in force earlier is so again, or no longer; *told: as of which generation, as was told last. */
void news_rollback(const struct catalog *c, uint64_t *told);
