/*
 * Private to unit.c, flight.c and suspects.c: what a unit is inside.
 *
 * A flight is the way from one generation to the next, one at a time:
 *
 *     compose ─► check ─► publish ─► probe ─► committed
 *                  │         └────────┴─► rolled back ─► who? ─┐
 *                  └─► in force too? ─► who? (bisect.h) ◄──────┘
 *
 * Who is found by trials. While the check command can tell, a trial is a check.
 * When all checks pass and yet the daemon does not come up with the generation,
 * a trial is a whole publishing, and those that pass stay in force.
 */
#pragma once

#include "reconcile/service.h"
#include "reconcile/units/bisect.h"
#include "reconcile/units/command.h"
#include "reconcile/units/gate.h"
#include "reconcile/units/generation.h"

enum stage { STAGE_IDLE, STAGE_CHECK_IN_FORCE, STAGE_CHECK, STAGE_PROBE };

struct flight {
	enum stage stage;
	bool renewing;        /* the generation in force is activated again, nothing is published */
	bool by_activation;   /* a trial is a whole publishing */
	bool in_force_passes; /* the check command was asked about it, in this flight */
	bool touched;         /* there is something to publish besides the suspects */
	bool leaving;         /* some members leave with it */
	struct member **suspects;
	struct bisect bisect;
	uint64_t generation;           /* staged; 0: none */
	struct generation_stamp stamp; /* of its files as they were written */
	struct command *command;
	uint64_t begun_usec, probe_until, probe_wait;
	char message[400]; /* why the last trial that was not a control failed */
};

struct unit {
	struct unit_config config;
	char *name, *dir_name;
	int dir;
	struct table members;
	uint64_t in_force; /* `current` names it */
	bool served;       /* … and the daemon was seen to serve it, by us */
	bool known; /* members' good fragments are what it holds; false after a start until compared */
	bool restored;             /* members are what its own list says */
	bool dirty;                /* asked to publish */
	bool forced;               /* publish also without a change */
	bool force_due;            /* … asked for while in flight */
	bool look_due;             /* asked to look while in flight */
	bool admitted;             /* gate.c has let it take off; it has not landed yet */
	struct unit *next_waiting; /* at the gate */
	const char *file_names[UNIT_FILES];
	struct generation_stamp stamp;
	struct flight flight;
	struct loop_source *timer; /* of the stage */
	struct loop_source *retry;
	unsigned n_faults, n_deaths; /* in a row */
	uint64_t served_usec;        /* since when */
	char *fault;                 /* the host's, as told last */
	uint64_t fault_usec;
};

/* unit.c */
struct member *unit_member_add(struct unit *u, const char *name);
void unit_report(struct unit *u, const struct report *r);
void unit_settled(struct unit *u, struct member *m);
/* Composes for dir of generation n, with the first `tried` suspects on trial. Free with unit_files_clear. */
void unit_compose(struct unit *u, uint64_t n, size_t tried, struct unit_file files[UNIT_FILES]);
void unit_files_clear(struct unit_file files[UNIT_FILES]);
void unit_stamp(struct unit *u);
/* The member has left: ends it. */
void unit_forget(struct unit *u, struct member *m);
/* The flight is over. text: the host's fault, or NULL. */
void unit_landed(struct unit *u, const char *fault);

/* unit_plan.c */
/* Reports what publishing would change. */
void unit_plan(struct unit *u);

/* flight.c */
/* Takes off if there is anything to do; nothing is in flight. */
void flight_begin(struct unit *u);
/* The stage's time is up. */
void flight_tick(void *unit);
/* Ends it without a trace; used when the unit closes. */
void flight_clear(struct unit *u);

/* suspects.c */
/* Puts all members whose fragment has not been validated on trial, and notes who leaves. */
void suspects_gather(struct unit *u);
/* What is in force was never seen to work: back to what was, and whoever differs is a suspect. */
void suspects_doubt(struct unit *u);
/* Those that may break by themselves are on trial from now on, in this flight too; false: there are none. */
bool suspects_doubt_fragile(struct unit *u);
/* The first n are good: as they were on trial. */
void suspects_accept(struct unit *u, size_t n);
/* Those who left are gone from the generation in force. */
void suspects_left(struct unit *u);
/* The one at this place is at fault. */
void suspects_quarantine(struct unit *u, size_t place);
/* Moves the one whom the message names to place `first`; false: it names nobody. */
bool suspects_guess(struct unit *u, size_t first, const char *message);
void suspects_clear(struct unit *u);

/* Does any member want to be part of it? */
bool unit_is_wanted(const struct unit *u);
