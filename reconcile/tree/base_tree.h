/*
 * What every jail needs of the host, once for all of them: copies of a few
 * paths (time zones, CA certificates, resolv.conf …) and device nodes in a small
 * tmpfs at RUN_DIR/base, in our mount namespace. Each jail gets a read-only clone
 * of this mount.
 *
 * Copies, not binds: a file that is replaced by rename on the host would stay
 * the old one in a bind, and 10,000 jails times a handful of binds are mounts
 * that have to be made and looked after. When a source changes its copy is
 * exchanged in one step, which all jails see at once.
 */
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"
#include "agent/model/host.h"
#include "reconcile/tree/attach.h"

/*
 * Of a jail's view. Not nodev: the device nodes are ours, and nothing else can be.
 * Not noexec: iconv(3) loads its character sets as code, and users write nothing here.
 */
#define BASE_FLAGS (ATTACH_READ_ONLY | ATTACH_NO_SUID)

struct base_tree;

/* make: mounts and fills it; else what is there, if anything, is used. host is borrowed. */
int base_tree_open(const struct host *host, bool make, struct base_tree **ret, struct err *e);
void base_tree_close(struct base_tree *b);

/*
 * Compares the sources with what was copied and exchanges what changed. Where nothing
 * did this is a stat of each source and of each directory in it. 1: changed.
 */
int base_tree_look(struct base_tree *b, struct err *e);

/* What a clone of it looks like: device and inode of its root. false: there is none. */
bool base_tree_root(const struct base_tree *b, struct attached *ret);
/* A detached clone for one jail; a descriptor. */
int base_tree_clone(const struct base_tree *b, struct err *e);
