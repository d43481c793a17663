/*
 * Who waits to be accepted? The lengths of the accept queues of all listening
 * unix sockets, asked of the kernel (sock_diag(7)) in one question, read in
 * slices on the loop. Works only in our own network namespace.
 */
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"
#include "agent/base/loop.h"

struct backlog;

struct backlog_fns {
	/* A listening socket, by the path it was bound to, at which `waiting` > 0 connections wait. */
	void (*waiting)(const char *path, unsigned waiting, void *data);
	/* The answer is complete, or (complete false) could not be had. The question has ended. */
	void (*done)(bool complete, void *data);
};

/* Asks. fns are called later, never from within. */
int backlog_ask(struct loop *loop, const struct backlog_fns *fns, void *data, struct backlog **ret,
		struct err *e);
/* Forgets the question: nothing is called any more. Not to be called after done, nor from within fns. */
void backlog_forget(struct backlog *b);
