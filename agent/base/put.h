/*
 * Puts a file or a link in place in one step: readers see the old one or the
 * new one, also after a crash.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "agent/base/err.h"

/* What is on disk, each more than the one before. */
enum put_sync {
	PUT_BATCH, /* nothing for certain: the caller syncs, or it can be made anew */
	PUT_BEGUN, /* the disk begins with it, so that a sync of many waits once */
	PUT_DATA,  /* the text, before the name moves: there is never an empty file */
	PUT_SYNC,  /* the name too, when this returns; dir is open for reading */
};

/*
 * Puts text at dir/name if something else is there now: other text, another mode (set
 * exactly, whatever the umask), a file that is not ours, a link. 1: changed, 0: was right,
 * -errno. name is one name, no path. The temporary name is ".NAME.XXXXXX" in dir; only a
 * crash leaves one.
 */
int put_file(int dir, const char *name, mode_t mode, const char *text, size_t len,
	     enum put_sync sync, struct err *e);

/* Puts a symbolic link dir/name → target by rename. 1: changed, 0: was right, -errno. */
int put_link(int dir, const char *name, const char *target, struct err *e);

/* Makes a directory, if there is nothing of this name; its name is on disk. */
int put_dir(int dir, const char *name, mode_t mode, struct err *e);

/* Writes all of it to an open file. */
int put_all(int fd, const char *text, size_t len, struct err *e);

/*
 * The names in dir are on disk: fsync(2); dir is open for reading. There is no syncfs(2) here: a
 * host's users may have gigabytes waiting to be written on the same file system, and the loop would
 * wait for them.
 */
int put_sync_dir(int dir, struct err *e);
/* … and the files in it. */
int put_sync_files(int dir, struct err *e);
