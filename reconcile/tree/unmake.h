/*
 * Taking away what we made in a jail: links into the base (which say themselves
 * whose they are), and mount points and directories that are on record
 * (ownership.h). Nothing else is ever removed, and never anything with content.
 */
#pragma once

#include <stdbool.h>

#include "reconcile/resource.h"
#include "reconcile/tree/home.h"

#define MADE_DIR        "dir"
#define MADE_MOUNTPOINT "mountpoint"

/* True if a link with this text is one of ours: "../.base/etc/ssl". */
bool unmake_is_our_link(const char *target);

/* Takes a link away, whatever it leads to. Nothing there, or something else, is success. */
int unmake_link(int parent, const char *leaf, struct err *e);

/* Takes off whatever is mounted on h's path. Nothing there is success. */
int unmake_mounts(struct home *h, struct world *w, const char *path, struct err *e);

/*
 * Takes away what is at h's path: what is mounted on it, then itself, then its
 * record. Gone already is success; -EEXIST: it is not ours; -ENOTEMPTY.
 */
int unmake_place(struct home *h, struct world *w, const char *path, struct err *e);

/*
 * The same to make way for a place of another kind, or for none: what holds others'
 * content stays, uncovered and no longer ours. The record is gone either way.
 */
int unmake_or_leave(struct home *h, struct world *w, const char *path, struct err *e);
