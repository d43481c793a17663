/*
 * Host names that two webspaces want. A name has one holder: who held it first
 * keeps it, the other is told and waits for it. Rules:
 *   - the same name, or the same wildcard: one holder;
 *   - what lies beneath a wildcard that another holds cannot be had, but who
 *     held such a name before the wildcard came keeps it;
 *   - NAME.base_domain and all beneath it are NAME's while there is a webspace NAME.
 * A change costs what its own names cost, whatever the host holds.
 */
#pragma once

#include <stdbool.h>

#include "agent/base/arena.h"
#include "agent/base/table.h"
#include "agent/model/webspace.h"

struct conflict_config {
	const char *base_domain; /* "": none */
	/* The webspace of that name as its file has it, or NULL. */
	const struct webspace *(*find)(const char *name, void *data);
	/* Another webspace gained or lost names through what was just set. */
	void (*affected)(const char *name, void *data);
	void *data;
};

struct conflict {
	struct conflict_config config;
	struct table holders; /* host name → the holder's name */
	struct table waiting; /* host name, or "@webspace" → struct waiters */
	struct table guests;  /* webspace that is not there → its names that others hold */
	bool restoring;       /* claims come in no order of time: wildcards keep nobody out */
};

void conflict_init(struct conflict *c, const struct conflict_config *config);
void conflict_clear(struct conflict *c);

/*
 * who wants these names now (webspace NULL: it is gone), and wanted those of before (NULL: it is
 * new). who stays valid as long as it wants anything. find() already answers with the new state.
 */
void conflict_set(struct conflict *c, const char *who, const struct webspace *before,
		  const struct webspace *webspace);

/* Takes one name while restoring, if nobody else has it. */
void conflict_restore(struct conflict *c, const char *who, const char *name);

bool conflict_holds(const struct conflict *c, const char *who, const char *name);
/* Why who does not hold the name, a sentence in the arena. */
const char *conflict_why(const struct conflict *c, const char *who, const char *name,
			 struct arena *a);
/* All names that webspace wants and does not hold, in a sentence, or NULL. */
const char *conflict_lost(const struct conflict *c, const struct webspace *w, struct arena *a);
