/*
 * A line when a file asks for something else and what that is, when a webspace has become
 * ready, or is so with another file, and one for each condition that nothing else tells: a file
 * that does not load, names that others have, a PHP that is not installed. What failed
 * and was told is told again when it is well. What was told before is known from the status
 * on disk, so that a restart repeats nothing.
 */
#include "agent/news.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/ids.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/model/difference.h"
#include "agent/model/secrets.h"

struct topic {
	enum condition_type type;
	const char *reason;
	const char *id;
};

/* Failures of a pass and quarantines are told by themselves, the CA's terms by `status`. */
static const struct topic topics[] = {
	{ CONDITION_LOADED, "Invalid", ID_INVALID },
	{ CONDITION_LOADED, "NotSaved", ID_FAILED },
	{ CONDITION_PHP, "VersionMissing", ID_FAILED },
	{ CONDITION_PHP, "Refused", ID_FAILED },
	{ CONDITION_SITES, "NoNames", ID_FAILED },
	{ CONDITION_SITES, "NameTaken", ID_FAILED },
	{ CONDITION_SITES, "Refused", ID_FAILED },
	{ CONDITION_CERTIFICATE, "BadCertificate", ID_FAILED },
	{ CONDITION_CERTIFICATE, "ChainIncomplete", ID_FAILED },
	{ CONDITION_CERTIFICATE, "NamesHeld", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "NotValidated", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "Refused", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "RateLimited", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "Paused", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "CaMisbehaves", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "HostFault", ID_UNCERTIFIED },
};

/* False, and no failure: it takes its time, or is told by other lines when it ends (certificates come). */
static const char *const passing[] = {
	"Pending", "Placeholder", "NotReady", "TermsNotAgreed", "Starting", NULL,
};

static bool is_among(const char *word, const char *const *words)
{
	while (*words && strcmp(*words, word) != 0)
		words++;
	return *words;
}

/* A certificate's failing ends with the line that tells of another, but for an admin's own. */
static bool is_failure(enum condition_type type, const char *reason)
{
	static const char *const own[] = { "BadCertificate", "ChainIncomplete", "Failed", NULL };

	return type == CONDITION_CERTIFICATE ? is_among(reason, own) : !is_among(reason, passing);
}

char *news_failing(enum condition_type type, const struct condition *c, const struct json *before)
{
	const char *reason = c->reason ? c->reason : "";

	if (c->status == CONDITION_FALSE && is_failure(type, reason))
		return memory_dup(c->message && *c->message ? c->message : reason);
	/* Until it is known to be well, or to fail otherwise. */
	if (c->status != CONDITION_TRUE && strcmp(reason, "NotWanted") != 0)
		return memory_dup(json_text(before, "failing"));
	return NULL;
}

static bool same(const struct json *j, const char *key, const char *text)
{
	const char *before = json_text(j, key);

	return before && strcmp(before, text ? text : "") == 0;
}

static void tell_topic(const struct subject *s, const struct topic *t, const struct json *before,
		       const char *revision)
{
	const struct condition *c = &s->conditions[t->type];
	const struct json *told = json_at(json_get(before, "conditions"), t->type);

	if (c->status != CONDITION_FALSE || !c->reason || strcmp(c->reason, t->reason) != 0)
		return;
	if (same(told, "reason", c->reason) && same(told, "message", c->message))
		return;
	log_entry(
		&(struct log_entry){
			.level = LOG_ERR, .id = t->id, .webspace = s->name, .revision = revision },
		"%s: %s%s", s->name, c->message ? c->message : c->reason,
		t->type == CONDITION_LOADED && s->webspace ? "; its last good text stays in force"
							   : "");
}

static const char *const recoveries[CONDITIONS] = {
	[CONDITION_LOADED] = "its file loads again",
	[CONDITION_ACCOUNT] = "its account is well again",
	[CONDITION_DIRECTORIES] = "its directories are well again",
	[CONDITION_MOUNTS] = "its mounts are well again",
	[CONDITION_PHP] = "PHP is well again",
	[CONDITION_SITES] = "its sites are well again",
	[CONDITION_CERTIFICATE] = "its certificate is well again",
};

