/*
 * The journal where systemd made it our stderr, else stderr itself. The only
 * file that knows sd-journal. Library code never logs; the pass and the agent do, at their
 * edge, once.
 *
 * Every entry can carry MESSAGE_ID (see ids.h), WEBSPACE, RESOURCE, CHANGE,
 * OLD, NEW, REVISION and UNIT. On stderr a line is "webspaces: NAME: message".
 *
 * What is alike and comes in masses is told one by one only so far, then summed up in an entry
 * that has a WEBSPACE field for each one concerned (tally.h): nothing is lost, and `journalctl
 * WEBSPACE=NAME` finds the sum as well.
 */
#pragma once

#include <stdbool.h>
#include <syslog.h>

#include "agent/base/table.h"

struct log_entry {
	int level;            /* LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG */
	const char *id;       /* a MESSAGE_ID of ids.h, or NULL */
	const char *webspace; /* these may all be NULL */
	const char *resource;
	const char *change; /* "intent" or "drift" */
	const char *old_value;
	const char *new_value;
	const char *revision;
	const char *unit;
	const struct table *webspaces; /* a set: more of WEBSPACE */
};

/* Finds out where to write. debug: LOG_DEBUG entries are written too. */
void log_open(bool debug);

/* fn is called when something is counted rather than told, the first time since a sum: then log_sum is due soon. */
void log_on_counted(void (*fn)(void *data), void *data);
/* Sums up what was counted. Nothing happens if nothing was. */
void log_sum(void);
/* … and forgets how much was told: the end of an agent. */
void log_close(void);

/* Entries so far, those that were only counted included. */
unsigned long log_count(void);

void log_entry(const struct log_entry *entry, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_plain(priority, ...) log_entry(&(struct log_entry){ .level = (priority) }, __VA_ARGS__)
#define log_error(...)           log_plain(LOG_ERR, __VA_ARGS__)
#define log_warning(...)         log_plain(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)          log_plain(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)            log_plain(LOG_INFO, __VA_ARGS__)
#define log_debug(...)           log_plain(LOG_DEBUG, __VA_ARGS__)
