/*
 * A storm of changes makes every unit of a service publish, and each publishing
 * runs two programs. Started all at once they would take the processors from
 * the visitors and from the agent itself. So a service may let only a few units
 * take off at a time; the others wait, and what changes meanwhile goes with them.
 *
 * Units without a serving daemon go first: their visitors wait too.
 */
#include "reconcile/units/gate.h"

#include "agent/base/clock.h"
#include "reconcile/units/unit.h"

static void wait_add(struct gate *g, struct unit *u)
{
	struct unit **at = &g->first;

	while (*at && *at != u)
		at = &(*at)->next_waiting;
	*at = u;
}

static void wait_drop(struct gate *g, struct unit *u)
{
	struct unit **at = &g->first;

	while (*at && *at != u)
		at = &(*at)->next_waiting;
	if (*at)
		*at = u->next_waiting;
	u->next_waiting = NULL;
}

static struct unit *most_urgent(const struct gate *g)
{
	for (struct unit *u = g->first; u; u = u->next_waiting)
		if (!u->served)
			return u;
	return g->first;
}

bool gate_enter(struct unit *u)
{
	struct gate *g = u->config.gate;

	if (!g || u->admitted)
		return true;
	if (g->n_admitted == g->max) {
		wait_add(g, u);
		return false;
	}
	g->n_admitted++;
	u->admitted = true;
	return true;
}

void gate_leave(struct unit *u)
{
	struct gate *g = u->config.gate;
	struct unit *next;

	if (!g)
		return;
	wait_drop(g, u);
	if (!u->admitted)
		return;
	u->admitted = false;
	next = most_urgent(g);
	if (!next) {
		if (--g->n_admitted == 0 && g->empty)
			g->empty(g->data);
		return;
	}
	/* Its place is kept until its timer goes off: a flight must not begin inside the end of another. */
	wait_drop(g, next);
	next->admitted = true;
	loop_timer_set(next->retry, clock_usec());
}
