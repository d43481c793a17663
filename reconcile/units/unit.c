/*
 * A unit: its members, what they should have, and when to take off. The way
 * from one generation to the next is flight.c; who breaks one, suspects.c.
 *
 * What the members' fragments compose to is never kept: it is on disk, and it
 * can be composed again from what is known to be good. Whether somebody wrote
 * to it is seen by a stat of each file; only then is it read.
 */
#include "reconcile/units/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/units/members.h"

#define BACK_OFF_MAX  (900 * USEC_PER_SEC)
#define DAY           (86400 * USEC_PER_SEC)
#define FRAGILE_AGAIN (300 * USEC_PER_SEC)
#define STEADY        (60 * USEC_PER_SEC) /* a daemon that lived so long did not die at once */

static uint64_t back_off(unsigned n)
{
	uint64_t wait = USEC_PER_SEC << (n < 20 ? n : 20);

	return wait < BACK_OFF_MAX ? wait : BACK_OFF_MAX;
}

/* Nothing is in flight. */
static void take_off(struct unit *u)
{
	if (gate_enter(u))
		flight_begin(u);
	else
		u->dirty = true;
}

static void try_again(void *data)
{
	struct unit *u = data;

	if (u->flight.stage != STAGE_IDLE)
		return;
	if (u->look_due)
		unit_look(u);
	else
		take_off(u);
}

/* Members ------------------------------------------------------------- */

struct member *unit_member_add(struct unit *u, const char *name)
{
	struct member *m = memory_new(sizeof(*m));

	m->name = memory_dup(name);
	(void)table_set(&u->members, name, m);
	return m;
}

static void restore_member(const char *name, struct fragment *fragment, void *data)
{
	struct member *m = unit_member_add(data, name);

	m->good = fragment;
	m->want = fragment_keep(fragment);
	m->former = true;
}

/* What is in force stays so until somebody says otherwise, also over a restart. */
static void restore(struct unit *u)
{
	size_t len = 0;
	autofree char *text = generation_read(u->dir, u->in_force, MEMBERS_FILE, &len);

	u->restored = text && members_read(text, len, restore_member, u);
}

int unit_open(const struct unit_config *config, struct unit **ret, struct err *e)
{
	int dir = generation_open(config->host, config->dir, !config->dry, e);
	struct unit *u;

	if (dir < 0 && !(config->dry && dir == -ENOENT))
		return err_in(e, "%s", config->name);

	u = memory_new(sizeof(*u));
	u->config = *config;
	u->name = memory_dup(config->name);
	u->dir_name = memory_dup(config->dir);
	u->dir = dir < 0 ? -1 : dir;
	u->in_force = generation_current(u->dir);
	u->known = u->in_force == 0;
	restore(u);
	if (!config->dry)
		generation_discard(u->dir, u->in_force);
	if (!config->dry &&
	    u->in_force != 0) /* whoever published it may have been killed right after */
		generation_prune(u->dir, u->in_force);
	u->timer = loop_timer(config->loop, UINT64_MAX, flight_tick, u);
	u->retry = loop_timer(config->loop, UINT64_MAX, try_again, u);
	*ret = u;
	return 0;
}

static void member_free(struct member *m)
{
	fragment_free(m->want);
	fragment_free(m->good);
	fragment_free(m->trial);
	free(m->quarantined);
	free((char *)m->name);
	free(m);
}

void unit_close(struct unit *u)
{
	struct table_entry *it;

	if (!u)
		return;
	flight_clear(u);
	gate_leave(u);
	table_each (&u->members, it)
		member_free(it->value);
	table_clear(&u->members);
	loop_drop(u->timer);
	loop_drop(u->retry);
	if (u->dir >= 0)
		close(u->dir);
	free(u->fault);
	free(u->name);
	free(u->dir_name);
	free(u);
}

void unit_report(struct unit *u, const struct report *r)
{
	struct report full = *r;

	full.resource = u->name;
	if (u->config.report)
		u->config.report(&full, u->config.data);
}

void unit_settled(struct unit *u, struct member *m)
{
	if (u->config.settled)
		u->config.settled(u, m, u->config.data);
}

void unit_forget(struct unit *u, struct member *m)
{
	(void)table_take(&u->members, m->name);
	unit_settled(u, m);
	member_free(m);
}

static void replace(struct fragment **at, struct fragment *f)
{
	fragment_free(*at);
	*at = f;
}

/* The first word about it since our start: what follows is told when the daemon has been looked at. */
static bool take_former(struct member *m)
{
	bool former = m->former;

	m->former = false;
	return former;
}

