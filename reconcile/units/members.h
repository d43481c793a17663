/*
 * The file in which a generation names its members, with each one's fragment. By
 * it a new agent knows what is in force: whoever cannot be had at the moment (a
 * disk that is not mounted, say) or stands in quarantine is not lost by a restart.
 */
#pragma once

#include <stddef.h>

#include "agent/base/buf.h"
#include "reconcile/service.h"

#define MEMBERS_FILE "members"

void members_write(const struct fragment *const *fragments, const char *const *names, size_t n,
		   struct buf *ret);

typedef void members_fn(const char *name, struct fragment *fragment, void *data);
/* Calls fn for each, which takes the fragment. False: not a text that members_write made; fn is not called. */
bool members_read(char *text, size_t len, members_fn *fn, void *data);
