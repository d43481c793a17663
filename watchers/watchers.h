/*
 * Something may have changed: a hint where to look, never the truth. A lost
 * hint costs a minute, until the next full pass.
 *
 * Watched: the drop-in directory and its parent (settled: 200 ms of quiet, 2 s
 * at most), the home tree's managed directories (at once), the mount table, and
 * a few files of the host.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "agent/base/loop.h"

enum hint {
	HINT_FILE, /* name's file in config_dir; NULL: any of them, or the directory itself */
	HINT_HOME, /* something of name's tree or mounts; NULL: of anybody's (an overflow) */
	HINT_HOST, /* a file all share: name is its path; NULL: any of them */
};
typedef void hint_fn(enum hint hint, const char *name, void *data);

struct watchers_config {
	struct loop *loop;
	const char *config_dir, *home_root;
	const char *const *host_files; /* NULL-ended: /etc/passwd, sources of the base … */
	unsigned settle_ms;
	hint_fn *hint;
	void *data;
};

struct watchers;

int watchers_open(const struct watchers_config *config, struct watchers **ret, struct err *e);
void watchers_close(struct watchers *w);

/*
 * Watch this webspace's tree (idempotent; directories that are made anew are followed), or no
 * longer. Where the kernel has no more watches to give (-ENOSPC) that is an error once; then 1 is
 * returned: its drift waits for the full pass.
 */
int watchers_home(struct watchers *w, const char *name, struct err *e);
void watchers_forget(struct watchers *w, const char *name);

/* Reads what the kernel has for us. True: no hint waits to be given. */
bool watchers_settled(struct watchers *w);

/*
 * We changed mounts of this webspace ourselves (NULL: of nobody in particular): events of the mount
 * table that are pending are taken as seen, so that one more jail among ten thousand does not cost
 * reading the whole table.
 */
void watchers_own_mounts(struct watchers *w, const char *name);
