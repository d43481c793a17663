/*
 * The event loop: one thread, nothing in it blocks or sleeps. The only file
 * that knows sd-event and sd_notify.
 *
 * A source belongs to whoever added it: loop_drop ends it, also from within
 * its own callback. Descriptors stay the caller's; drop the source before closing.
 * Adding one never returns NULL: what cannot be watched ends the process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"

struct loop;
struct loop_source;

typedef void loop_fn(void *data);
typedef void loop_fd_fn(int fd, uint32_t epoll_events, void *data);

int loop_open(struct loop **ret, struct err *e);
void loop_close(struct loop *l);

/* Runs until loop_stop; returns the code given to it, or -errno. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int code);
/* Waits for the next event, at most so long, and handles it: for tests. 1: something happened. */
int loop_step(struct loop *l, uint64_t timeout_usec);

/* epoll_events: EPOLLIN, EPOLLPRI … (epoll_ctl(2)). */
struct loop_source *loop_fd(struct loop *l, int fd, uint32_t epoll_events, loop_fd_fn *fn,
			    void *data);

/* Once, at a time of clock_usec(); UINT64_MAX: not before loop_timer_set. Stays until dropped. */
struct loop_source *loop_timer(struct loop *l, uint64_t at_usec, loop_fn *fn, void *data);
void loop_timer_set(struct loop_source *timer, uint64_t at_usec);

/* Once, when every pending event has been handled, then off until loop_idle_set. For work in slices. */
struct loop_source *loop_idle(struct loop *l, loop_fn *fn, void *data);
void loop_idle_set(struct loop_source *idle);

/* Blocks the signal for the process and calls fn for each. */
struct loop_source *loop_signal(struct loop *l, int signo, loop_fn *fn, void *data);

void loop_drop(struct loop_source *source);

#define autoloop_source __attribute__((cleanup(loop_drop_at)))
void loop_drop_at(struct loop_source **source);

/*
 * sd_notify(3): "READY=1", "STATUS=…". Nothing happens when not started by systemd. Never waits:
 * 1: told, 0: nobody wants to know, -EAGAIN: whoever does has not read for long; nothing was told.
 */
int loop_notify(const char *state);
/* The watchdog interval systemd asked for in microseconds, 0: none. */
uint64_t loop_watchdog_usec(void);
