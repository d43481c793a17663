/*
 * The way from one generation to the next, as steps on the loop: each step ends
 * by starting a command, setting a timer, or landing. Nothing here waits.
 *
 * A failed trial does not blame anybody yet. If the generation in force no
 * longer passes either, or the control (bisect.h) fails, the host is at fault,
 * and all that changed stays on trial for the next flight.
 */
#include "reconcile/units/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define PROBE_FIRST (2 * USEC_PER_MSEC)
#define PROBE_MAX   (20 * USEC_PER_MSEC)

static void trial(struct unit *u);

/* Nobody's configuration can cause these. */
static const int host_errors[] = { EADDRINUSE, EADDRNOTAVAIL, ENOSPC, EDQUOT, EMFILE,
				   ENFILE,     ENOMEM,        EROFS,  EIO,    EHOSTDOWN };

static bool is_hosts_fault(int code)
{
	for (size_t i = 0; i < ELEMENTS(host_errors); i++)
		if (code == host_errors[i])
			return true;
	return false;
}

static void flight_reset(struct unit *u)
{
	command_drop(u->flight.command);
	loop_timer_set(u->timer, UINT64_MAX);
	suspects_clear(u);
	if (u->flight.generation != 0)
		generation_remove(u->dir, u->flight.generation);
	u->flight = (struct flight){ 0 };
}

/* fault is NULL or text, also of the flight itself. */
static void land(struct unit *u, const char *fault)
{
	autofree char *text = memory_dup(fault);

	flight_reset(u);
	unit_landed(u, text);
}

/*
 * When the unit closes: what was published and not yet seen to work stays
 * `current`; the next start asks the daemon about it.
 */
void flight_clear(struct unit *u)
{
	if (u->flight.stage == STAGE_PROBE)
		u->flight.generation = 0;
	flight_reset(u);
}

/* Trials -------------------------------------------------------------- */

static bool anybody_composed(const struct unit *u)
{
	struct table_entry *it;

	if (u->flight.bisect.count > 0)
		return true;
	table_each (&u->members, it) {
		const struct member *m = it->value;

		if (m->good && !m->leaving)
			return true;
	}
	return false;
}

static void halt(struct unit *u)
{
	struct err e;

	if (u->in_force != 0)
		u->config.type->stop(u);
	(void)generation_link(u->dir, 0, &e);
	u->in_force = 0;
	u->served = u->forced = false;
	u->known = true;
	suspects_left(u);
	land(u, NULL);
}

static void probe_soon(struct unit *u)
{
	struct flight *f = &u->flight;

	f->stage = STAGE_PROBE;
	f->probe_wait = PROBE_FIRST;
	f->probe_until = clock_usec() + u->config.probe_usec;
	loop_timer_set(u->timer, clock_usec());
}

static void came_up(struct unit *u)
{
	u->served = true;
	u->served_usec = clock_usec();
	generation_mark_seen(u->dir, u->in_force);
	unit_report(u, &(struct report){ .kind = REPORT_PUBLISHED,
					 .generation = u->in_force,
					 .took_usec = u->served_usec - u->flight.begun_usec });
}

static void roll_back(struct unit *u, int code, const char *text);
static void keep_alive(struct unit *u);

static void publish(struct unit *u)
{
	struct flight *f = &u->flight;
	struct err e = { 0 };
	int r;

	if (u->config.need_members && !anybody_composed(u)) {
		halt(u);
		return;
	}
	if (f->bisect.count == 0 && !f->touched && !u->forced && u->in_force != 0 && u->known) {
		/* All that changed is in quarantine, but the daemon may be why this flight began. */
		generation_remove(u->dir, f->generation);
		f->generation = 0;
		keep_alive(u);
		return;
	}
	r = generation_sync(u->dir, f->generation, &e);
	if (r >= 0)
		r = generation_link(u->dir, f->generation, &e);
	if (r < 0) {
		land(u, e.text);
		return;
	}
	f->stage = STAGE_PROBE;
	r = u->config.type->activate(u, f->generation, &e);
	if (r < 0)
		roll_back(u, -r, e.text);
	else
		probe_soon(u);
}

static void verdict(struct unit *u, enum bisect_verdict v, const char *message)
{
	struct flight *f = &u->flight;

	while (v == BISECT_CULPRIT) {
		suspects_quarantine(u, f->bisect.culprit);
		v = bisect_remove(&f->bisect);
	}
	if (v == BISECT_TRY)
		trial(u);
	else if (v == BISECT_NOBODY)
		land(u, message);
	else if (f->by_activation)
		land(u, NULL);
	else
		publish(u);
}

static void trial_passed(struct unit *u)
{
	verdict(u, bisect_told(&u->flight.bisect, true, false), NULL);
}