/* Well again, whatever it was that failed. */
static void tell_recovery(const struct subject *s, enum condition_type type,
			  const struct json *before, const char *revision)
{
	const struct condition *c = &s->conditions[type];
	const struct json *told = json_at(json_get(before, "conditions"), type);
	const char *failing = json_text(told, "failing");

	if (!failing || c->status != CONDITION_TRUE)
		return;
	log_entry(&(struct log_entry){ .level = LOG_NOTICE,
				       .id = ID_RECOVERED,
				       .webspace = s->name,
				       .resource = condition_names[type],
				       .old_value = failing,
				       .new_value = "well",
				       .revision = revision },
		  "%s: %s; it was: %s", s->name, recoveries[type], failing);
}

static void tell_ready(const struct subject *s, const char *revision)
{
	static const char *const states[] = {
		[STATE_ENABLED] = "ready",
		[STATE_SUSPENDED] = "ready: suspended",
		[STATE_DISABLED] = "ready: disabled",
	};

	log_entry(&(struct log_entry){ .level = LOG_NOTICE,
				       .id = ID_READY,
				       .webspace = s->name,
				       .revision = revision },
		  "%s: %s", s->name, states[s->webspace->state]);
}

void news_tell(const struct subject *s, const struct json *before, const char *fingerprint,
	       const char *revision)
{
	bool was_ready =
		json_bool(before, "ready", false) && same(before, "fingerprint", fingerprint);

	for (enum condition_type t = 0; t < CONDITIONS; t++)
		tell_recovery(s, t, before, revision);
	for (size_t i = 0; i < ELEMENTS(topics); i++)
		tell_topic(s, &topics[i], before, revision);
	if (s->webspace && subject_ready(s) && !was_ready)
		tell_ready(s, revision);
}

/* Files ---------------------------------------------------------------- */

static void tell_new(const struct webspace *w, struct log_entry *entry)
{
	autobuf struct buf names = { 0 };

	difference_names(w, &names);
	entry->new_value = buf_text(&names);
	log_entry(entry, "%s: new: %s%s", w->name, names.len ? buf_text(&names) : "without a name",
		  w->state == STATE_ENABLED     ? ""
		  : w->state == STATE_SUSPENDED ? " (suspended)"
						: " (disabled)");
}

static void tell_asked(const struct webspace *before, const struct webspace *now,
		       struct log_entry *entry)
{
	struct difference d;

	difference_find(before, now, &d);
	if (d.was.len > 0) {
		entry->old_value = buf_text(&d.was);
		entry->new_value = buf_text(&d.is);
	}
	if (d.count > 0)
		log_entry(entry, "%s: file changed: %s", now->name, buf_text(&d.sentence));
	difference_clear(&d);
}

static void tell_missed(const struct entry *e, unsigned grace_s, struct log_entry *entry)
{
	if (e->held || e->going)
		return; /* said by another line */
	entry->id = ID_MISSED;
	log_entry(entry, "%s: %s: out of service in %u s unless it comes back", e->name,
		  e->elsewhere ? "its file is for other hosts now" : "its file is gone", grace_s);
}

static void warn_of_secret(const char *webspace, const char *file, const char *key)
{
	autoarena struct arena a = { 0 };
	struct stat st;

	if (key && stat(file, &st) == 0 && secrets_are_open(&st))
		log_entry(&(struct log_entry){ .level = LOG_WARNING,
					       .id = ID_OPEN_SECRET,
					       .webspace = webspace,
					       .resource = "file" },
			  "%s: %s", webspace ? webspace : file, secrets_warning(key, &st, &a));
}

void news_host_secret(const struct host *host)
{
	autoarena struct arena a = { 0 };

	warn_of_secret(NULL, host->file, secrets_of_host(host, &a));
}

void news_file(const struct entry *e, unsigned grace_s, const char *revision)
{
	autoarena struct arena a = { 0 };
	struct log_entry entry = { .level = LOG_NOTICE,
				   .id = ID_ASKED,
				   .webspace = e->name,
				   .resource = "file",
				   .change = "intent",
				   .revision = revision };

	if ((e->news & ENTRY_MISSED) && e->absent_since) {
		tell_missed(e, grace_s, &entry);
		return;
	}
	if ((e->news & ENTRY_BACK) && !e->absent_since) {
		entry.id = ID_BACK;
		log_entry(&entry, "%s: its file is back", e->name);
		entry.id = ID_ASKED;
	}
	if (!(e->news & ENTRY_ASKED) || !e->asks)
		return;
	warn_of_secret(e->name, e->asks->file, secrets_of_webspace(e->asks, &a));
	if (e->asked)
		tell_asked(e->asked, e->asks, &entry);
	else
		tell_new(e->asks, &entry);
}

