/*
 * Conditions: what is known about each part of a webspace, and since when. They
 * are reported when they changed, never just because somebody looked.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "reconcile/pass/pass.h"

const char *const condition_names[CONDITIONS] = {
	[CONDITION_LOADED] = "Loaded",
	[CONDITION_ACCOUNT] = "Account",
	[CONDITION_DIRECTORIES] = "Directories",
	[CONDITION_MOUNTS] = "Mounts",
	[CONDITION_PHP] = "Php",
	[CONDITION_SITES] = "Sites",
	[CONDITION_CERTIFICATE] = "Certificate",
};

bool subject_ready(const struct subject *s)
{
	for (size_t i = 0; i < CONDITIONS; i++) {
		const struct condition *c = &s->conditions[i];

		if (c->status != CONDITION_TRUE &&
		    !(c->status == CONDITION_UNKNOWN && text_same(c->reason, "NotWanted")))
			return false;
	}
	return true;
}

void condition_set(struct progress *p, enum condition_type type, enum condition_status status,
		   const char *reason, const char *message, time_t now)
{
	struct condition *c = &p->subject.conditions[type];
	bool another;

	/* What is left is served well, or nothing is left: what the user should see is who has the names. */
	if (type == CONDITION_SITES && p->lost &&
	    (status == CONDITION_TRUE || text_same(reason, "NoNames"))) {
		status = CONDITION_FALSE;
		reason = "NameTaken";
		message = p->lost;
	}
	another = c->status != status || !text_same(c->reason, reason);
	if (!another && text_same(c->message, message))
		return;
	if (another)
		c->since = now;
	c->status = status;
	c->reason = reason;
	free(c->message);
	c->message = memory_dup(message);
	p->conditions_new = true;
}

void condition_report(struct progress *p)
{
	if (!p->conditions_new)
		return;
	p->conditions_new = false;
	pass_report(p->r, &(struct report){ .kind = REPORT_STATUS, .subject = &p->subject });
}

void conditions_clear(struct subject *s)
{
	for (size_t i = 0; i < CONDITIONS; i++)
		free(s->conditions[i].message);
}
