/* The agent, and the file with what it says. */
#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/display.h"
#include "agent/doctor/doctor.h"
#include "agent/model/load.h"
#include "agent/model/trusted.h"
#include "agent/status.h"

const struct json *patient_condition(const struct patient *p, const char *type)
{
	const struct json *conditions = json_get(p->status, "conditions");

	for (size_t i = 0; i < json_count(conditions); i++) {
		const struct json *c = json_at(conditions, i);
		const char *found = json_text(c, "type");

		if (found && strcmp(found, type) == 0)
			return c;
	}
	return NULL;
}

bool patient_has(const struct patient *p, const char *type, const char *reason, struct buf *said)
{
	const struct json *c = patient_condition(p, type);
	const char *found = json_text(c, "reason");

	if (!found || strcmp(found, reason) != 0)
		return false;
	buf_printf(said, "%s: %s", reason, json_text(c, "message") ? json_text(c, "message") : "");
	return true;
}

enum found step_agent(struct patient *p, struct buf *said, struct buf *cure)
{
	time_t seen = status_told(p->host);
	char age[24];

	if (p->door == -EAGAIN) {
		buf_adds(said, "runs, but does not answer within 5 s");
		buf_adds(cure, "journalctl -u webspaces says what it does; systemctl restart "
			       "webspaces costs nobody a request");
		return FOUND_WRONG;
	}
	if (p->door < 0) {
		buf_adds(said, "no agent runs");
		buf_adds(cure, "systemctl start webspaces (journalctl -u webspaces says why it "
			       "ended); what is served now goes on");
		return FOUND_WRONG;
	}
	buf_adds(said, "runs");
	if (seen)
		buf_printf(said, ", last report %s ago", display_age(seen, clock_wall(), age));
	if (!json_text(p->agent, "problem"))
		return FOUND_WELL;
	buf_printf(said, "; %s", json_text(p->agent, "problem"));
	buf_printf(cure, "make %s a directory of root's that nobody else can write to",
		   p->host->config_dir);
	return FOUND_WRONG;
}

static enum found absent(struct patient *p, struct buf *said, struct buf *cure)
{
	const struct entry *entry = p->entry;

	buf_printf(said, "%s/%s.conf is not there", p->host->config_dir, p->name);
	if (entry && entry->rolled_back) {
		buf_adds(said, "; it is in force by a rollback");
		return FOUND_HINT;
	}
	if (entry && entry->held)
		buf_adds(said, ", and its removal is held");
	else if (entry && entry->webspace)
		buf_adds(said, ", and it is about to be taken out of service");
	buf_printf(cure, "put it back (it may be empty)%s",
		   entry && entry->held ? ", or let it go: webspaces confirm" : "");
	return FOUND_WRONG;
}

enum found step_file(struct patient *p, struct buf *said, struct buf *cure)
{
	autofree char *file = memory_printf("%s.conf", p->name);
	autofree char *text = NULL;
	struct err e = { 0 };
	autofd int dir = trusted_open_dir(p->host->config_dir, &e);
	size_t len;
	int r = dir < 0 ? dir : load_read(dir, file, &text, &len, &e);

	if (r == -ENOENT && dir >= 0)
		return absent(p, said, cure);
	if (r < 0) {
		buf_adds(said, e.text);
		buf_printf(cure,
			   "chown root:root and chmod 0644 %s/%s, a plain file in a directory of "
			   "root's",
			   p->host->config_dir, file);
		return FOUND_WRONG;
	}
	buf_printf(said, "%s/%s is root's own", p->host->config_dir, file);
	return FOUND_WELL;
}

enum found step_loads(struct patient *p, struct buf *said, struct buf *cure)
{
	if (p->entry && p->entry->elsewhere) {
		buf_printf(said, "its hosts do not name this one (%s)", p->host->name);
		buf_adds(cure, "add this host to `hosts` in the file, or look on the other one");
		return FOUND_WRONG;
	}
	if (p->entry && p->entry->problem) {
		buf_printf(said, "%s%s", p->entry->problem,
			   p->webspace ? " (its last good text is in force)" : "");
		buf_printf(cure, "mend that; webspaces check %s/%s.conf says when it is right",
			   p->host->config_dir, p->name);
		return FOUND_WRONG;
	}
	if (!p->webspace) {
		buf_adds(said, "nothing of it is in force");
		buf_adds(cure, "look at the journal: journalctl -u webspaces");
		return FOUND_WRONG;
	}
	if (p->entry->lost) {
		buf_adds(said, p->entry->lost);
		buf_adds(cure, "take the name out of one of the two files");
		return FOUND_WRONG;
	}
	buf_adds(said, p->entry->rolled_back ? "loads, but what it said earlier is in force "
					       "(webspaces rollback --release ends that)"
					     : "loads");
	return p->entry->rolled_back ? FOUND_HINT : FOUND_WELL;
}

enum found step_state(struct patient *p, struct buf *said, struct buf *cure)
{
	const struct webspace *w = p->webspace;

	if (w->state == STATE_DISABLED) {
		buf_adds(said, "disabled: neither sites nor PHP are served");
		buf_adds(cure, "state = \"enabled\" in the file, if that is not meant");
		return FOUND_WRONG;
	}
	if (w->n_sites == 0) {
		buf_adds(said, "it has no name to serve");
		buf_adds(cure, "give its site `names`, or the host a base_domain");
		return FOUND_WRONG;
	}
	if (w->state == STATE_SUSPENDED) {
		buf_printf(said, "suspended: its sites answer %s", p->host->nginx.suspended);
		return FOUND_HINT;
	}
	buf_adds(said, "enabled");
	return FOUND_WELL;
}