void news_add_held(struct news_held *held, const char *name)
{
	(void)table_set(&held->names, name, held);
}

void news_held(struct news_held *held)
{
	size_t cursor = 0, n = held->names.count;
	const struct table_entry *first = table_next(&held->names, &cursor);

	if (first)
		log_entry(&(struct log_entry){ .level = LOG_WARNING,
					       .id = ID_REMOVAL_HELD,
					       .webspaces = &held->names },
			  "%zu file%s gone at once (%s%s): nothing is removed until "
			  "'webspaces confirm'",
			  n, n > 1 ? "s are" : " is", first->key, n > 1 ? ", …" : "");
	table_clear(&held->names);
}

void news_passed_over(struct news_held *held, const char *dir, const char *files)
{
	uint64_t hash = *files ? hash_text(HASH_START, files) : 0;
	bool stays = hash == held->passed_over_seen;

	held->passed_over_seen = hash;
	if (!stays || hash == held->passed_over)
		return;
	held->passed_over = hash;
	if (hash)
		log_entry(&(struct log_entry){ .level = LOG_NOTICE, .id = ID_ASKED },
			  "%s: ignored, as a webspace's file is named NAME.conf: %s", dir, files);
}

void news_held_accounts(struct news_held *held, size_t n)
{
	if (n > held->n_accounts)
		log_entry(
			&(struct log_entry){ .level = LOG_WARNING, .id = ID_REMOVAL_HELD },
			"%zu accounts of webspaces are gone at once: none is made again until they "
			"are back, or 'webspaces confirm'",
			n);
	held->n_accounts = n;
}

/* The host's settings hold as long as the agent runs: nobody should wonder why nothing happens. */
void news_host_file(const char *file, struct stat *known)
{
	struct stat now = { 0 };

	(void)stat(file, &now);
	if (known->st_ino == now.st_ino && known->st_size == now.st_size &&
	    known->st_mtim.tv_sec == now.st_mtim.tv_sec &&
	    known->st_mtim.tv_nsec == now.st_mtim.tv_nsec)
		return;
	*known = now;
	log_entry(&(struct log_entry){ .level = LOG_NOTICE, .id = ID_HOST_FILE },
		  "%s has changed: it is read when the agent starts, so restart it", file);
}

void news_directory(const char *problem)
{
	if (problem)
		log_entry(&(struct log_entry){ .level = LOG_ERR, .id = ID_UNREADABLE },
			  "%s; everything stays as it is", problem);
	else
		log_entry(&(struct log_entry){ .level = LOG_NOTICE, .id = ID_RECOVERED },
			  "the directory of webspaces can be read again");
}

void news_left_out(const struct host *host)
{
	if (host->left_out)
		log_notice("%s", host->left_out);
}

/* proc(5): without it a user may make a hard link to any file in reach; we refuse those, others may not. */
void news_hardlinks(void)
{
	autofd int dir = path_open_dir("/proc/sys/fs", NULL);
	autofree char *text = NULL;
	size_t len;

	if (dir >= 0 && path_read(dir, "protected_hardlinks", 16, &text, &len, NULL) == 0 &&
	    text[0] == '0')
		log_warning(
			"fs.protected_hardlinks is 0: set it to 1, as Debian does (sysctl.d(5))");
}

void news_rollback(const struct catalog *c, uint64_t *told)
{
	autobuf struct buf names = { 0 };
	uint64_t now = catalog_rolled_back(c, NULL);

	if (now == *told)
		return;
	if (now) {
		catalog_rollback_names(c, &names);
		log_entry(&(struct log_entry){ .level = LOG_WARNING, .id = ID_ROLLBACK },
			  "rolled back to what was in force at generation %" PRIu64
			  ": %s; held until a file changes, or 'webspaces rollback --release'",
			  now, buf_text(&names));
	} else {
		log_entry(&(struct log_entry){ .level = LOG_NOTICE, .id = ID_ROLLBACK },
			  "the rollback to generation %" PRIu64
			  " is over: what files say is in force",
			  *told);
	}
	*told = now;
}