static void trial_failed(struct unit *u, const char *message)
{
	struct bisect *b = &u->flight.bisect;
	bool guess = false;

	if (b->phase != BISECT_CONTROL)
		snprintf(u->flight.message, sizeof(u->flight.message), "%s", message);
	if (b->phase == BISECT_ALL)
		guess = suspects_guess(u, b->accepted, message);
	verdict(u, bisect_told(b, false, guess), message);
}

/* Checking ------------------------------------------------------------ */

static void check_ended(int status, const char *message, void *data);

static int check(struct unit *u, uint64_t generation, enum stage stage, struct err *e)
{
	autoarena struct arena a = { 0 };
	const char *const *argv = NULL, *const *env = NULL;
	int r;

	u->flight.stage = stage;
	r = u->config.type->check(u, unit_path(u, generation, &a), &a, &argv, &env, e);
	if (r < 0)
		return r;
	return command_start(u->config.loop, argv, env, u->config.check_usec, check_ended, u,
			     &u->flight.command, e);
}

static void check_failed(struct unit *u, const char *message)
{
	struct flight *f = &u->flight;
	struct err e;

	if (f->by_activation || f->in_force_passes || u->in_force == 0) {
		trial_failed(u, message);
		return;
	}
	snprintf(f->message, sizeof(f->message), "%s", message);
	if (check(u, u->in_force, STAGE_CHECK_IN_FORCE, &e) < 0)
		land(u, e.text);
}

static const char *explain(struct unit *u, const char *message, struct buf *words)
{
	autoarena struct arena a = { 0 };
	uint64_t n = u->flight.stage == STAGE_CHECK ? u->flight.generation : u->in_force;

	if (!u->config.type->explain)
		return message;
	u->config.type->explain(unit_path(u, n, &a), message, words);
	return buf_text(words);
}

static void check_ended(int status, const char *message, void *data)
{
	struct unit *u = data;
	struct flight *f = &u->flight;
	autobuf struct buf words = { 0 };

	f->command = NULL;
	if (status != 0)
		message = explain(u, message, &words);
	if (f->stage == STAGE_CHECK_IN_FORCE && status > 0 && suspects_doubt_fragile(u)) {
		f->in_force_passes = true; /* without those it may: the control tells */
		trial(u);
	} else if (status < 0 || (f->stage == STAGE_CHECK_IN_FORCE && status != 0)) {
		land(u, message);
	} else if (f->stage == STAGE_CHECK_IN_FORCE) {
		char first[sizeof(f->message)];

		f->in_force_passes = true;
		memcpy(first, f->message, sizeof(first));
		trial_failed(u, first);
	} else if (status != 0) {
		check_failed(u, message);
	} else if (f->by_activation) {
		publish(u);
	} else {
		trial_passed(u);
	}
}

