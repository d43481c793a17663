/*
 * The record of what we made: state_dir/made/NAME, a line "KIND ITEM" for each
 * thing ("account 20001", "dir chroot", "mountpoint chroot/etc/ldap"). What is
 * not in it is somebody else's and never taken away.
 *
 * Note a thing before making it: a record of something that a crash kept from
 * being made does no harm, the contrary leaves a thing that nobody owns.
 * Reading the record back costs a file; only the last asked webspace's is kept.
 */
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"
#include "agent/base/table.h"
#include "agent/model/webspace.h"
#include "reconcile/resource.h"

struct ownership;

/* writable false (plan): nothing is ever noted. */
int ownership_open(const char *state_dir, bool writable, struct ownership **ret, struct err *e);
void ownership_close(struct ownership *o);

/* 1: noted, 0: was noted already. item has no line break. */
int ownership_note(struct world *w, const char *name, const char *kind, const char *item,
		   struct err *e);
/* kind and item NULL: anything at all. */
bool ownership_has(struct world *w, const char *name, const char *kind, const char *item);
/* item NULL: every item of the kind; kind NULL too: all. The record of nothing is removed. 1: changed, 0: was not there. */
int ownership_forget(struct world *w, const char *name, const char *kind, const char *item,
		     struct err *e);
/* The items of this kind, in the arena, in the order of their making. */
int ownership_items(struct world *w, const char *name, const char *kind, struct arena *a,
		    struct text_list *ret, struct err *e);
/* Names of webspaces that have an item of this kind (a set: values not NULL). Reads every record. */
int ownership_names(struct world *w, const char *kind, struct table *ret_names, struct err *e);
