/* The JSON objects of RFC 8555 and RFC 9773 as fields of a reply. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "acme/wire.h"
#include "agent/base/arena.h"
#include "agent/base/err.h"
#include "agent/base/json.h"

/* Is a good answer to this kind of request an object? */
bool object_is_of(enum request_kind kind);

/* Into a cleared reply (or one of which only its head is set); texts live in the arena. -EBADMSG with a sentence. */
int object_read(enum request_kind kind, const struct json *object, struct arena *arena,
		struct reply *ret, struct err *e);
/* A problem document and its subproblems, as far as they can be read. */
void object_read_problem(const struct json *document, struct arena *arena, struct reply *ret);

/* As text of a message: what is not printable ASCII becomes "?", cut to max bytes. */
const char *object_text(struct arena *arena, const char *text, size_t max);
