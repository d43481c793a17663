/* The answer to `webspaces confirm` at the agent's door. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/model/catalog.h"

/*
 * Lets held removals go on, of which fn is told. generation: the one that whoever confirms has seen;
 * NULL: whatever is held now. newest: the one in force. False: it is another by now.
 */
bool confirm_answer(struct catalog *c, uint64_t newest, const char *generation,
		    catalog_changed_fn *fn, void *data, struct buf *ret_message);
