/*
 * How a daemon is started, signalled and followed: by ourselves (direct) or by
 * systemd. All calls return at once; what ends is told through `ended`.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/err.h"
#include "agent/base/loop.h"
#include "agent/model/host.h"

struct daemon_spec {
	const char *
		unit; /* for systemd: "webspaces-nginx.service", "webspaces-php@8.2-03.17.service" */
	const char *const *argv; /* for direct */
	const char *const *env;  /* for direct; NULL-ended, or NULL */
	const char *
		pid_file; /* that the daemon writes itself; by it a restarted agent finds it again */
	pid_t pid; /* for adopt, when known from elsewhere: looked at in place of the pid file's */
	const char *log_file; /* stdout and stderr of a direct daemon are appended there */
	bool own_ipc;         /* for direct: in an IPC namespace of its own */
	bool foreign; /* not ours: adopted by its program alone, and never ended or cleaned up after */
	const struct php_limits *limits; /* when it is started; NULL: none */
};

/* One that runs, or is being started. Each manager keeps its own affairs behind it. */
struct daemon {
	pid_t pid; /* the main process, 0 while it is not known */
};

typedef void daemon_ended_fn(struct daemon *d, const char *how, void *data);

struct manager_type {
	const char *name; /* "direct" */
	int (*open)(const struct host *host, struct loop *loop, void **ret, struct err *e);
	void (*close)(void *manager); /* leaves daemons running */
	/*
	 * Starts it. ended is called once, when it is gone (never from within this call); with
	 * its return the struct daemon ends.
	 */
	int (*start)(void *manager, const struct daemon_spec *spec, daemon_ended_fn *ended,
		     void *data, struct daemon **ret, struct err *e);
	/* Finds one that runs already, by pid file and command line. -ESRCH: none does; what a dead one left is ended. */
	int (*adopt)(void *manager, const struct daemon_spec *spec, daemon_ended_fn *ended,
		     void *data, struct daemon **ret, struct err *e);
	/* Sends it a signal (SIGHUP reload, SIGQUIT graceful end, SIGKILL with all its processes). */
	int (*signal)(void *manager, struct daemon *d, int signo, struct err *e);
	/* Other limits, at once. NULL where there are none to be had. */
	int (*limit)(void *manager, struct daemon *d, const struct php_limits *limits,
		     struct err *e);
	/* Forgets it: ended is not called any more. The daemon goes on. */
	void (*release)(void *manager, struct daemon *d);
};

struct manager {
	const struct manager_type *type;
	void *self;
};

extern const struct manager_type direct_manager;
extern const struct manager_type systemd_manager;

/* By host->manager; auto: systemd where sd_booted(3) says so. */
int manager_open(const struct host *host, struct loop *loop, struct manager *ret, struct err *e);
void manager_close(struct manager *m);
