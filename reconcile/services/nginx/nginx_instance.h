/*
 * Which nginx serves the webspaces: an instance of our own, or the host's, which
 * serves other sites too (nginx.instance). What differs between the two, for
 * whoever checks, starts and reloads it, is in the table behind this.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/arena.h"
#include "agent/model/host.h"

struct nginx_instance {
	const char *generations; /* where they lie, below state_dir */
	const char *socket;      /* where it answers, below run_dir/nginx */
	const char *unit;        /* of systemd's */
	bool is_ours; /* started and ended by us; else only told to read its configuration again */
	unsigned patience_usec; /* how long what keeps it from being started or found may last */
	/* Its command line; by that it is known. */
	const char *const *(*argv)(const struct host *host, struct arena *a);
	const char *const *(*check)(const struct host *host, const char *dir, struct arena *a);
};

extern const struct nginx_instance nginx_own, nginx_system;
/* What nginx finds in its environment where we become it. */
extern const char *const nginx_environment[];

const struct nginx_instance *nginx_instance_of(const struct host *host);
