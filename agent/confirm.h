/* The answer to `webspaces confirm` at the agent's door. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/model/catalog.h"
#include "reconcile/reconcile.h"

/*
 * Lets held removals go on, which fn is called for, and held accounts be made again. generation:
 * the one that whoever confirms has seen; NULL: whatever is held now. False: another is in force by now.
 */
bool confirm_answer(struct catalog *c, struct reconcile *r, const char *generation,
		    catalog_changed_fn *fn, void *data, struct buf *ret_message);
/* "3 removals go on, 1 account is made again"; when: "", or " with the next apply". */
void confirm_say(size_t n_removals, size_t n_accounts, const char *when, struct buf *ret_message);
