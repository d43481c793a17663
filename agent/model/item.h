/*
 * The catalog's own: one item for each webspace, and what happens to it. Only
 * catalog.c calls these; it looks, items change.
 */
#pragma once

#include <stdint.h>

#include "agent/model/catalog.h"
#include "agent/model/conflict.h"
#include "agent/model/good.h"
#include "agent/model/history.h"
#include "agent/model/names.h"

struct item {
	struct entry entry;
	struct webspace *loaded;  /* as its text says */
	struct webspace *derived; /* … without names it lost; NULL: it lost none */
	uint64_t stamp;           /* of the file's stat; 0: not there */
	uint64_t hash;            /* of the text that `loaded` is from; 0: none */
	unsigned round;           /* of the last look_all that saw the file */
	bool exists;              /* the file is there, whatever it is */
	bool claims;              /* its names are in the conflict index */
	bool names_changed;       /* `derived` and `lost` are to be made again */
	bool touched;             /* in c->touched */
	bool told;                /* the caller knows of it */
	bool confirmed;
	char name[];
};

struct pointers {
	void **items;
	size_t count, room;
};

struct catalog {
	const struct host *host;
	struct good good;
	struct conflict conflict;
	struct table items;  /* name → struct item, whose first member is the entry */
	struct table absent; /* in force, and its file is gone */
	struct pointers touched;
	struct pointers retired; /* struct webspace, freed after the callbacks */
	char *revision;
	unsigned round;
	size_t n_files, n_in_force, n_held;
	struct pointers forgotten; /* items that are to go when the callbacks are done */
	bool telling;              /* in the callbacks */
	bool denied_changed;
	bool absence_changed; /* who is absent, since when, or held */
	struct history history;
	uint64_t rolled_back; /* as of which generation; 0: what files say is in force */
	time_t rolled_back_since;
	int held;          /* the directory of texts in force instead of files; -1: none */
	bool file_changed; /* in this look */
	struct table
		passed_over; /* names of files that are not webspaces', of the last look at all */
};

void pointers_add(struct pointers *p, void *item);
/* Of texts. */
void pointers_sort(struct pointers *p);
void pointers_clear(struct pointers *p);

struct item *item_get(const struct catalog *c, const char *name);
struct item *item_make(struct catalog *c, const char *name);
void item_free(struct item *it);
/* "alice.conf" */
const char *item_file(const char *name, char ret[static NAME_FILE_MAX + 8]);
/* The caller's function is to be told of it at the end of this look. */
void item_touch(struct catalog *c, struct item *it);

/* For conflict.h; data is the catalog. */
const struct webspace *item_find_claimant(const char *name, void *data);
void item_names_affected(const char *name, void *data);
/* Wants its names from now on; before: what it had loaded and claimed until now, or NULL. */
void item_claim(struct catalog *c, struct item *it, const struct webspace *before);
/* Makes what is in force from what is loaded. */
void item_settle_names(struct catalog *c, struct item *it);
/* Writes down who was refused what, for the next start. */
int item_put_denied(struct catalog *c, struct err *e);

/* The file is there and says this. Takes ownership of w. */
void item_put_loaded(struct catalog *c, struct item *it, struct webspace *w);
/* The file is there and this is wrong with it (taken over; NULL: nothing). */
void item_put_problem(struct catalog *c, struct item *it, char *text);
/* … these; clears them. */
void item_put_problems(struct catalog *c, struct item *it, struct problems *p);
void item_set_exists(struct catalog *c, struct item *it, bool exists);
void item_set_absent(struct catalog *c, struct item *it, bool elsewhere, time_t now);
void item_set_held(struct catalog *c, struct item *it, bool held);
void item_set_going(struct catalog *c, struct item *it);
/* They have been told. */
void item_end_news(struct item *it);
