/*
 * A user's command, from start to end: with a session and, where we have a terminal, a terminal of
 * its own; the signals that we get are passed on, a stop of the command stops us; and when it has
 * ended, so does everything that it has left behind, whatever session or parent that has.
 *
 * Between us and the command is one process more (cmd_session.c), the leader of its session: the
 * group of a command whose parent is in another session is "orphaned", and the kernel does not stop
 * it at Ctrl-Z (setpgid(2)).
 */
#pragma once

#include "agent/base/err.h"
#include "agent/user.h"

/*
 * Runs argv, NULL-ended, as the user from the working directory, which with USER_JAIL is its root.
 * *ret_status: its wait status. Notes on stderr what would not end.
 */
int session_run(const struct user *user, enum user_place place, char *const *argv, int *ret_status,
		struct err *e);

/* Ends this process as the one with that wait status has ended: by the same signal, or returns its exit code. */
int session_end_like(int status);
