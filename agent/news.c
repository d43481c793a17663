/*
 * A line when a webspace has become ready, or is so with another file, and one
 * for each condition that nothing else tells: a file that does not load, names
 * that others have, a PHP that is not installed. What was told before is known
 * from the status on disk, so that a restart repeats nothing.
 */
#include "agent/news.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/ids.h"
#include "agent/base/log.h"
#include "agent/base/own.h"

struct topic {
	enum condition_type type;
	const char *reason;
	const char *id;
};

/* Failures of a pass and quarantines are told by themselves, the CA's terms by `status`. */
static const struct topic topics[] = {
	{ CONDITION_LOADED, "Invalid", ID_INVALID },
	{ CONDITION_PHP, "VersionMissing", ID_FAILED },
	{ CONDITION_PHP, "Refused", ID_FAILED },
	{ CONDITION_SITES, "NoNames", ID_FAILED },
	{ CONDITION_SITES, "NameTaken", ID_FAILED },
	{ CONDITION_SITES, "Refused", ID_FAILED },
	{ CONDITION_CERTIFICATE, "BadCertificate", ID_FAILED },
	{ CONDITION_CERTIFICATE, "NamesHeld", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "NotValidated", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "Refused", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "RateLimited", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "Paused", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "CaMisbehaves", ID_UNCERTIFIED },
	{ CONDITION_CERTIFICATE, "HostFault", ID_UNCERTIFIED },
};

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

void news_tell(const struct subject *s, const struct json *before, const char *fingerprint,
	       const char *revision)
{
	static const char *const states[] = {
		[STATE_ENABLED] = "ready",
		[STATE_SUSPENDED] = "ready: suspended",
		[STATE_DISABLED] = "ready: disabled",
	};

	for (size_t i = 0; i < ELEMENTS(topics); i++)
		tell_topic(s, &topics[i], before, revision);
	if (!s->webspace || !subject_ready(s))
		return;
	if (json_bool(before, "ready", false) && same(before, "fingerprint", fingerprint))
		return;
	log_entry(&(struct log_entry){ .level = LOG_NOTICE,
				       .id = ID_READY,
				       .webspace = s->name,
				       .revision = revision },
		  "%s: %s", s->name, states[s->webspace->state]);
}

void news_add_held(struct news_held *held, const char *name)
{
	if (held->count++ == 0)
		snprintf(held->first, sizeof(held->first), "%s", name);
}

void news_held(struct news_held *held)
{
	if (held->count > 0)
		log_entry(&(struct log_entry){ .level = LOG_WARNING, .id = ID_REMOVAL_HELD },
			  "%zu file%s gone at once (%s%s): nothing is removed until "
			  "'webspaces confirm'",
			  held->count, held->count > 1 ? "s are" : " is", held->first,
			  held->count > 1 ? ", …" : "");
	held->count = 0;
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
	log_notice("%s has changed: it is read when the agent starts, so restart it", file);
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
