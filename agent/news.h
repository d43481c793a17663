/* What the journal tells of files and of a webspace's conditions: with the drift that is told item by item, its diary. */
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

/*
 * What was told of a condition to be failing, as status keeps it over restarts until it is well
 * again: a text that is the caller's, or NULL. before: the condition as it was written last, or NULL.
 */
char *news_failing(enum condition_type type, const struct condition *c, const struct json *before);

/* Logs what a look has found out about a file: it is new, asks for something else, has gone, is back. */
void news_file(const struct entry *entry, unsigned grace_s, const char *revision);

/* Removals that one look has found to be held: one line for all of them. */
struct news_held {
	struct table names;                     /* a set */
	size_t n_accounts;                      /* that were held when it was logged last */
	uint64_t passed_over, passed_over_seen; /* hashes of the files named last, and seen last */
};
void news_add_held(struct news_held *held, const char *name);
/* Logs, if there are any, and forgets them. */
void news_held(struct news_held *held);

/* Logs once which files of the directory are not webspaces', if they have been there for two looks. */
void news_passed_over(struct news_held *held, const char *dir, const char *files);
/* Logs that so many lost accounts are held, if more are than before. */
void news_held_accounts(struct news_held *held, size_t n);

/* Logs that the host's file is another than the known one, which it then is. */
void news_host_file(const char *file, struct stat *known);
/* Logs why the directory of webspaces cannot be read; NULL: it can again. */
void news_directory(const char *problem);
/* Says which listeners are left out on this host. */
void news_left_out(const struct host *host);
/* Warns where the host's file holds what looks like a secret, and others may read it. */
void news_host_secret(const struct host *host);
/* Warns where the kernel lets users make hard links to files of others. */
void news_hardlinks(void);

/* Logs that what was in force earlier is so again, or no longer; *told: as of which generation, as was told last. */
void news_rollback(const struct catalog *c, uint64_t *told);
