/*
 * Back to what webspaces' files said as of an earlier generation (history.h), and
 * held there until a file changes. For the catalog's files alone; its users see
 * catalog_roll_back.
 */
#pragma once

#include "agent/model/item.h"

/* What was held before a restart. */
void rollback_restore(struct catalog *c);
void rollback_close(struct catalog *c);
/* The item is about to have another text than the one in force: keeps that one. */
void rollback_keep(struct catalog *c, const struct item *it);
/* Its own file is in force again, or about to be. */
void rollback_unpin(struct catalog *c, struct item *it);
/* Some file has changed, or somebody said so: every file is in force again. */
void rollback_end(struct catalog *c, time_t now);
/* The webspace has gone. */
void rollback_forget(struct catalog *c, const char *name);
/* It is in force without having a file, until the end of the rollback. */
bool rollback_needs_no_file(const struct item *it);
