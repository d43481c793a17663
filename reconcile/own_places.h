/* Directories of the program's own, with exactly the rights that each is to have. */
#pragma once

#include <sys/types.h>

#include "agent/base/err.h"
#include "agent/model/host.h"

struct own_place {
	const char *path;
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

/* Makes it, and its parents where they are missing; one that is there already gets these rights. */
int own_place_make(const struct own_place *p, struct err *e);

/*
 * LOG_ROOT: root's, for the group that reads logs (0750). Workers of nginx may pass, as they open
 * its log anew by path when it was rotated. A directory that holds logs of others, as /var/log
 * does, keeps its rights.
 */
int own_places_log_root(const struct host *host, struct err *e);
/* LOG_ROOT/NAME: 0640, of that group; made before a daemon would make it with other rights. */
int own_places_log(const struct host *host, const char *name, struct err *e);
