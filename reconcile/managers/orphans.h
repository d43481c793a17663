/*
 * Processes whose parent is gone. Daemons leave them behind when they are
 * killed: workers that still hold the listening sockets. As their subreaper (or
 * as PID 1 of a container) the agent is their parent then, and owes them a wait.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/loop.h"

struct orphans;

/* Makes us the subreaper, and waits for whatever is left to us. */
struct orphans *orphans_open(struct loop *loop);
void orphans_close(struct orphans *o);

/* Ends what is left of the process group of a leader that is gone, if it runs this program. True: something was. */
bool orphans_end(pid_t group, const char *program);

/* Is that what /proc/PID/exe shows, also after the program's file was replaced? */
bool process_runs(pid_t pid, const char *program);
