/*
 * A command that judges (nginx -t, php-fpm -t): started, followed by its pidfd
 * in the loop, killed at its deadline, and heard once it ends. Its output goes
 * to memory, so it never blocks on us, nor we on it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "agent/base/loop.h"

struct command;

/*
 * status: 0 it succeeded, 1 it failed and message says why in its own words,
 * -errno it could not be judged (-ETIMEDOUT). The command is gone when this is called.
 */
typedef void command_ended_fn(int status, const char *message, void *data);

int command_start(struct loop *l, const char *const *argv, const char *const *env,
		  uint64_t deadline_usec, command_ended_fn *fn, void *data, struct command **ret,
		  struct err *e);
/* Where it succeeds, message is all it said and not only a complaint. */
void command_keep_output(struct command *c);
/* Kills it and forgets it; fn is not called. */
void command_drop(struct command *c);

/* The line of a daemon's output that says what is wrong; ret is cut to fit. */
void command_complaint(const char *output, char *ret, size_t size);
