/*
 * The face of this folder: the desired state of webspaces goes in, the machine
 * follows, and what was found, changed or failed comes out as reports.
 *
 * Everything runs on the loop in slices, so that a look at ten thousand
 * webspaces never keeps a single drifted mode waiting. A webspace is looked at
 * for a reason, its change: intent (its file changed) or drift (something else
 * may have).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "acme/acme.h"
#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/loop.h"
#include "agent/base/table.h"
#include "agent/model/host.h"
#include "agent/model/webspace.h"

enum change { CHANGE_INTENT, CHANGE_DRIFT };

enum condition_type {
	CONDITION_LOADED,
	CONDITION_ACCOUNT,
	CONDITION_DIRECTORIES,
	CONDITION_MOUNTS,
	CONDITION_PHP,
	CONDITION_SITES,
	CONDITION_CERTIFICATE,
	CONDITIONS,
};
extern const char *const condition_names[CONDITIONS];

enum condition_status { CONDITION_UNKNOWN, CONDITION_FALSE, CONDITION_TRUE };

struct condition {
	enum condition_status status;
	const char *
		reason; /* a CamelCase word, static: "Ready", "NoNames", "TermsNotAgreed", "Quarantined" */
	char *message; /* a sentence, owned; NULL: none */
	time_t since;  /* wall time of the last change of status or reason */
};

/* What reconcile knows about one webspace. Owned by reconcile. */
struct subject {
	const char *name;
	const struct webspace *webspace; /* desired; NULL: nothing loaded, or going */
	struct condition conditions[CONDITIONS];
	bool was_wanted; /* it has had a desired state, in this agent's time or before */
	bool going;
	uint64_t retry_usec; /* back-off: not looked at again by itself before; 0 none */
	unsigned n_failures; /* in a row */
	time_t drifted; /* something of it was put back last, wall time; 0: nothing in this agent's time */
	char drift[96]; /* … what: "directory chroot/tmp mode" */
	void *pass;     /* private to the pass: a struct progress */
};

/* True if every condition is True (or does not apply: Unknown with reason "NotWanted"). */
bool subject_ready(const struct subject *s);

enum report_kind {
	REPORT_CHANGED,     /* an item was made or put back: resource, item, change, old, new */
	REPORT_PLANNED,     /* it would be (dry): also old_text and new_text for files */
	REPORT_FAILED,      /* text says why; told again only when it changes, or after a day */
	REPORT_FIGHT,       /* somebody keeps undoing it: backed off */
	REPORT_QUARANTINED, /* webspace's part broke the unit's configuration: text */
	REPORT_HOST_FAULT, /* the unit's configuration is broken without any webspace's doing: text */
	REPORT_PUBLISHED, /* unit runs generation; text: the fault that was told before and is over, NULL: none */
	REPORT_ROLLED_BACK, /* unit is back at generation: text */
	REPORT_DIED,        /* unit's daemon ended by itself: text */
	REPORT_STATUS,      /* conditions of the webspace changed */
	REPORT_CERTIFIED,   /* a CA's certificate came, or went: text */
	REPORT_EXPIRING,    /* a certificate ends soon, and no other has come: text */
	REPORT_REMOVED,     /* webspace is out of service; its subject ends with this call */
	REPORT_IDLE,        /* nothing is left to do until something happens; once each time */
	REPORT_KINDS,
};

struct report {
	enum report_kind kind;
	enum change change;
	const struct subject *subject;     /* NULL: the host's own */
	const char *resource;              /* a resource's or unit's name */
	const char *item;                  /* "chroot/tmp"; NULL: none */
	const char *what;                  /* the attribute: "mode", "source"; NULL: the whole */
	const char *old_value, *new_value; /* old_value NULL: was missing; new_value NULL: goes */
	const char *text;
	const char *old_text, *new_text;
	uint64_t generation;
	uint64_t took_usec; /* PUBLISHED: from the first step of the way to it */
};
typedef void report_fn(const struct report *r, void *data);