static uint64_t number_take(struct unit *u)
{
	uint64_t n;
	struct stat st;
	char name[24];

	do {
		n = generation_next(u->config.host);
		snprintf(name, sizeof(name), "%" PRIu64, n);
	} while (fstatat(u->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	return n;
}

/* Composes the first few suspects with everybody's good fragments, and has it checked. */
static void trial(struct unit *u)
{
	struct flight *f = &u->flight;
	struct unit_file files[UNIT_FILES];
	struct err e = { 0 };
	int r;

	if (f->generation == 0)
		f->generation = number_take(u);
	unit_compose(u, f->generation, f->bisect.attempt, files);
	r = generation_write(u->dir, f->generation, files, &e);
	unit_files_clear(files);
	/* Now, not once the daemon runs it: what somebody does to the files until then is drift. */
	generation_stamp(u->dir, f->generation, u->file_names, &f->stamp);
	if (r >= 0)
		r = check(u, f->generation, STAGE_CHECK, &e);
	if (r < 0)
		land(u, e.text);
}

/* Activating ---------------------------------------------------------- */

static int commit(struct unit *u, uint64_t generation, struct err *e)
{
	return u->config.type->commit ? u->config.type->commit(u, generation, e) : 0;
}

static void committed(struct unit *u)
{
	struct flight *f = &u->flight;
	struct err e = { 0 };

	if (commit(u, f->renewing ? u->in_force : f->generation, &e) < 0) {
		roll_back(u, EHOSTDOWN, e.text);
		return;
	}
	if (f->renewing) {
		came_up(u);
		land(u, NULL);
		return;
	}
	u->in_force = f->generation;
	f->generation = 0;
	u->known = true;
	u->forced = f->touched = false;
	u->stamp = f->stamp;
	came_up(u);
	suspects_accept(u, f->bisect.attempt);
	suspects_left(u);
	generation_prune(u->dir, u->in_force);
	if (f->by_activation)
		trial_passed(u);
	else
		land(u, NULL);
}

static bool is_alive(struct unit *u)
{
	return u->in_force != 0 &&
	       (!u->config.type->alive || u->config.type->alive(u, u->in_force));
}

/*
 * The checks passed and the daemon did not come up with it. Trials are whole
 * publishings from here on. But right after a start we do not know what the
 * generation in force holds: trials would take sites away that are served now.
 */
static void roll_back(struct unit *u, int code, const char *text)
{
	struct flight *f = &u->flight;
	autofree char *message = memory_dup(text);
	struct err e;

	if (f->renewing) {
		u->served = false;
		/* Nothing has changed, but what members name outside of it may have. */
		u->dirty |= !is_hosts_fault(code) && !u->fault && suspects_doubt_fragile(u);
		land(u, message);
		return;
	}
	(void)generation_link(u->dir, u->in_force, &e);
	u->config.type->revert(u, u->in_force);
	generation_remove(u->dir, f->generation);
	f->generation = 0;
	u->served = u->served && is_alive(u);
	unit_report(u, &(struct report){ .kind = REPORT_ROLLED_BACK,
					 .text = message,
					 .generation = u->in_force });
	if (is_hosts_fault(code) || !u->known) {
		land(u, message);
		return;
	}
	if (!f->by_activation)
		bisect_start(&f->bisect, f->bisect.count);
	f->by_activation = true;
	trial_failed(u, message);
}

void flight_tick(void *data)
{
	struct unit *u = data;
	struct flight *f = &u->flight;
	uint64_t now = clock_usec();
	struct err e = { 0 };
	int r;

	if (f->stage != STAGE_PROBE)
		return;
	r = u->config.type->probe(u, f->renewing ? u->in_force : f->generation, &e);
	if (r > 0) {
		committed(u);
	} else if (r < 0) {
		roll_back(u, -r, e.text);
	} else if (now >= f->probe_until) {
		err_set(&e, ETIMEDOUT, "it did not come up with the new configuration within %u ms",
			(unsigned)(u->config.probe_usec / USEC_PER_MSEC));
		roll_back(u, ETIMEDOUT, e.text);
	} else {
		loop_timer_set(u->timer, now + f->probe_wait);
		f->probe_wait =
			f->probe_wait * 3 / 2 < PROBE_MAX ? f->probe_wait * 3 / 2 : PROBE_MAX;
	}
}

static void renew(struct unit *u)
{
	struct err e = { 0 };
	int r;

	u->flight.renewing = true;
	u->flight.stage = STAGE_PROBE;
	r = u->config.type->activate(u, u->in_force, &e);
	if (r < 0)
		roll_back(u, -r, e.text);
	else
		probe_soon(u);
}

/* Nothing is to be published: the daemon is to serve what is in force. */
static void keep_alive(struct unit *u)
{
	if (!is_alive(u)) {
		renew(u);
		return;
	}
	u->served = true;
	land(u, NULL);
}

/* Beginning ----------------------------------------------------------- */

/* After a start: is what is on disk what all members together compose to? */
static bool disk_holds_all(struct unit *u)
{
	struct unit_file files[UNIT_FILES];
	bool same = true;

	unit_compose(u, u->in_force, u->flight.bisect.count, files);
	for (size_t i = 0; i < UNIT_FILES; i++)
		same = same && (!files[i].name || generation_holds(u->dir, u->in_force, &files[i]));
	unit_files_clear(files);
	return same;
}

static void recognise(struct unit *u)
{
	if (u->known || !disk_holds_all(u))
		return;
	u->known = true;
	u->served = is_alive(u);
	u->served_usec = clock_usec();
	unit_stamp(u);
	suspects_accept(u, u->flight.bisect.count);
	suspects_clear(u);
}

/*
 * After a start with a list of members: they are what is in force, whatever is
 * wanted now. Texts that differ from what they compose to were edited, or made by
 * another version of this program.
 */
static void recall(struct unit *u)
{
	if (u->known || !u->restored)
		return;
	u->known = true;
	if (!generation_is_seen(u->dir, u->in_force) && is_alive(u))
		generation_mark_seen(u->dir, u->in_force);
	else if (!generation_is_seen(u->dir, u->in_force))
		suspects_doubt(u);
	u->forced = u->in_force != 0 && !disk_holds_all(u);
	u->served = is_alive(u);
	u->served_usec = clock_usec();
	unit_stamp(u);
}

void flight_begin(struct unit *u)
{
	struct flight *f = &u->flight;

	u->dirty = false;
	u->forced |= u->force_due;
	u->force_due = false;
	loop_timer_set(u->retry, UINT64_MAX);
	f->begun_usec = clock_usec();
	f->stage = STAGE_CHECK; /* callbacks from here on see a flight */
	recall(u);
	suspects_gather(u);
	if (u->config.need_members && !unit_is_wanted(u)) {
		halt(u);
		return;
	}
	recognise(u);
	if (f->bisect.count > 0 || f->touched || u->forced || u->in_force == 0 || !u->known)
		trial(u);
	else
		keep_alive(u);
}
