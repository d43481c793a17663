/*
 * Counts, since the agent's start, of what reports told: figures that no state holds.
 */
#pragma once

#include <stdint.h>

#include "agent/base/table.h"
#include "reconcile/reconcile.h"

/* Of the daemons of one program. */
struct daemon_figures {
	uint64_t reloads, reload_usec, rolled_back, faults, deaths;
};

struct figures {
	uint64_t failures, fights, quarantines;
	struct table changes[2]; /* by enum change: type of resource → uint64_t */
	struct table daemons;    /* "nginx", "php" → struct daemon_figures */
};

void figures_count(struct figures *f, const struct report *r);
void figures_clear(struct figures *f);
