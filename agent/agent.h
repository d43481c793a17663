/*
 * Wiring: hints of the watchers and looks of the catalog go in, passes come
 * out, and reports go to journal, status and whoever asked. One process has
 * one agent: the one that stays (run), one for a single pass (apply), or one
 * that only looks (plan).
 */
#pragma once

#include "agent/model/catalog.h"
#include "agent/model/host.h"
#include "reconcile/reconcile.h"

enum agent_mode { AGENT_RUN, AGENT_APPLY, AGENT_PLAN };

struct agent_config {
	const struct host *host; /* borrowed */
	enum agent_mode mode;
	/* Each report, also those that the journal leaves out; may be NULL. */
	report_fn *report;
	void *data;
};

struct agent;

/* -EBUSY: another one runs. */
int agent_open(const struct agent_config *config, struct agent **ret, struct err *e);
/* Until a signal (run) or until there is nothing left to do (apply, plan). 0 or -errno. */
int agent_loop(struct agent *a, struct err *e);
void agent_close(struct agent *a);

const struct catalog *agent_catalog(const struct agent *a);
const struct reconcile *agent_reconcile(const struct agent *a);
/* Why the directory of webspaces could not be read, or NULL. */
const char *agent_problem(const struct agent *a);
