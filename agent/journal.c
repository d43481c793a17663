/*
 * One place decides what a person reads. Drift is told item by item, with old
 * and new value. What follows from an edited file is told item by item for
 * debugging only: ten thousand new webspaces would be two hundred thousand
 * lines, so the journal gets one for each webspace, when it is ready.
 */
#include "agent/journal.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/ids.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define SUM_LATER_USEC (5 * USEC_PER_SEC)

struct journal {
	struct loop_source *later;
};

static void sum_later(void *data)
{
	struct journal *j = data;

	loop_timer_set(j->later, clock_usec() + SUM_LATER_USEC);
}

static void sum(void *data)
{
	(void)data;
	log_sum();
}

struct journal *journal_open(struct loop *loop)
{
	struct journal *j = memory_new(sizeof(*j));

	j->later = loop_timer(loop, UINT64_MAX, sum, j);
	log_on_counted(sum_later, j);
	return j;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	log_close();
	loop_drop(j->later);
	free(j);
}

/* Reports --------------------------------------------------------------- */

struct kind {
	int level;
	const char *id;
};

static const struct kind kinds[] = {
	[REPORT_CHANGED] = { LOG_NOTICE, ID_CHANGED },
	[REPORT_FAILED] = { LOG_ERR, ID_FAILED },
	[REPORT_FIGHT] = { LOG_WARNING, ID_FIGHT },
	[REPORT_QUARANTINED] = { LOG_ERR, ID_QUARANTINED },
	[REPORT_HOST_FAULT] = { LOG_ERR, ID_HOST_FAULT },
	[REPORT_PUBLISHED] = { LOG_INFO, ID_PUBLISHED },
	[REPORT_ROLLED_BACK] = { LOG_ERR, ID_ROLLED_BACK },
	[REPORT_DIED] = { LOG_WARNING, ID_DAEMON_DIED },
	[REPORT_CERTIFIED] = { LOG_NOTICE, ID_CERTIFIED },
	[REPORT_EXPIRING] = { LOG_WARNING, ID_EXPIRING },
	[REPORT_REMOVED] = { LOG_NOTICE, ID_REMOVED },
};

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

/* Once in a webspace's life, and the only place where a diary has its ids. */
static bool is_account_made(const struct report *r)
{
	return r->resource && strcmp(r->resource, "account") == 0 && !r->old_value;
}

static void log_change(struct log_entry *entry, const struct report *r)
{
	if (!entry->old_value || !*entry->old_value)
		entry->old_value = "missing";
	if (!entry->new_value || !*entry->new_value)
		entry->new_value = "made";
	if (is_account_made(r) && r->change == CHANGE_INTENT)
		log_entry(entry, "%s: account made: uid %s", or_empty(entry->webspace),
			  entry->new_value);
	else
		log_entry(entry, "%s%s%s%s%s%s%s: %s → %s (%s)", or_empty(entry->webspace),
			  entry->webspace ? ": " : "", or_empty(r->resource), r->item ? " " : "",
			  or_empty(r->item), r->what ? " " : "", or_empty(r->what),
			  entry->old_value, entry->new_value, entry->change);
}

static void log_text(const struct log_entry *entry, const struct report *r)
{
	static const char *const what[] = {
		[REPORT_FAILED] = "",
		[REPORT_FIGHT] = "put back only now and then, for somebody keeps undoing it: ",
		[REPORT_QUARANTINED] = "quarantined: ",
		[REPORT_HOST_FAULT] = "the host's own configuration is at fault: ",
		[REPORT_ROLLED_BACK] = "rolled back: ",
		[REPORT_DIED] = "ended by itself: ",
		[REPORT_CERTIFIED] = "",
		[REPORT_EXPIRING] = "",
	};
	const char *who = entry->webspace ? entry->webspace : or_empty(r->item);
	const char *text = r->text ? r->text : entry->webspace ? r->item : NULL;

	log_entry(entry, "%s%s%s%s%s%s", who, *who ? ": " : "", or_empty(r->resource),
		  r->resource ? ": " : "", what[r->kind], or_empty(text));
}

static void log_recovery(const struct log_entry *published, const struct report *r)
{
	struct log_entry entry = *published;

	entry.level = LOG_NOTICE;
	entry.id = ID_RECOVERED;
	entry.old_value = r->text;
	entry.new_value = "well";
	log_entry(&entry, "%s: well again; it was: %s", or_empty(r->resource), r->text);
}

void journal_report(const struct report *r, const char *revision)
{
	struct log_entry entry = {
		.webspace = r->subject ? r->subject->name : NULL,
		.resource = r->resource,
		.change = r->change == CHANGE_DRIFT ? "drift" : "intent",
		.unit = r->kind >= REPORT_QUARANTINED && r->kind <= REPORT_DIED ? r->resource
										: NULL,
		.old_value = r->old_value,
		.new_value = r->new_value,
		.revision = revision,
	};

	if (r->kind >= ELEMENTS(kinds) || !kinds[r->kind].id)
		return;
	entry.level = kinds[r->kind].level;
	entry.id = kinds[r->kind].id;
	if (r->kind == REPORT_CHANGED) {
		if (r->change == CHANGE_INTENT && !is_account_made(r))
			entry.level = LOG_DEBUG;
		log_change(&entry, r);
	} else if (r->kind == REPORT_PUBLISHED) {
		log_entry(&entry, "%s: generation %llu is in force", or_empty(r->resource),
			  (unsigned long long)r->generation);
		if (r->text)
			log_recovery(&entry, r);
	} else if (r->kind == REPORT_REMOVED && !r->subject->was_wanted) {
		return; /* its file never loaded: there is nothing to say */
	} else if (r->kind == REPORT_REMOVED) {
		log_entry(&entry, "%s: out of service; account and data stay", entry.webspace);
	} else {
		log_text(&entry, r);
	}
}
