/*
 * Which generation does nginx serve? A GET over a unix socket in a directory
 * that only root may enter, without ever waiting: HTTP/1.0, so that the end of
 * the answer is the end of the connection.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "agent/base/err.h"
#include "agent/base/loop.h"

struct verify;

/* generation: what it answered; 0: no answer, or none that makes sense. The question is gone by then. */
typedef void verify_fn(uint64_t generation, void *data);

/* fn is not called from within. < 0: nobody can be asked (-ECONNREFUSED, -ENOENT, -EAGAIN), fn is not called. */
int verify_ask(struct loop *l, const char *socket_path, verify_fn *fn, void *data,
	       struct verify **ret, struct err *e);
/* The process that listens there, 0: not known. */
pid_t verify_holder(const struct verify *v);
/* fn is not called any more. */
void verify_drop(struct verify *v);

/* "HTTP/1.1 200 OK … 17\n" → 17; 0: anything else. Pure. */
uint64_t verify_parse(const char *answer);
