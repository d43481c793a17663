/*
 * The agent's door: RUN_DIR/agent.sock, SOCK_SEQPACKET, 0600. One JSON object
 * asks, one answers: {"verb": "confirm", "word": "12"} → {"ok": true, "message": "…"}.
 * Only root (or the agent's own user) is heard, by SO_PEERCRED.
 */
#pragma once

#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/base/loop.h"
#include "agent/model/host.h"

struct control;

/* Answers a verb: sets *ret_ok and a sentence. word is NULL when there was none. */
typedef void control_fn(const char *verb, const char *word, bool *ret_ok, struct buf *ret_message,
			void *data);

/* A socket left by a dead agent is replaced; the caller holds the agent's lock. */
int control_open(const struct host *host, struct loop *loop, control_fn *fn, void *data,
		 struct control **ret, struct err *e);
void control_close(struct control *c);

/* The asking side: waits at most five seconds. -ECONNREFUSED or -ENOENT: no agent runs. The answer's sentence is added to *ret_message. */
int control_ask(const struct host *host, const char *verb, const char *word, bool *ret_ok,
		struct buf *ret_message, struct err *e);

/* The lock that only one agent (or apply) of a host can hold: a descriptor, or -EBUSY. */
int control_lock(const struct host *host, struct err *e);
