/* From what a CA or a listener answered to the facts that the agent can use. Pure. */
#pragma once

#include "acme/wire.h"
#include "acme/worker/http.h"
#include "agent/base/arena.h"

/* Texts of *ret live in the arena. now: for a Retry-After that is a date, where the answer has none itself. */
void answer_read(const struct request *request, const struct http_answer *answer, int64_t now,
		 struct arena *arena, struct reply *ret);

/* Adds the packet of this reply; of one that cannot be told, a packet that says so. */
void answer_packet(const struct reply *reply, struct buf *ret);
