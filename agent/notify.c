/*
 * The beat comes from a timer of the loop, so a loop that hangs does not beat;
 * and it is left out while passes do not get through, so systemd ends an agent
 * that turns in vain as well. Its next one finds everything where it was.
 *
 * Before the agent is ready a watchdog does not run yet. Then the beat says that
 * the start goes on: ten thousand new webspaces take longer than any fixed time,
 * and one that hangs is still noticed.
 */
#include "agent/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define BEAT_USEC (10 * USEC_PER_SEC)
#define MORE_TIME "EXTEND_TIMEOUT_USEC=60000000" /* microseconds from when it is told */

struct notify {
	const struct reconcile *reconcile;
	struct loop_source *timer;
	uint64_t beat_usec;
	bool told_ready; /* a word that was lost is said again when next idle */
	bool reloading;
	bool troubled; /* and the journal knows */
};

/* Three times in the interval that was asked for: one that is late, or lost, does no harm. */
static uint64_t beat_usec(void)
{
	uint64_t asked = loop_watchdog_usec() / 3;

	return asked && asked < BEAT_USEC ? asked : BEAT_USEC;
}

static bool is_well(struct notify *n)
{
	struct err e;
	int r = reconcile_health(n->reconcile, clock_usec(), &e);

	if (r < 0 && !n->troubled)
		log_error("%s; systemd is to start another agent", e.text);
	n->troubled = r < 0;
	return r == 0;
}

static void beat(void *data)
{
	struct notify *n = data;
	bool waited_for = !n->told_ready || n->reloading;

	loop_timer_set(n->timer, clock_usec() + n->beat_usec);
	if (is_well(n))
		(void)loop_notify(waited_for ? "WATCHDOG=1\n" MORE_TIME : "WATCHDOG=1");
}

struct notify *notify_open(struct loop *loop, const struct reconcile *r)
{
	struct notify *n = memory_new(sizeof(*n));

	n->reconcile = r;
	n->beat_usec = beat_usec();
	n->timer = loop_timer(loop, clock_usec() + n->beat_usec, beat, n);
	return n;
}

void notify_close(struct notify *n)
{
	if (!n)
		return;
	loop_drop(n->timer);
	free(n);
}

void notify_reloading(struct notify *n)
{
	char state[80];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)clock_usec());
	if (loop_notify(state) >= 0)
		n->reloading = true;
}

static void add_webspaces(const struct reconcile *r, struct buf *ret)
{
	const struct table *subjects = reconcile_subjects(r);
	struct table_entry *it;
	size_t n_ready = 0;

	table_each (subjects, it)
		n_ready += subject_ready(it->value);
	buf_printf(ret, "%zu webspace%s", subjects->count, subjects->count == 1 ? "" : "s");
	if (n_ready < subjects->count)
		buf_printf(ret, ", %zu not ready", subjects->count - n_ready);
}

void notify_idle(struct notify *n)
{
	autobuf struct buf state = { 0 };

	if (!n->told_ready || n->reloading)
		buf_adds(&state, "READY=1\n");
	buf_adds(&state, "STATUS=");
	add_webspaces(n->reconcile, &state);
	buf_printf(&state, "; generation %llu",
		   (unsigned long long)reconcile_generation(n->reconcile));
	if (loop_notify(buf_text(&state)) < 0)
		return;
	n->told_ready = true;
	n->reloading = false;
}

void notify_stopping(void)
{
	(void)loop_notify("STOPPING=1");
}
