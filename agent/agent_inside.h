/* What the agent's own files share: agent.c wires it, requests.c answers for it. */
#pragma once

#include <sys/stat.h>

#include "agent/agent.h"
#include "agent/control.h"
#include "agent/journal.h"
#include "agent/metrics.h"
#include "agent/news.h"
#include "agent/notify.h"
#include "agent/status.h"
#include "reconcile/reconcile.h"
#include "watchers/watchers.h"

struct agent {
	struct agent_config config;
	int lock; /* -1: none (plan) */
	struct loop *loop;
	struct journal *journal;
	struct metrics *metrics;
	struct catalog *catalog;
	struct reconcile *reconcile;
	struct watchers *watchers; /* these four only while it stays */
	struct status *status;
	struct control *control;
	struct notify *notify;
	struct loop_source *sources[3], *look_again, *files_again, *status_later;
	char *problem; /* why config_dir cannot be read; NULL: it can */
	struct stat host_file;
	struct news_held held; /* in this look */
	uint64_t rolled_back;  /* as was told last */
	bool loaded, seen_all, ready;
	bool status_due;               /* status_later is set */
	uint64_t counts[REPORT_KINDS]; /* reports so far, by kind */
};

/* Reads the webspace's file, or all (NULL), and passes on what it asks for now. */
void agent_read_file(struct agent *a, const char *name);
/* A catalog_fn: what a file asks for has changed. data: the agent. */
void agent_entry_changed(struct entry *entry, void *data);
void agent_write_host_status(struct agent *a);
/* Reads and checks everything again, as SIGHUP does. */
void agent_reload(struct agent *a);

/* requests.c: a control_fn. data: the agent. */
control_fn agent_answer;
