/*
 * The last outcome of every webspace, as files under run_dir/status: one JSON
 * object per webspace, and agent.json for what belongs to none. Written by the
 * agent when a condition changes, read by `webspaces status` without it.
 */
#pragma once

#include "agent/base/json.h"
#include "agent/model/host.h"
#include "reconcile/reconcile.h"

struct status;

/* What agent.json says besides the pid. */
struct status_host {
	uint64_t generation;
	const char *revision; /* or NULL */
	size_t held,
		held_accounts; /* removals and lost accounts that wait for `webspaces confirm` */
	uint64_t rolled_back;  /* as of which generation; 0: what files say is in force */
	time_t rolled_back_since;
	const char *passed_over;       /* files of config_dir that are not webspaces'; "": none */
	const char *rolled_back_names; /* of whom, in words; NULL where it is not */
	const char *problem;           /* what is wrong with the host itself, or NULL */
	const char *note;              /* what is good to know of it, or NULL */
};

/* Makes run_dir/status; what an earlier agent left is kept until status_sweep. */
int status_open(const struct host *host, struct status **ret, struct err *e);
void status_close(struct status *s);

/*
 * What an earlier agent saw of the same desired state stands until this one has something else to
 * tell or has seen everything: nobody's site was unready just because an agent began. What is new
 * against it goes to the journal (news.h), with the revision, which may be NULL.
 *
 * 1: more of it is about to be known, so nothing was written yet: status_flush does, when idle or
 * after a while. Until it or status_forget is called, the subject has to stay.
 */
int status_write(struct status *s, const struct subject *subject, const char *revision,
		 struct err *e);
int status_flush(struct status *s, struct err *e);
void status_seen_all(struct status *s);
/* Did an earlier agent leave word that all of this desired state was in sync? Since the boot, that is. */
bool status_was_ready(struct status *s, const struct webspace *webspace);
int status_write_host(struct status *s, const struct status_host *host, struct err *e);
int status_forget(struct status *s, const char *name, struct err *e);
/* Removes files of webspaces that are not in the table. */
int status_sweep(struct status *s, const struct table *subjects, struct err *e);

/* When an agent wrote down last how the host is; 0: never. */
time_t status_told(const struct host *host);
/* {"generation", "revision", "held", "problem", "note", "webspaces": […]} from the files; name NULL: all. Owned by the caller. */
int status_read(const struct host *host, const char *name, struct json **ret, struct err *e);
