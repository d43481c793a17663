/*
 * A program that is run beside the loop, with what it prints: the admin's hook
 * for TXT records, our own maker of long keys.
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/base/loop.h"

struct program;
/*
 * problem: NULL if it ended with 0 in time; else "PROGRAM: why", by the last line that it printed.
 * output: the last 64 KiB of what it printed. Both end with the call.
 */
typedef void program_fn(const char *problem, const struct buf *output, void *data);

/* argv[0] an absolute path; env NULL: the clean one. fn is called later, once. */
struct program *program_start(struct loop *l, const char *const *argv, const char *const *env,
			      unsigned timeout_s, program_fn *fn, void *data);
/* Kills it, with its process group. */
void program_drop(struct program *p);
