/*
 * The event loop over sd-event. A source of ours is the library's source and
 * whom to call; nothing of it is touched after the call, so a callback may drop
 * its own source, or all of them.
 *
 * Adding a source cannot fail in a way that the agent could live with (it would
 * be deaf), so that ends the process, as "no memory" does.
 */
#include "agent/base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"

/* How late a timer may be, so that the kernel can join wake-ups; the preset of sd-event is 250 ms. */
#define TIMER_ACCURACY_USEC 1000

struct loop {
	sd_event *event;
};

struct loop_source {
	sd_event_source *source;
	loop_fn *fn;
	loop_fd_fn *fd_fn;
	void *data;
};

int loop_open(struct loop **ret, struct err *e)
{
	sd_event *event = NULL;
	int r = sd_event_new(&event);

	if (r < 0)
		return err_set(e, -r, "event loop: %s", strerror(-r));
	*ret = memory_new(sizeof(**ret));
	(*ret)->event = event;
	return 0;
}

void loop_close(struct loop *l)
{
	if (!l)
		return;
	sd_event_unref(l->event);
	free(l);
}

int loop_run(struct loop *l)
{
	return sd_event_loop(l->event);
}

int loop_step(struct loop *l, uint64_t timeout_usec)
{
	return sd_event_run(l->event, timeout_usec);
}

void loop_stop(struct loop *l, int code)
{
	(void)sd_event_exit(l->event, code);
}

static void require(int result, const char *what)
{
	if (result >= 0)
		return;
	fprintf(stderr, "webspaces: event loop: %s: %s\n", what, strerror(-result));
	abort();
}

static int on_fd(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct loop_source *s = data;

	(void)source;
	s->fd_fn(fd, events, s->data);
	return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *data)
{
	struct loop_source *s = data;

	(void)source;
	(void)usec;
	s->fn(s->data);
	return 0;
}

static int on_idle(sd_event_source *source, void *data)
{
	struct loop_source *s = data;

	(void)source;
	s->fn(s->data);
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct loop_source *s = data;

	(void)source;
	(void)info;
	s->fn(s->data);
	return 0;
}

static struct loop_source *new_source(loop_fn *fn, void *data)
{
	struct loop_source *s = memory_new(sizeof(*s));

	s->fn = fn;
	s->data = data;
	return s;
}

struct loop_source *loop_fd(struct loop *l, int fd, uint32_t epoll_events, loop_fd_fn *fn,
			    void *data)
{
	struct loop_source *s = new_source(NULL, data);

	s->fd_fn = fn;
	require(sd_event_add_io(l->event, &s->source, fd, epoll_events, on_fd, s),
		"watch a descriptor");
	return s;
}

struct loop_source *loop_timer(struct loop *l, uint64_t at_usec, loop_fn *fn, void *data)
{
	struct loop_source *s = new_source(fn, data);

	require(sd_event_add_time(l->event, &s->source, CLOCK_MONOTONIC, at_usec,
				  TIMER_ACCURACY_USEC, on_time, s),
		"add a timer");
	return s;
}

/* After the loop's end nothing is due any more, and whoever closes may still say so. */
static void require_unless_ended(int r, const char *what)
{
	if (r != -ESTALE)
		require(r, what);
}

void loop_timer_set(struct loop_source *timer, uint64_t at_usec)
{
	require_unless_ended(sd_event_source_set_time(timer->source, at_usec), "set a timer");
	require_unless_ended(sd_event_source_set_enabled(timer->source, SD_EVENT_ONESHOT),
			     "set a timer");
}

struct loop_source *loop_idle(struct loop *l, loop_fn *fn, void *data)
{
	struct loop_source *s = new_source(fn, data);

	require(sd_event_add_defer(l->event, &s->source, on_idle, s), "add idle work");
	require(sd_event_source_set_priority(s->source, SD_EVENT_PRIORITY_IDLE), "add idle work");
	return s;
}

void loop_idle_set(struct loop_source *idle)
{
	require_unless_ended(sd_event_source_set_enabled(idle->source, SD_EVENT_ONESHOT),
			     "set idle work");
}

struct loop_source *loop_signal(struct loop *l, int signo, loop_fn *fn, void *data)
{
	struct loop_source *s = new_source(fn, data);
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, signo);
	sigprocmask(SIG_BLOCK, &one, NULL);
	require(sd_event_add_signal(l->event, &s->source, signo, on_signal, s), "catch a signal");
	return s;
}

void loop_drop(struct loop_source *source)
{
	if (!source)
		return;
	sd_event_source_disable_unref(source->source);
	free(source);
}

void loop_drop_at(struct loop_source **source)
{
	loop_drop(*source);
	*source = NULL;
}

/*
 * sd_notify(3) without its wait: the library blocks while the reader's queue is
 * full, and an agent that waits for whoever follows it serves nobody. The
 * protocol is one datagram, told in the manual page for that purpose.
 */
int loop_notify(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = name ? strlen(name) : 0;
	autofd int fd = -1;

	if (len < 2 || (*name != '/' && *name != '@') || len >= sizeof(to.sun_path))
		return 0;
	memcpy(to.sun_path, name, len);
	if (*name == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -errno;
	return 1;
}

uint64_t loop_watchdog_usec(void)
{
	uint64_t usec = 0;

	return sd_watchdog_enabled(0, &usec) > 0 ? usec : 0;
}
