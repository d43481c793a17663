/*
 * When to look at whom. Two queues: what somebody waits for (a file changed,
 * something drifted) goes before what a full pass wants to see again. One slice
 * at a time, whenever the loop has nothing else to do; when both are empty the
 * burst is over and the services publish.
 *
 * A webspace that failed is left alone for 1 s, 2 s, 4 s … 15 min, a little more
 * or less so that many do not come back together; a new file ends that.
 */
#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "reconcile/pass/pass.h"

#define BACK_OFF_LONGEST (900 * USEC_PER_SEC)
#define WAKE_STEP        (100 * USEC_PER_MSEC)
#define POLL_FIRST       (10 * USEC_PER_MSEC)
#define POLL_LONGEST     USEC_PER_SEC
#define LOOK_LONGEST_S   86400

/* A slice is due: as soon as nothing else is to be done. */
static void slice_is_due(struct reconcile *r)
{
	if (!r->due_usec)
		r->due_usec = clock_usec();
	loop_idle_set(r->idle);
}

static struct progress *queue_take(struct queue *q, struct progress *p)
{
	if (p->before)
		p->before->after = p->after;
	else
		q->first = p->after;
	if (p->after)
		p->after->before = p->before;
	else
		q->last = p->before;
	p->before = p->after = NULL;
	p->queued = QUEUED_NOT;
	return p;
}

void schedule_drop(struct progress *p)
{
	if (p->queued != QUEUED_NOT)
		(void)queue_take(&p->r->queues[p->queued], p);
}

void schedule_add(struct progress *p, enum queued where)
{
	struct reconcile *r = p->r;
	struct queue *q = &r->queues[where];

	if (p->queued != QUEUED_NOT && p->queued <= where)
		return;
	schedule_drop(p);
	p->queued = where;
	p->before = q->last;
	if (q->last)
		q->last->after = p;
	else
		q->first = p;
	q->last = p;
	schedule_burst(r);
}

void schedule_burst(struct reconcile *r)
{
	r->told_idle = false;
	slice_is_due(r);
}

void schedule_all(struct reconcile *r)
{
	struct table_entry *it;

	r->look_services = true;
	table_each (&r->subjects, it)
		schedule_add(it->value, QUEUED_LATER);
	schedule_burst(r);
}

struct progress *schedule_next(struct reconcile *r)
{
	for (enum queued i = QUEUED_SOON; i <= QUEUED_LATER; i++)
		if (r->queues[i].first)
			return queue_take(&r->queues[i], r->queues[i].first);
	return NULL;
}

void schedule_wake(struct progress *p, uint64_t at_usec)
{
	struct reconcile *r = p->r;

	if (at_usec >= r->wake_at_usec)
		return;
	r->wake_at_usec = at_usec;
	loop_timer_set(r->wake_timer, at_usec);
}

void schedule_back_off(struct progress *p)
{
	unsigned n = p->subject.n_failures++;
	uint64_t usec = n < 10 ? USEC_PER_SEC << n : BACK_OFF_LONGEST;
	uint64_t spread = progress_hash(n + 1, p->subject.name) % 401;

	if (usec > BACK_OFF_LONGEST)
		usec = BACK_OFF_LONGEST;
	p->subject.retry_usec = clock_usec() + usec / 1000 * (800 + spread);
	schedule_wake(p, p->subject.retry_usec);
}

/* Whoever's time has come is looked at; whoever's comes next sets the timer. */
static void on_wake(void *data)
{
	struct reconcile *r = data;
	uint64_t now = clock_usec() + WAKE_STEP;
	struct table_entry *it;

	r->wake_at_usec = UINT64_MAX;
	table_each (&r->subjects, it) {
		struct progress *p = it->value;
		uint64_t *times[] = { &p->subject.retry_usec, &p->wake_usec };

		for (size_t i = 0; i < 2; i++) {
			if (*times[i] == 0)
				continue;
			if (*times[i] > now) {
				schedule_wake(p, *times[i]);
				continue;
			}
			*times[i] = 0;
			schedule_add(p, QUEUED_SOON);
		}
	}
}

static void on_full(void *data)
{
	struct reconcile *r = data;

	schedule_all(r);
	loop_timer_set(r->full_timer,
		       clock_usec() + r->config.host->reconcile.full_pass_s * USEC_PER_SEC);
}

static void on_look(void *data)
{
	schedule_all(data);
}

/* A certificate's renewal needs no event but time. */
static void look_timer_arm(struct reconcile *r)
{
	time_t first = 0, now = clock_wall(), wait;

	for (size_t i = 0; i < r->parts.n_types; i++) {
		const struct resource_type *type = r->parts.types[i];
		time_t at = type->next_look ? type->next_look(&r->world, r->type_states[i]) : 0;

		if (at && (!first || at < first))
			first = at;
	}
	if (!first)
		return;
	wait = first > now ? first - now : 60;
	if (wait > LOOK_LONGEST_S)
		wait = LOOK_LONGEST_S;
	loop_timer_set(r->look_timer, clock_usec() + (uint64_t)wait * USEC_PER_SEC);
}

