/*
 * Whoever changed is a suspect until a generation with the change was seen to
 * work. They stand in a row: which of them are composed in a trial is said by
 * how many, counted from the left (bisect.h). Each is on trial with the fragment
 * it had when the flight began.
 */
#include "reconcile/units/unit.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/units/members.h"

static void set_on_trial(struct unit *u, struct member *m)
{
	struct flight *f = &u->flight;
	size_t n = f->bisect.count++;

	if ((n & (n + 1)) == 0) /* grows at 0, 1, 3, 7 … */
		f->suspects = memory_resize(f->suspects, 2 * n + 2, sizeof(struct member *));
	f->suspects[n] = m;
	m->place = n;
	m->trial = fragment_keep(m->want);
}

/* It changed back to what is in force. */
static void unchanged(struct unit *u, struct member *m)
{
	m->changed = false;
	free(take_ptr(m->quarantined));
	unit_settled(u, m);
}

void suspects_gather(struct unit *u)
{
	struct table_entry *it;

	bisect_start(&u->flight.bisect, 0);
	table_each (&u->members, it) {
		struct member *m = it->value;

		if (!m->want && !m->good)
			unit_forget(u, m);
		else if (!m->want)
			m->leaving = u->flight.touched = u->flight.leaving = true;
		else if (m->changed && fragment_same(m->want, m->good))
			unchanged(u, m);
		else if (m->changed)
			set_on_trial(u, m);
	}
	bisect_start(&u->flight.bisect, u->flight.bisect.count);
}

static void doubt(struct member *m)
{
	fragment_free(take_ptr(m->good));
	m->changed = true;
}

static void believe(const char *name, struct fragment *fragment, void *data)
{
	struct member *m = unit_member(data, name);

	if (!m) /* it left with the generation that is in doubt */
		m = unit_member_add(data, name);
	fragment_free(m->good);
	m->good = fragment;
}

/* The newest that was seen to work, with the members that it names. 0: none. */
static uint64_t believe_former(struct unit *u)
{
	uint64_t n = u->in_force;

	while ((n = generation_below(u->dir, n)) != 0) {
		size_t len = 0;
		autofree char *text = NULL;

		if (!generation_is_seen(u->dir, n))
			continue;
		text = generation_read(u->dir, n, MEMBERS_FILE, &len);
		if (text && members_read(text, len, believe, u))
			return n;
	}
	return 0;
}

/*
 * The agent that published it ended before the daemon came up with it, or did
 * not. A generation with which it does not would be activated again and again,
 * and everybody's changes with it, so its members have to pass a trial first.
 */
void suspects_doubt(struct unit *u)
{
	uint64_t doubted = u->in_force;
	struct table_entry *it;
	struct err e;

	table_each (&u->members, it)
		doubt(it->value);
	u->in_force = believe_former(u);
	if (generation_link(u->dir, u->in_force, &e) >= 0)
		generation_remove(u->dir, doubted);
}

bool suspects_doubt_fragile(struct unit *u)
{
	struct table_entry *it;
	bool any = false;

	if (!u->config.type->may_break)
		return false;
	table_each (&u->members, it) {
		struct member *m = it->value;

		if (!u->config.type->may_break(m->name))
			continue;
		any = true;
		u->forced |= m->good != NULL; /* what is in force has it */
		doubt(m);
		if (u->flight.stage != STAGE_IDLE && m->want && !m->trial)
			set_on_trial(u, m);
	}
	bisect_start(&u->flight.bisect, u->flight.bisect.count);
	return any;
}

static void accept(struct unit *u, struct member *m)
{
	if (m->good == m->trial && !m->changed)
		return; /* accepted by an earlier trial of this flight */
	if (m->good != m->trial) {
		fragment_free(m->good);
		m->good = fragment_keep(m->trial);
	}
	if (m->want != m->trial && !fragment_same(m->want, m->trial))
		return; /* changed again meanwhile: the next flight */
	m->changed = false;
	free(take_ptr(m->quarantined));
	unit_settled(u, m);
}

void suspects_accept(struct unit *u, size_t n)
{
	for (size_t i = 0; i < n; i++)
		accept(u, u->flight.suspects[i]);
}

