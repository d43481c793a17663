/*
 * The mount namespace that all jails live in, named by RUN_DIR/ns/mnt, so that
 * PID 1 never sees their mounts (10,000 of them make a daemon-reload take 18 s).
 * What the host mounts shows up in it (it is a slave), what we mount does not
 * show up on the host; the home tree is a private mount of its own in it, noexec,
 * nosuid and nodev.
 *
 * It outlives the agent: daemons in it go on, a restarted agent joins it.
 * setns(2) needs a single-threaded process: call it before any thread starts.
 */
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"
#include "agent/model/host.h"

/*
 * Joins it; where there is none (or what is there is no mount namespace), makes
 * it if create is set. *ret_in: the process is in it now. The working directory
 * becomes "/".
 */
int namespace_enter(const struct host *host, bool create, bool *ret_in, struct err *e);

/* Joins it; -ENOENT with a sentence if there is none. */
int namespace_require(const struct host *host, struct err *e);

/*
 * For the unit that has it made at boot: as namespace_enter with create, and from then on no
 * process that sees only a copy of the host's mounts makes another.
 */
int namespace_make(const struct host *host, struct err *e);
/* Takes its name away: it ends with the last process in it. Gone already is success. */
int namespace_drop(const struct host *host, struct err *e);

/*
 * The root directory as it was before namespace_enter, that is, as the host sees
 * it; -1: never entered. Stays open and is the namespace's own. By comparing what
 * lies below it with what we see, a mount of the host's that we do not have shows.
 */
int namespace_outside(void);