void unit_set(struct unit *u, const char *name, struct fragment *fragment)
{
	struct member *m = unit_member(u, name);
	bool former;

	if (!m && !fragment)
		return;
	if (m && !m->former && fragment_same(m->want, fragment)) {
		fragment_free(fragment);
		return;
	}
	if (!m)
		m = unit_member_add(u, name);
	former = take_former(m);
	replace(&m->want, fragment);
	free(take_ptr(m->quarantined));
	m->changed = true;
	if (!fragment || !fragment_same(fragment, m->good) || former)
		return;
	/* Back to what is in force, or about to be on its way out of it. */
	replace(&m->want, fragment_keep(m->good));
	m->changed = m->trial != NULL || m->leaving;
	if (!m->changed)
		unit_settled(u, m);
}

/* Composing ----------------------------------------------------------- */

static const struct fragment *member_part(const struct member *m, size_t tried)
{
	if (m->leaving)
		return NULL;
	return m->trial && m->place < tried ? m->trial : m->good;
}

void unit_compose(struct unit *u, uint64_t n, size_t tried, struct unit_file files[UNIT_FILES])
{
	autoarena struct arena a = { 0 };
	const struct fragment **parts = arena_new(&a, (u->members.count + 1) * sizeof(*parts));
	const char **names = arena_new(&a, (u->members.count + 1) * sizeof(*names));
	struct table_entry *it;
	size_t count = 0;

	memset(files, 0, UNIT_FILES * sizeof(*files));
	table_each (&u->members, it) {
		const struct member *m = it->value;

		parts[count] = member_part(m, tried);
		names[count] = m->name;
		count += parts[count] != NULL;
	}
	u->config.type->compose(u, unit_path(u, n, &a), parts, names, count, files);
	files[UNIT_FILES - 1].name = MEMBERS_FILE;
	members_write(parts, names, count, &files[UNIT_FILES - 1].text);
	for (size_t i = 0; i < UNIT_FILES; i++)
		u->file_names[i] = files[i].name;
}

void unit_files_clear(struct unit_file files[UNIT_FILES])
{
	for (size_t i = 0; i < UNIT_FILES; i++)
		buf_clear(&files[i].text);
}

void unit_stamp(struct unit *u)
{
	generation_stamp(u->dir, u->in_force, u->file_names, &u->stamp);
}

/* Taking off and landing ---------------------------------------------- */

void unit_publish(struct unit *u)
{
	if (u->config.dry) {
		unit_plan(u);
		return;
	}
	u->dirty = true;
	if (u->flight.stage == STAGE_IDLE)
		take_off(u);
}

void unit_force(struct unit *u)
{
	u->force_due = true;
	unit_publish(u);
}

static void tell_fault(struct unit *u, const char *text)
{
	uint64_t now = clock_usec();
	bool told = u->fault && strcmp(u->fault, text) == 0 && now - u->fault_usec < DAY;

	if (told)
		return;
	free(u->fault);
	u->fault = memory_dup(text);
	u->fault_usec = now;
	unit_report(u, &(struct report){ .kind = REPORT_HOST_FAULT,
					 .text = u->fault,
					 .generation = u->in_force });
}

void unit_landed(struct unit *u, const char *fault)
{
	uint64_t next = UINT64_MAX;

	gate_leave(u);
	if (fault) {
		next = clock_usec() + back_off(u->n_faults++);
		tell_fault(u, fault);
	} else {
		u->n_faults = 0;
		free(take_ptr(u->fault));
	}
	/* Not from here: a flight must not begin inside the end of another. */
	if (u->dirty || u->look_due)
		next = clock_usec();
	loop_timer_set(u->retry, next);
}

void unit_died(struct unit *u, const char *how)
{
	uint64_t now = clock_usec();

	if (u->served && now - u->served_usec > STEADY)
		u->n_deaths = 0;
	u->served = false;
	unit_report(
		u, &(struct report){ .kind = REPORT_DIED, .text = how, .generation = u->in_force });
	if (u->flight.stage != STAGE_IDLE)
		u->dirty = true;
	else if (!u->dirty) /* else it is at the gate already */
		loop_timer_set(u->retry, u->n_deaths == 0 ? now : now + back_off(u->n_deaths));
	u->n_deaths++;
}

/* Looking ------------------------------------------------------------- */

/* The first line in which two texts differ, of each: short enough for a log. */
static void first_difference(const char *old, const char *new, char ret_old[100], char ret_new[100])
{
	size_t at = 0, line = 0;

	for (; old[at] && old[at] == new[at]; at++)
		if (old[at] == '\n')
			line = at + 1;
	snprintf(ret_old, 100, "%.*s", (int)strcspn(old + line, "\n"), old + line);
	snprintf(ret_new, 100, "%.*s", (int)strcspn(new + line, "\n"), new + line);
}

