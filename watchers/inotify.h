/*
 * inotify(7) through libinotifytools. There is one for the process, as the
 * library has but one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/inotify.h>

#include "agent/base/err.h"

/* wd -1: the queue overflowed and events are lost. name: "" for the directory itself. */
typedef void inotify_fn(int wd, uint32_t mask, const char *name, void *data);

/* Returns the descriptor to wait on (EPOLLIN); it stays ours. -EBUSY: open already. */
int inotify_open(struct err *e);
void inotify_close(void);

/*
 * Watches a directory; a link in its place is refused. Returns a watch
 * descriptor, the same again for a directory that is watched already. old: what
 * was returned for this path before, or -1; it is ended where another directory
 * (or none) is there now.
 */
int inotify_watch(const char *path, uint32_t mask, int old, struct err *e);
/* Ends it; one that ended by itself is fine. */
void inotify_forget(int wd);

/* The same for directories that several may want: each inotify_share is ended by one inotify_unshare. */
int inotify_share(const char *path, uint32_t mask, struct err *e);
void inotify_unshare(int wd);

/* Passes on what is pending, a bounded number. True: come again, the descriptor may stay quiet. */
bool inotify_drain(inotify_fn *fn, void *data);
