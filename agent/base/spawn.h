/*
 * Other programs: argv, a clean environment, no shell, no descriptor but the
 * standard three, default signals. The only place that forks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

struct spawn {
	int program;             /* what to run, open (spawn_open); 0 or less: argv[0] */
	const char *const *argv; /* argv[0] is an absolute path, or with program any name */
	const char *const *env;  /* "NAME=value", NULL-ended; NULL: PATH and LANG=C.UTF-8 only */
	int in;                  /* standard input; 0 or less: /dev/null */
	int out;                 /* stdout and stderr go here; 0 or less: /dev/null */
	int err;                 /* stderr goes here instead; 0 or less: where stdout goes */
	bool new_session;        /* setsid: the child's pid names its process group */
	bool new_group;          /* the same within the session that we are in */
	bool own_ipc; /* an IPC namespace of its own: no System V memory, semaphores or queues of others */
	mode_t umask; /* 0: 022 */
};

/* The program that runs, for what has to be a process of its own: argv[0] of a spawn. */
#define SPAWN_OURSELVES "/proc/self/exe"

struct spawned {
	pid_t pid;
	int pidfd; /* readable when it has ended; owned by the caller */
};

/*
 * Opens another program of ours: the one in the library directory that goes with the program that
 * runs, or beside it, as where they are built. What is installed over it later changes nothing.
 * -ENOENT; -EPERM: it belongs to somebody else than the program that runs.
 */
int spawn_open(const char *name, struct err *e);

/* Starts it. A program that cannot be executed is an error here, not a status later. */
int spawn_start(const struct spawn *s, struct spawned *ret, struct err *e);

/* Reaps an ended child. Returns its wait status, or -errno (-EAGAIN: runs still; -ECHILD: not ours). */
int spawn_reap(const struct spawned *s);

/* The same of one that was killed: waits for its end. */
int spawn_reap_killed(const struct spawned *s);

/*
 * Runs it to its end, or kills it and its process group at the deadline
 * (-ETIMEDOUT), which is a point in time: clock_usec() + as long as it may take.
 * Output, stdout and stderr together, is added to *output up to 64 KiB; output
 * may be NULL. s->in and s->out are not used, and new_session is always on. input, if
 * not NULL, is its standard input. Returns 0, or -EIO with the last line of the
 * output in e if it failed.
 */
int spawn_run(const struct spawn *s, const char *input, uint64_t deadline_usec, struct buf *output,
	      struct err *e);

/* True if the wait status means exit(0). */
bool spawn_succeeded(int status);

/*
 * What a wait status (or -errno of waiting) means, by the last line of what the program
 * printed: 0, or -EIO with "PROGRAM: that line" in e; -errno of waiting.
 */
int spawn_judge(const char *program, int status, const char *output, size_t len, struct err *e);

/* Does the process catch this signal by now? One that has just begun may die of it. */
bool spawn_catches(pid_t pid, int signo);
