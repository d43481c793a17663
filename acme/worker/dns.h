/*
 * Questions to the DNS as a CA would ask them: names as they are, no search
 * list, no hosts file. The only file that knows c-ares is behind this.
 */
#pragma once

#include <poll.h>
#include <stddef.h>

#include "acme/wire.h"
#include "agent/base/arena.h"
#include "agent/base/err.h"

struct dns;
typedef void dns_fn(void *data);

int dns_init(struct err *e);
void dns_open(struct dns **ret);
void dns_close(struct dns *d);

/* Fills *ret, whose texts live in the arena, and calls fn from dns_run. All of them live until then. */
void dns_start(struct dns *d, const struct request *r, struct arena *arena, struct reply *ret,
	       dns_fn *fn, void *data);

/* What to wait for: how many descriptors, and at most how long (-1: for ever). */
size_t dns_fds(struct dns *d, struct pollfd *ret, size_t max);
int dns_timeout_msec(struct dns *d);
void dns_run(struct dns *d);
