/*
 * Letting go of a master that serves no longer. Told to finish (SIGQUIT), its
 * children stop accepting: whoever still waits in a listen queue would be
 * refused. So it is told only when the kernel says, twice in a row, that nobody
 * waits at any of its sockets; since its line's link names another master,
 * nobody new comes. Then it may take as long as its longest request; only well
 * after that it is killed.
 *
 * The sockets of a master or two are borrowed and looked at. When many drain, or
 * borrowing is forbidden, one question about all sockets of the host serves all.
 */
#include <signal.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "reconcile/services/php/php.h"

#define PAUSE_MIN_USEC (100 * USEC_PER_MSEC)
#define PAUSE_MAX_USEC (1000 * USEC_PER_MSEC)
/* Where the kernel cannot tell, that long must do for whoever was on the way. */
#define BLIND_USEC     (3 * USEC_PER_SEC)
#define QUIET_LOOKS    2
/* In all. Few programs are given more than 1024, and the agent has other uses for them. */
#define BORROWED_MAX   512
/* php-fpm itself ends its children by then; after that it is stuck. */
#define STUCK_USEC     (30 * USEC_PER_SEC)

/* How long the requests of this host may take, with some to spare. */
static uint64_t patience_usec(const struct php_service *s)
{
	return (s->longest_request_s + 10) * USEC_PER_SEC;
}

static void tell(struct master *m, int signo)
{
	struct manager *manager = m->service->config.manager;
	struct err e = { 0 };

	if (manager->type->signal(manager->self, m->daemon, signo, &e) < 0)
		php_service_failed(m->service, m->id, &e);
}

static size_t n_borrowed(const struct php_service *s)
{
	size_t n = 0;

	for (const struct master *m = s->masters; m; m = m->next)
		n += queues_count(m->queues);
	return n;
}

/* False: it has to be asked for at the kernel. */
static bool borrowed(struct master *m)
{
	struct php_service *s = m->service;
	autoarena struct arena a = { 0 };

	if (!m->queues && !m->unborrowable)
		m->unborrowable =
			queues_borrow(m->daemon->pid, master_path(s->config.host, m->id, &a),
				      BORROWED_MAX - n_borrowed(s), &m->queues, NULL) < 0;
	return m->queues;
}

static struct master *master_at(struct php_service *s, const char *socket_path)
{
	autoarena struct arena a = { 0 };
	const char *root = master_path(s->config.host, "", &a);
	size_t len = strlen(root);
	const char *id = socket_path + len, *end;

	if (strncmp(socket_path, root, len) != 0 || !(end = strchr(id, '/')))
		return NULL;
	for (struct master *m = s->masters; m; m = m->next)
		if (strncmp(m->id, id, (size_t)(end - id)) == 0 && m->id[end - id] == '\0')
			return m;
	return NULL;
}

static void somebody_waits(const char *path, unsigned waiting, void *data)
{
	struct master *m = master_at(data, path);

	(void)waiting;
	if (m)
		m->busy = true;
}

static void judge(struct master *m, bool known, uint64_t now)
{
	uint64_t drained = now - m->since_usec;

	if (known)
		m->n_quiet = m->busy ? 0 : m->n_quiet + 1;
	else if (drained > BLIND_USEC)
		m->n_quiet = QUIET_LOOKS;
	if (m->n_quiet < QUIET_LOOKS && drained < patience_usec(m->service))
		return;
	m->state = PHP_ENDING;
	m->since_usec = now;
	queues_return(take_ptr(m->queues));
	tell(m, SIGQUIT);
}

static void answered(bool complete, void *data)
{
	struct php_service *s = data;
	uint64_t now = clock_usec();

	s->drain.question = NULL;
	for (struct master *m = s->masters; m; m = m->next)
		if (m->state == PHP_DRAINING && m->asked && m->daemon)
			judge(m, complete, now);
}

static void look(struct master *m, uint64_t now)
{
	m->busy = queues_waiting(m->queues);
	judge(m, true, now);
}

/* Looks at once where it can. True: the kernel has to be asked for the others. */
static bool look_at_borrowed(struct php_service *s, uint64_t now)
{
	size_t n_asked = 0;

	for (struct master *m = s->masters; m; m = m->next) {
		bool drains = m->state == PHP_DRAINING && m->daemon;

		m->busy = false;
		m->asked = drains && !borrowed(m);
		n_asked += m->asked;
		if (drains && !m->asked)
			look(m, now);
	}
	return n_asked > 0;
}

static void ask(struct php_service *s, uint64_t now)
{
	static const struct backlog_fns fns = { .waiting = somebody_waits, .done = answered };

	if (look_at_borrowed(s, now) &&
	    backlog_ask(s->config.loop, &fns, s, &s->drain.question, NULL) < 0) {
		s->drain.question = NULL;
		answered(false, s);
	}
}

static void kill_if_overdue(struct master *m, uint64_t now)
{
	if (m->killed || !m->daemon || now - m->since_usec < patience_usec(m->service) + STUCK_USEC)
		return;
	m->killed = true;
	tell(m, SIGKILL);
}

static void tick(void *data)
{
	struct php_service *s = data;
	uint64_t now = clock_usec();
	size_t n_draining = 0, n_ending = 0;

	for (struct master *m = s->masters; m; m = m->next) {
		n_draining += m->state == PHP_DRAINING;
		n_ending += m->state == PHP_ENDING;
		if (m->state == PHP_ENDING)
			kill_if_overdue(m, now);
	}
	if (n_draining && !s->drain.question)
		ask(s, now);
	if (!n_draining && !n_ending)
		return;
	if (!n_draining || s->drain.pause_usec * 2 > PAUSE_MAX_USEC)
		s->drain.pause_usec = PAUSE_MAX_USEC;
	else
		s->drain.pause_usec *= 2;
	loop_timer_set(s->drain.timer, now + s->drain.pause_usec);
}

void php_drain_wake(struct php_service *s)
{
	if (!s->drain.timer)
		s->drain.timer = loop_timer(s->config.loop, UINT64_MAX, tick, s);
	s->drain.pause_usec = PAUSE_MIN_USEC;
	loop_timer_set(s->drain.timer, clock_usec() + PAUSE_MIN_USEC);
}

void php_drain_close(struct php_service *s)
{
	backlog_forget(s->drain.question);
	loop_drop(s->drain.timer);
	s->drain = (struct php_drain){ 0 };
}