static bool file_drifted(struct unit *u, const struct unit_file *file)
{
	size_t len;
	autofree char *old = generation_read(u->dir, u->in_force, file->name, &len);
	char was[100] = "missing", is[100] = "as composed";

	if (old && len == file->text.len && memcmp(old, buf_text(&file->text), len) == 0)
		return false;
	if (old)
		first_difference(old, buf_text(&file->text), was, is);
	unit_report(u, &(struct report){ .kind = REPORT_CHANGED,
					 .change = CHANGE_DRIFT,
					 .item = file->name,
					 .old_value = was,
					 .new_value = is,
					 .generation = u->in_force });
	return true;
}

/*
 * Somebody touched the files: they are put right where they lie, since we may
 * have to go back to them, and published anew, since the daemon may have read them.
 */
static void look_at_files(struct unit *u)
{
	struct generation_stamp now;
	struct unit_file files[UNIT_FILES];
	bool drifted = false;
	struct err e;

	generation_stamp(u->dir, u->in_force, u->file_names, &now);
	if (memcmp(&now, &u->stamp, sizeof(now)) == 0)
		return;
	unit_compose(u, u->in_force, 0, files);
	for (size_t i = 0; i < UNIT_FILES; i++)
		drifted |= files[i].name && file_drifted(u, &files[i]);
	if (drifted)
		(void)generation_write(u->dir, u->in_force, files, &e);
	unit_files_clear(files);
	unit_stamp(u);
	u->forced |= drifted;
}

/* A crash would start the daemon with what `current` names. */
static void look_at_link(struct unit *u)
{
	uint64_t found = generation_current(u->dir);
	struct err e;

	if (found == u->in_force || generation_link(u->dir, u->in_force, &e) < 0)
		return;
	unit_report(u, &(struct report){ .kind = REPORT_CHANGED,
					 .change = CHANGE_DRIFT,
					 .item = "current",
					 .old_value = found ? "another generation" : "missing",
					 .new_value = "the generation in force",
					 .generation = u->in_force });
}

/* What it names outside may have been mended meanwhile. */
static uint64_t quarantine_usec(const struct unit *u, const struct member *m)
{
	bool may_break = u->config.type->may_break && u->config.type->may_break(m->name);

	return may_break ? FRAGILE_AGAIN : DAY;
}

static void look_at_quarantined(struct unit *u)
{
	uint64_t now = clock_usec();
	struct table_entry *it;

	table_each (&u->members, it) {
		struct member *m = it->value;

		if (m->quarantined && !m->changed &&
		    now - m->quarantined_usec > quarantine_usec(u, m))
			m->changed = true;
	}
}

void unit_look(struct unit *u)
{
	if (u->config.dry)
		return;
	/* What is touched while a generation is on its way is looked at when it has landed. */
	u->look_due = u->flight.stage != STAGE_IDLE;
	if (u->look_due)
		return;
	if (u->in_force != 0)
		look_at_link(u);
	if (u->in_force != 0 && u->known)
		look_at_files(u);
	look_at_quarantined(u);
	take_off(u);
}

/* Asking -------------------------------------------------------------- */

void *unit_owner(const struct unit *u)
{
	return u->config.owner;
}

const char *unit_name(const struct unit *u)
{
	return u->name;
}

const struct host *unit_host(const struct unit *u)
{
	return u->config.host;
}

struct loop *unit_loop(const struct unit *u)
{
	return u->config.loop;
}

struct member *unit_member(const struct unit *u, const char *name)
{
	return table_get(&u->members, name);
}

const struct table *unit_members(const struct unit *u)
{
	return &u->members;
}

bool unit_idle(const struct unit *u)
{
	return u->flight.stage == STAGE_IDLE && !u->dirty && !u->look_due;
}

uint64_t unit_generation(const struct unit *u)
{
	return u->served ? u->in_force : 0;
}

const char *unit_fault(const struct unit *u)
{
	return u->fault;
}

bool unit_has_left(const struct unit *u, const char *name)
{
	return u->known && !unit_member(u, name);
}

const char *unit_path(const struct unit *u, uint64_t generation, struct arena *a)
{
	return arena_printf(a, "%s/%s/%" PRIu64, u->config.host->state_dir, u->dir_name,
			    generation);
}

bool unit_is_wanted(const struct unit *u)
{
	struct table_entry *it;

	table_each (&u->members, it)
		if (((struct member *)it->value)->want)
			return true;
	return false;
}
