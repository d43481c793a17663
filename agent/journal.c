/*
 * One place decides what a person reads. Drift is told item by item, with old
 * and new value. What follows from an edited file is told item by item for
 * debugging only: ten thousand new webspaces would be two hundred thousand
 * lines, so the journal gets one for each webspace, when it is ready.
 */
#include "agent/journal.h"

#include "agent/base/ids.h"
#include "agent/base/log.h"
#include "agent/base/own.h"

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

static void log_change(const struct log_entry *entry, const struct report *r)
{
	const char *from = r->old_value && *r->old_value ? r->old_value : "missing";
	const char *to = r->new_value && *r->new_value ? r->new_value : "made";

	log_entry(entry, "%s%s%s%s%s%s%s: %s → %s (%s)", or_empty(entry->webspace),
		  entry->webspace ? ": " : "", or_empty(r->resource), r->item ? " " : "",
		  or_empty(r->item), r->what ? " " : "", or_empty(r->what), from, to,
		  entry->change);
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

void journal_report(const struct report *r, const char *revision)
{
	struct log_entry entry = {
		.webspace = r->subject ? r->subject->name : NULL,
		.resource = r->resource,
		.change = r->change == CHANGE_DRIFT ? "drift" : "intent",
		.old_value = r->old_value,
		.new_value = r->new_value,
		.revision = revision,
	};

	if (r->kind >= ELEMENTS(kinds) || !kinds[r->kind].id)
		return;
	entry.level = kinds[r->kind].level;
	entry.id = kinds[r->kind].id;
	if (r->kind == REPORT_CHANGED) {
		if (r->change == CHANGE_INTENT)
			entry.level = LOG_DEBUG;
		log_change(&entry, r);
	} else if (r->kind == REPORT_PUBLISHED) {
		entry.unit = r->resource;
		log_entry(&entry, "%s: generation %llu is in force", or_empty(r->resource),
			  (unsigned long long)r->generation);
	} else if (r->kind == REPORT_REMOVED && !r->subject->was_wanted) {
		return; /* its file never loaded: there is nothing to say */
	} else if (r->kind == REPORT_REMOVED) {
		log_entry(&entry, "%s: out of service; account and data stay", entry.webspace);
	} else {
		log_text(&entry, r);
	}
}
