/*
 * What the files of the pass share, and nobody else sees: the queue of subjects
 * (schedule.c), a slice's way through the types (pass.c), conditions, removal
 * and pruning, and the guard against fights.
 *
 * Types and services come as tables, so that tests drive the pass with their own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "reconcile/reconcile.h"
#include "reconcile/resource.h"
#include "reconcile/service.h"

#define TYPES_MAX    8
#define SERVICES_MAX 4

enum queued { QUEUED_NOT, QUEUED_SOON, QUEUED_LATER, QUEUES };

struct fight;

/* A subject and the pass's own notes about it. */
struct progress {
	struct subject subject;
	struct reconcile *r;
	struct progress *before, *after; /* in the queue */
	enum queued queued;
	bool intent;          /* the desired state is newer than the last time all was in sync */
	bool withdrawn;       /* going: the services have been told */
	bool conditions_new;  /* changed since they were last reported */
	uint64_t fingerprint; /* of the webspace that was last set */
	char *lost;           /* names that another webspace has; NULL: none */
	uint64_t wake_usec;   /* an item is held back until then; 0: none */
	uint64_t told_hash;   /* the failure that was told last */
	time_t told;          /* … when; 0: none */
	struct fight *fights;
};

struct queue {
	struct progress *first, *last;
};

struct parts {
	const struct resource_type *const *types;
	size_t n_types;
	const struct service_type *const *services;
	size_t n_services;
};

struct reconcile {
	struct reconcile_config config;
	struct parts parts;
	struct world world;
	struct arena arena;
	struct manager manager;
	bool has_manager;
	void *type_states[TYPES_MAX];
	void *services[SERVICES_MAX];
	size_t n_open_types, n_open_services;

	struct table subjects;    /* name → struct progress, whose first member is the subject */
	struct table told_faults; /* unit → what was told last of its failing, until it goes well */
	struct queue queues[QUEUES];
	bool in_slice, loaded, may_prune, look_services, publish_due, told_idle;
	size_t n_going;
	struct loop_source *idle, *wake_timer, *full_timer, *look_timer, *poll_timer;
	uint64_t wake_at_usec, poll_usec;
	uint64_t due_usec;        /* since when a slice is due; 0: none is */
	uint64_t seen_usec;       /* when everything had been looked at last */
	uint64_t pass_began_usec; /* 0: none is under way */
	struct reconcile_figures figures;
};

/* parts.c: opens types, services and timers over a world that is ready. On failure all are closed. */
int parts_open(struct reconcile *r, struct err *e);
/* … and ends them, and every subject. Not the world. */
void parts_close(struct reconcile *r);

/* schedule.c */
void schedule_open(struct reconcile *r);
void schedule_close(struct reconcile *r);
void schedule_add(struct progress *p, enum queued where);
void schedule_all(struct reconcile *r);
/* Something is to be done, if only at the end of the burst. */
void schedule_burst(struct reconcile *r);
/* The next one to look at, out of the queue; NULL: none. */
struct progress *schedule_next(struct reconcile *r);
void schedule_drop(struct progress *p);
/* It failed (once more): not before a while. */
void schedule_back_off(struct progress *p);
/* Look at it again by itself at that time. */
void schedule_wake(struct progress *p, uint64_t at_usec);
/* Something may have come to its end. */
void schedule_poll(struct reconcile *r);

/* pass.c: takes the next webspaces from the queue through the types and to the services. */
void pass_slice(struct reconcile *r);
void pass_report(struct reconcile *r, const struct report *report);
/* Tells a failure, unless it was told before. */
void pass_tell_failure(struct progress *p, const char *resource, const char *text);

/* conditions.c */
void condition_set(struct progress *p, enum condition_type type, enum condition_status status,
		   const char *reason, const char *message, time_t now);
/* REPORT_STATUS if anything changed since the last. */
void condition_report(struct progress *p);
void conditions_clear(struct subject *s);

/* fight.c. May the item be put back now? If not, *ret_until_usec says when. */
bool fight_allows(const struct progress *p, const char *type, const char *item, uint64_t now_usec,
		  uint64_t *ret_until_usec);
/* It was put back because of drift. True: that was once too often, to be told now. */
bool fight_put_back(struct progress *p, const char *type, const char *item, uint64_t now_usec);
void fights_clear(struct progress *p);

/* prune.c */
void prune_going(struct progress *p);
bool prune_is_withdrawn(const struct progress *p);
/* What webspaces that nobody asks for left behind. */
void prune_leftovers(struct reconcile *r);

/* subjects.c */
void progress_free(struct progress *p);
/* A webspace that no file names, to be taken out of service. */
void subject_take_over(struct reconcile *r, const char *name);

/* FNV-1a over the text, going on from a value (0: begin). */
uint64_t progress_hash(uint64_t from, const char *text);
