/*
 * The line to the worker, as the agent sees it.
 *
 * What is asked waits in one list, in order: first those that are under way,
 * then those that are still to be sent. At most FLIGHT_MAX are given to the
 * worker at a time, so that each is at work at once and a reply that does not
 * come within REPLY_SECONDS says that the worker is not well.
 *
 * A worker ends in one way: it is killed, or dies, and its pidfd says so. Only
 * then its exchanges are answered for. A worker that says something that is no
 * message, or nothing for too long, is killed for it.
 *
 * One that has had nothing to do for a while is ended too, and one whose
 * resolv.conf or CAs have been replaced since it went into its sandbox: it could
 * not read the new ones. The next question starts another.
 */
#include "acme/link.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/spawn.h"

#define WORKER        "acme-worker"
#define FLIGHT_MAX    64
#define READ_MAX      32 /* packets at a time: others wait for the loop too */
#define REPLY_SECONDS 150
#define IDLE_SECONDS  600
#define PAUSE_FIRST   (1 * USEC_PER_SEC)
#define PAUSE_LONGEST (300 * USEC_PER_SEC)
#define KILLED_MSEC   1000 /* for a killed process to be gone */

enum { TO_NOBODY_YET, TO_FIRST_WORKER, TO_NOBODY = INT_MAX }; /* the last: no message can say it */

struct pending {
	uint32_t id;
	bool to_ca;
	unsigned worker;    /* to which it was sent: its number; or one of these: */
	uint64_t sent_usec; /* 0: not yet */
	struct buf packet;  /* empty once sent */
	link_fn *fn;
	void *data;
	struct pending *next;
};

/* What the worker opens by name after it has gone into its sandbox. */
struct files {
	struct stat resolver, cas;
};

struct link {
	struct loop *loop;
	char *user, *ca_file;
	const char *const *argv;
	int program; /* our own worker's; -1: none */

	struct pending *first;
	uint32_t last_id;
	size_t flying, unsayable;
	struct link_figures figures;

	/* The worker; number counts them. It runs and is not watched: it has been killed. */
	bool runs, reading;
	unsigned number;
	struct spawned child;
	int line;
	bool wants_out;
	struct loop_source *on_end, *on_line;
	struct files files;
	char why[WIRE_TEXT_MAX + 1]; /* its last words; "": none */

	/* One timer: to start, to look for replies that are late, to end an idle worker. */
	struct loop_source *timer;
	uint64_t may_start_usec, pause_usec, used_usec;

	char packet[WIRE_MAX + 1];
	struct reply reply;
};

static void on_timer(void *data);
static void set_timer(struct link *l);

/* The list */

static struct pending **place_of(struct link *l, uint32_t id)
{
	struct pending **at = &l->first;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static void pending_free(struct pending *p)
{
	buf_clear(&p->packet);
	free(p);
}

static struct pending *unlink_at(struct link *l, struct pending **at)
{
	struct pending *p = *at;

	*at = p->next;
	l->flying -= p->sent_usec > 0;
	l->unsayable -= p->worker == TO_NOBODY;
	return p;
}

static struct pending *first_unsent(const struct link *l)
{
	struct pending *p = l->first;

	while (p && p->worker != TO_NOBODY_YET)
		p = p->next;
	return p;
}

/* Tells a reply to whom it is for, who may ask and drop meanwhile. */
static void give(struct link *l, struct pending **at, const struct reply *reply)
{
	struct pending *p = unlink_at(l, at);

	p->fn(reply, p->data);
	pending_free(p);
}

/* All that are now with this worker, or with none. */
static void fail(struct link *l, unsigned worker, const char *text)
{
	uint32_t last = l->last_id;
	struct pending **at;
	struct reply reply;

	reply_clear(&reply);
	reply.error = REPLY_BROKEN;
	reply.text = text;
	do {
		at = &l->first;
		while (*at && ((*at)->worker != worker || (*at)->id > last))
			at = &(*at)->next;
		if (!*at)
			return;
		reply.id = (*at)->id;
		give(l, at, &reply);
	} while (true);
}

/* Starting and ending */

static struct files files_now(const struct link *l)
{
	struct files now;