static bool services_are_idle(const struct reconcile *r)
{
	for (size_t i = 0; i < r->parts.n_services; i++)
		if (!r->parts.services[i]->idle(r->services[i]))
			return false;
	return true;
}

static bool queues_are_empty(const struct reconcile *r)
{
	return !r->queues[QUEUED_SOON].first && !r->queues[QUEUED_LATER].first;
}

bool reconcile_settled(const struct reconcile *r)
{
	return r->told_idle && !r->due_usec && queues_are_empty(r) && services_are_idle(r);
}

static bool going_is_withdrawn(struct reconcile *r)
{
	struct table_entry *it;
	bool any = false;

	if (r->n_going == 0)
		return false;
	table_each (&r->subjects, it) {
		struct progress *p = it->value;

		if (p->subject.going && !p->subject.retry_usec && prune_is_withdrawn(p)) {
			schedule_add(p, QUEUED_SOON);
			any = true;
		}
	}
	return any;
}

/*
 * Services go from one generation to the next by themselves and tell what they
 * did; that they are done shows in a look at them, which is cheap.
 */
static void on_poll(void *data)
{
	struct reconcile *r = data;

	if (!r->loaded || !queues_are_empty(r) || going_is_withdrawn(r))
		return;
	if (!services_are_idle(r)) {
		r->poll_usec = r->poll_usec * 2 < POLL_LONGEST ? r->poll_usec * 2 : POLL_LONGEST;
		loop_timer_set(r->poll_timer, clock_usec() + r->poll_usec);
		return;
	}
	if (r->told_idle)
		return;
	r->told_idle = true;
	pass_report(r, &(struct report){ .kind = REPORT_IDLE });
}

void schedule_poll(struct reconcile *r)
{
	r->poll_usec = POLL_FIRST;
	loop_timer_set(r->poll_timer, clock_usec());
}

static void pass_ended(struct reconcile *r)
{
	struct reconcile_figures *f = &r->figures;

	if (!r->pass_began_usec)
		return;
	f->last_pass_usec = clock_usec() - r->pass_began_usec;
	f->pass_usec += f->last_pass_usec;
	f->passes++;
	r->pass_began_usec = 0;
}

struct reconcile_figures reconcile_figures(const struct reconcile *r)
{
	struct reconcile_figures f = r->figures;

	for (size_t i = 0; i < r->n_open_services; i++)
		if (r->parts.services[i]->measure)
			r->parts.services[i]->measure(r->services[i], &f);
	return f;
}

static void burst_end(struct reconcile *r)
{
	pass_ended(r);
	if (!r->loaded)
		return;
	if (r->may_prune && !r->config.one_shot)
		prune_leftovers(r);
	r->may_prune = false;
	for (size_t i = 0; i < r->parts.n_services && r->look_services; i++)
		r->parts.services[i]->look(r->services[i]);
	for (size_t i = 0; i < r->parts.n_services && (r->publish_due || r->look_services); i++)
		r->parts.services[i]->publish(r->services[i]);
	if (r->look_services)
		r->seen_usec = clock_usec();
	r->look_services = r->publish_due = false;
	look_timer_arm(r);
	schedule_poll(r);
}

static void on_idle(void *data)
{
	struct reconcile *r = data;

	r->due_usec = 0;
	if (queues_are_empty(r)) {
		burst_end(r);
		return;
	}
	if (!r->pass_began_usec)
		r->pass_began_usec = clock_usec();
	pass_slice(r);
	slice_is_due(r);
}

void schedule_open(struct reconcile *r)
{
	struct loop *l = r->config.loop;
	unsigned full_s = r->config.host->reconcile.full_pass_s;

	r->wake_at_usec = UINT64_MAX;
	r->seen_usec = clock_usec();
	r->idle = loop_idle(l, on_idle, r);
	r->wake_timer = loop_timer(l, UINT64_MAX, on_wake, r);
	r->look_timer = loop_timer(l, UINT64_MAX, on_look, r);
	r->poll_timer = loop_timer(l, UINT64_MAX, on_poll, r);
	r->full_timer = loop_timer(l, full_s ? clock_usec() + full_s * USEC_PER_SEC : UINT64_MAX,
				   on_full, r);
}

void schedule_close(struct reconcile *r)
{
	struct loop_source **all[] = { &r->idle, &r->wake_timer, &r->look_timer, &r->poll_timer,
				       &r->full_timer };

	for (size_t i = 0; i < ELEMENTS(all); i++) {
		if (*all[i])
			loop_drop(*all[i]);
		*all[i] = NULL;
	}
}
