/*
 * Generations on disk: directories with numbers for names, below the directory
 * of a unit, and `current`, a link to the one in force. Numbers only grow. What
 * is above `current` was never in force, and what is below it once was: so after
 * a crash the numbers alone say what may be thrown away.
 *
 * All of it is root's (0700, files 0600): daemons read their configuration
 * before they drop privileges.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "reconcile/service.h"

#define GENERATIONS_KEPT 5

/* state_dir/unit_dir, made if make is set. A descriptor; -ENOENT without make. */
int generation_open(const struct host *host, const char *unit_dir, bool make, struct err *e);
/* What `current` names, 0: nothing. */
uint64_t generation_current(int dir);
/* Makes `current` name n; 0: no generation. */
int generation_link(int dir, uint64_t n, struct err *e);

/* Writes files[i] that have names to dir/n, made if need be. Nothing is on disk for certain before generation_sync. */
int generation_write(int dir, uint64_t n, const struct unit_file files[static UNIT_FILES],
		     struct err *e);
int generation_sync(int dir, uint64_t n, struct err *e);
void generation_remove(int dir, uint64_t n);
/* What was staged above current and never came into force. */
void generation_discard(int dir, uint64_t current);
/* Keeps current and the newest below it, GENERATIONS_KEPT in all. */
void generation_prune(int dir, uint64_t current);
/* The newest below n, 0: none. */
uint64_t generation_below(int dir, uint64_t n);

/* What tells that somebody wrote to the files of a generation, without reading them. */
struct generation_stamp {
	struct {
		ino_t ino;
		off_t size;
		struct timespec changed;
	} files[UNIT_FILES];
};
/* All zero for files that are not there. */
void generation_stamp(int dir, uint64_t n, const char *const names[static UNIT_FILES],
		      struct generation_stamp *ret);

/*
 * The mark of a generation with which the daemon was seen to work. One that is
 * `current` without it was published by an agent that ended before it could see.
 */
void generation_mark_seen(int dir, uint64_t n);
bool generation_is_seen(int dir, uint64_t n);

/* The text of one file, owned by the caller; NULL: not there. */
char *generation_read(int dir, uint64_t n, const char *name, size_t *ret_len);
/* True if the file on disk is exactly this text. */
bool generation_holds(int dir, uint64_t n, const struct unit_file *file);