/* Hardly ever does anybody leave, and to ask ten thousand costs a millisecond. */
static bool take_leaving(struct unit *u)
{
	bool leaving = u->flight.leaving;

	u->flight.leaving = false;
	return leaving;
}

void suspects_left(struct unit *u)
{
	struct table_entry *it;

	if (!take_leaving(u))
		return;
	table_each (&u->members, it) {
		struct member *m = it->value;

		if (!m->leaving)
			continue;
		m->leaving = false;
		fragment_free(take_ptr(m->good));
		if (m->want)
			m->changed = true; /* came back meanwhile */
		else
			unit_forget(u, m);
	}
}

void suspects_quarantine(struct unit *u, size_t place)
{
	struct flight *f = &u->flight;
	struct member *m = f->suspects[place];
	struct member *last = f->suspects[f->bisect.count - 1];
	bool still = m->want == m->trial;

	f->suspects[place] = last;
	last->place = place;
	fragment_free(take_ptr(m->trial));
	if (!still)
		return; /* what it wants now is another thing, and gets a trial of its own */
	m->changed = false;
	m->quarantined_usec = clock_usec();
	if (m->quarantined && strcmp(m->quarantined, f->message) == 0)
		return; /* it was tried again */
	free(m->quarantined);
	m->quarantined = memory_dup(f->message);
	unit_report(u, &(struct report){ .kind = REPORT_QUARANTINED,
					 .item = m->name,
					 .text = m->quarantined,
					 .generation = u->in_force });
	unit_settled(u, m);
}

/* The line that "…/maps.conf:123" in the message points to, owned by the caller; NULL: none. */
static char *line_pointed_to(struct unit *u, const char *file, const char *message)
{
	const char *at = strstr(message, file);
	char *line, *next;
	autofree char *text = NULL;
	size_t len;
	unsigned long n;

	if (!at || at[strlen(file)] != ':')
		return NULL;
	n = strtoul(at + strlen(file) + 1, NULL, 10);
	text = generation_read(u->dir, u->flight.generation, file, &len);
	next = text;
	do {
		line = strsep(&next, "\n");
	} while (line && --n > 0);
	if (!line)
		return NULL;
	line += strspn(line, " \t");
	return strlen(line) < 4 ? NULL : memory_dup(line);
}

static bool is_named(const char *message, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = message; (at = strstr(at, name)) != NULL; at++) {
		bool begins = at == message || !isalnum((unsigned char)at[-1]);

		if (begins && !isalnum((unsigned char)at[len]))
			return true;
	}
	return false;
}

static struct member *holder_of(struct unit *u, size_t first, const char *line)
{
	for (size_t i = first; i < u->flight.bisect.count; i++)
		if (fragment_contains(u->flight.suspects[i]->trial, line, strlen(line)))
			return u->flight.suspects[i];
	return NULL;
}

static struct member *named_in(struct unit *u, size_t first, const char *message)
{
	struct member *best = NULL;

	for (size_t i = first; i < u->flight.bisect.count; i++) {
		struct member *m = u->flight.suspects[i];

		if (is_named(message, m->name) && (!best || strlen(m->name) > strlen(best->name)))
			best = m;
	}
	return best;
}

bool suspects_guess(struct unit *u, size_t first, const char *message)
{
	struct member **row = u->flight.suspects;
	struct member *m = NULL;

	for (size_t i = 0; !m && i < UNIT_FILES; i++) {
		autofree char *line = NULL;

		if (u->file_names[i])
			line = line_pointed_to(u, u->file_names[i], message);
		if (line)
			m = holder_of(u, first, line);
	}
	if (!m)
		m = named_in(u, first, message);
	if (!m)
		return false;
	row[m->place] = row[first];
	row[m->place]->place = m->place;
	row[first] = m;
	m->place = first;
	return true;
}

void suspects_clear(struct unit *u)
{
	struct table_entry *it;

	for (size_t i = 0; i < u->flight.bisect.count; i++)
		fragment_free(take_ptr(u->flight.suspects[i]->trial));
	if (take_leaving(u))
		table_each (&u->members, it)
			((struct member *)it->value)->leaving = false;
	free(take_ptr(u->flight.suspects));
	u->flight.bisect.count = 0;
}