struct reconcile_config {
	const struct host *host; /* borrowed, outlives it */
	struct loop *loop;
	bool dry;      /* plan: looks and tells, touches nothing, starts nothing */
	bool one_shot; /* apply: no removal of what is merely unknown */
	report_fn *report;
	void *data;
};

struct reconcile;

/* Joins (or, unless dry, makes) the mount namespace: call it while the process is single-threaded. */
int reconcile_open(const struct reconcile_config *config, struct reconcile **ret, struct err *e);
/* Stops looking after things and leaves them running. */
void reconcile_close(struct reconcile *r);

/* What is wrong with a webspace's file. */
struct file_problem {
	const char *reason; /* of the condition: "Invalid", "NotSaved"; static */
	const char *text;
};

/*
 * The webspace's desired state from now on (borrowed until the next set, drop or
 * REPORT_REMOVED). problem: why the file as it is does not load, or NULL; then
 * webspace is the last known good one, or NULL. lost: see struct entry.
 */
void reconcile_set(struct reconcile *r, const char *name, const struct webspace *webspace,
		   const struct file_problem *problem, const char *lost);
/* An earlier agent saw all of that state in sync on this machine: what differs now is drift. */
void reconcile_was_ready(struct reconcile *r, const char *name);
/* Takes it out of service, also one that was never set; REPORT_REMOVED when done. */
void reconcile_take(struct reconcile *r, const char *name);
/* Look again, soon: at one, or at all (name NULL) at low priority. */
void reconcile_look(struct reconcile *r, const char *name);
/* Nothing is queued, under way or in flight. What waits for a time of its own does not count. */
bool reconcile_settled(const struct reconcile *r);
/* Every webspace that is known has been set once: from now on services publish. */
void reconcile_loaded(struct reconcile *r);
/* … and all files could be seen: what no webspace asks for is left over, and is taken away once. */
void reconcile_may_prune(struct reconcile *r);
/*
 * Something outside changed that all share: the files of accounts, a source of the base; path
 * NULL: any of them. Accounts that we made ourselves are no reason to look at everybody.
 */
void reconcile_look_host(struct reconcile *r, const char *path);

/* Since the start. A pass: from the first look until the queue is empty, be it one webspace's or all. */
struct reconcile_figures {
	uint64_t passes, pass_usec, last_pass_usec;
	struct acme_figures acme; /* all 0 where no CA is asked for anything */
};
struct reconcile_figures reconcile_figures(const struct reconcile *r);

enum certificate_source {
	CERTIFICATE_CA,
	CERTIFICATE_INTERNAL, /* as the site's file asks for */
	CERTIFICATE_STAND_IN, /* internal, until what the file asks for is there */
	CERTIFICATE_FILES,    /* the admin's own */
	CERTIFICATE_SOURCES,
};

/* What a site was served with when it was last looked at. */
struct served_certificate {
	const char *webspace, *site; /* the site's first name */
	time_t not_after;            /* of two, the sooner */
	enum certificate_source source;
};
typedef void served_certificate_fn(const struct served_certificate *c, void *data);
/* All of them, out of memory. Texts are the webspaces'. */
void reconcile_each_certificate(const struct reconcile *r, served_certificate_fn *fn, void *data);

/* How many webspaces wait for reconcile_confirm: their accounts are gone, all at once. */
size_t reconcile_held(const struct reconcile *r);
/* What is held may be done now. Returns for how many webspaces. */
size_t reconcile_confirm(struct reconcile *r, struct err *e);

/* A verb for one of the services: see struct service_type. */
int reconcile_ask(struct reconcile *r, const char *verb, const char *word, struct buf *ret_message);

/* Adds what is wrong with the host's own parts, in sentences; nothing: all is well. */
void reconcile_complain(const struct reconcile *r, struct buf *ret);

/* Do passes get through? now_usec: clock_usec(). 0, or -ETIMEDOUT with a sentence. */
int reconcile_health(const struct reconcile *r, uint64_t now_usec, struct err *e);

struct subject *reconcile_subject(const struct reconcile *r, const char *name);
const struct table *reconcile_subjects(const struct reconcile *r); /* name → struct subject */
/* The newest published generation of any unit, 0: none. */
uint64_t reconcile_generation(const struct reconcile *r);