	memset(&now, 0, sizeof(now));
	(void)stat("/etc/resolv.conf", &now.resolver);
	if (*l->ca_file)
		(void)stat(l->ca_file, &now.cas);
	return now;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Nothing that it says or said is heard any more; its end is seen as any other. */
static void kill_worker(struct link *l, const char *why)
{
	(void)pidfd_send_signal(l->child.pidfd, SIGKILL, NULL, 0);
	loop_drop(take_ptr(l->on_line));
	if (!l->why[0])
		snprintf(l->why, sizeof(l->why), "%s", why);
}

/* Its process has ended, or will not be waited for any longer. Returns its wait status or -errno. */
static int forget_worker(struct link *l)
{
	int status = spawn_reap(&l->child);

	loop_drop(take_ptr(l->on_end));
	loop_drop(take_ptr(l->on_line));
	close(take_fd(l->line));
	close(take_fd(l->child.pidfd));
	l->runs = l->wants_out = false;
	return status;
}

static void be_gone(struct link *l)
{
	struct pollfd fd = { .fd = l->child.pidfd, .events = POLLIN };

	kill_worker(l, "");
	(void)poll(&fd, 1, KILLED_MSEC);
	(void)forget_worker(l);
}

static void count_death(struct link *l)
{
	l->figures.deaths++;
	l->may_start_usec = clock_usec() + l->pause_usec;
	l->pause_usec = l->pause_usec * 2 < PAUSE_LONGEST ? l->pause_usec * 2 : PAUSE_LONGEST;
}

static void read_replies(struct link *l, size_t max);

/* Its last words, if it was not cut short in them. */
static char *obituary(const struct link *l, int status)
{
	if (status >= 0 && WIFSIGNALED(status) && (WTERMSIG(status) != SIGKILL || !l->why[0]))
		return memory_printf("the worker was killed by signal %d", WTERMSIG(status));
	return memory_printf("the worker ended%s%s", l->why[0] ? ": " : "", l->why);
}

static void ended(int fd, uint32_t events, void *data)
{
	struct link *l = data;
	autofree char *text = NULL;

	(void)fd;
	(void)events;
	if (l->on_line)
		read_replies(l, SIZE_MAX); /* what it said before */
	text = obituary(l, forget_worker(l));
	count_death(l);
	fail(l, l->number, text);
	set_timer(l);
}

/* Replies */

/* false: it is not fit to be listened to. */
static bool take_reply(struct link *l, size_t len)
{
	struct pending **at;

	if (reply_decode(l->packet, len, &l->reply, NULL) < 0)
		return false;
	if (l->reply.id == 0)
		snprintf(l->why, sizeof(l->why), "%s", l->reply.text);
	at = place_of(l, l->reply.id);
	if (!*at || !(*at)->sent_usec)
		return true; /* not wanted any more */
	l->pause_usec = PAUSE_FIRST;
	if ((*at)->to_ca)
		l->figures.connections += l->reply.connections;
	give(l, at, &l->reply);
	return true;
}

static void read_replies(struct link *l, size_t max)
{
	ssize_t n;

	l->reading = true;
	for (size_t i = 0; i < max && l->on_line; i++) {
		n = recv(l->line, l->packet, sizeof(l->packet), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		/* It ended without having read everything. What it said is still to come. */
		if (n < 0 && errno == ECONNRESET)
			continue;
		if (n <= 0)
			kill_worker(l, "it closed the line");
		else if (!take_reply(l, (size_t)n))
			kill_worker(l, "it sent something that is not a message");
	}
	l->reading = false;
}

/* Sending */

static void on_line(int fd, uint32_t events, void *data);

static void watch_line(struct link *l, bool out)
{
	if (l->on_line && out == l->wants_out)
		return;
	loop_drop(l->on_line);
	l->on_line = loop_fd(l->loop, l->line, EPOLLIN | (out ? EPOLLOUT : 0), on_line, l);
	l->wants_out = out;
}

/* false: not now. */
static bool send_one(struct link *l, struct pending *p)
{
	ssize_t n = send(l->line, p->packet.data, p->packet.len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return false; /* full, or dead: then its pidfd tells */
	p->sent_usec = l->used_usec = clock_usec();
	p->worker = l->number;
	buf_clear(&p->packet);
	l->flying++;
	l->figures.requests += p->to_ca;
	return true;
}

static void send_all(struct link *l)
{
	struct pending *p = first_unsent(l);

	while (p && l->flying < FLIGHT_MAX && send_one(l, p))
		p = first_unsent(l);
	watch_line(l, p && l->flying < FLIGHT_MAX);
}

static void on_line(int fd, uint32_t events, void *data)
{
	struct link *l = data;

	(void)fd;
	(void)events;
	read_replies(l, READ_MAX);
	if (l->on_line)
		send_all(l);
}

static int start(struct link *l, struct err *e)
{
	const char *const worker[] = { WORKER, VERSION, l->user, l->ca_file, NULL };
	struct spawn s = { .argv = l->argv ? l->argv : worker, .new_session = true };
	autofd int theirs = -1, ours = -1;
	int line[2], r;

	if (!l->argv && l->program < 0)
		l->program = spawn_open(WORKER, e);
	if (!l->argv && l->program < 0)
		return l->program;
	s.program = l->program;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line) < 0)
		return err_sys(e, "socketpair");
	ours = line[0];
	s.in = theirs = line[1];
	l->files = files_now(l);
	r = spawn_start(&s, &l->child, e);
	if (r < 0)
		return r;
	l->line = take_fd(ours);
	l->runs = true;
	l->number++;
	l->why[0] = '\0';
	l->used_usec = clock_usec();
	l->on_end = loop_fd(l->loop, l->child.pidfd, EPOLLIN, ended, l);
	watch_line(l, false);
	return 0;
}

/* The timer */

/* When the oldest reply is too late. */
static uint64_t late_at(const struct link *l)
{
	uint64_t oldest = UINT64_MAX;

	for (const struct pending *p = l->first; p; p = p->next)
		if (p->sent_usec && p->sent_usec < oldest)
			oldest = p->sent_usec;
	return oldest == UINT64_MAX ? oldest : oldest + REPLY_SECONDS * USEC_PER_SEC;
}

static void set_timer(struct link *l)
{
	uint64_t at = UINT64_MAX;

	if (l->unsayable > 0)
		at = 0;
	else if (!l->runs && l->first)
		at = l->may_start_usec;
	else if (l->on_line && l->first)
		at = late_at(l);
	else if (l->on_line)
		at = l->used_usec + IDLE_SECONDS * USEC_PER_SEC;
	loop_timer_set(l->timer, at);
}

static void start_for_all(struct link *l)
{
	struct err e = { 0 };

	if (start(l, &e) == 0) {
		send_all(l);
		return;
	}
	count_death(l);
	fail(l, TO_NOBODY_YET, e.text);
}

static void on_timer(void *data)
{
	struct link *l = data;
	uint64_t now = clock_usec();

	if (l->unsayable > 0)
		fail(l, TO_NOBODY, "the request has a text that cannot be sent to the worker");
	else if (!l->runs && l->first && now >= l->may_start_usec)
		start_for_all(l);
	else if (l->on_line && l->first && now >= late_at(l))
		kill_worker(l, "it did not answer");
	else if (l->on_line && !l->first && now >= l->used_usec + IDLE_SECONDS * USEC_PER_SEC)
		be_gone(l);
	set_timer(l);
}

/* Would it read something else by name than what it knows? To be asked when nothing is under way. */
static bool is_outdated(const struct link *l)
{
	struct files now = files_now(l);

	return !is_same(&now.resolver, &l->files.resolver) || !is_same(&now.cas, &l->files.cas);
}

/* The face */

void link_open(const struct link_config *config, struct link **ret)
{
	struct link *l = memory_new(sizeof(*l));

	l->loop = config->loop;
	l->user = memory_dup(config->user);
	l->ca_file = memory_dup(config->ca_file);
	l->argv = config->argv;
	l->program = l->argv ? -1 : spawn_open(WORKER, NULL); /* the one that goes with us */
	l->pause_usec = PAUSE_FIRST;
	l->line = -1;
	l->timer = loop_timer(l->loop, UINT64_MAX, on_timer, l);
	*ret = l;
}

void link_close(struct link *l)
{
	struct pending *p;

	if (!l)
		return;
	if (l->runs)
		be_gone(l);
	while ((p = l->first)) {
		l->first = p->next;
		pending_free(p);
	}
	loop_drop(l->timer);
	if (l->program >= 0)
		close(l->program);
	free(l->user);
	free(l->ca_file);
	free(l);
}

uint32_t link_ask(struct link *l, const struct request *request, link_fn *fn, void *data)
{
	struct pending *p = memory_new(sizeof(*p));
	struct request numbered = *request;

	if (l->runs && !l->reading && l->flying == 0 && is_outdated(l))
		be_gone(l);
	if (++l->last_id == 0)
		l->last_id = 1;
	p->id = numbered.id = l->last_id;
	p->to_ca = request->kind < REQUEST_LISTENER;
	p->fn = fn;
	p->data = data;
	if (request_encode(&numbered, &p->packet) < 0) {
		p->worker = TO_NOBODY;
		l->unsayable++;
	}
	*place_of(l, 0) = p;
	if (l->on_line)
		send_all(l);
	set_timer(l);
	return p->id;
}

void link_drop(struct link *l, uint32_t id)
{
	struct pending **at = place_of(l, id);

	if (*at)
		pending_free(unlink_at(l, at));
}

struct link_figures link_figures(const struct link *l)
{
	return l->figures;
}
