/* Going back to an earlier generation: one answer for the agent's door and for work without an agent. */
#pragma once

#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/model/catalog.h"

/*
 * verb "rollback": word is the generation, NULL the one before; "release": an end of it. A sentence
 * either way; false: refused. What changed is told by the catalog's next look.
 */
bool back_answer(struct catalog *c, const char *verb, const char *word, struct buf *ret_message);
