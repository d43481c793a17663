/*
 * What a user leaves on the host outside of the own tree: processes, objects of System V and POSIX
 * IPC, files in places where everybody may put some, a crontab, mail.
 */
#pragma once

#include <sys/types.h>

#include "agent/base/err.h"

/*
 * Ends every process of these ids by one system call, kill(-1): no process of theirs can fork away
 * from it. Done by a helper (webspaces end-processes) that has the ids itself, so that the kernel
 * lets it reach nobody else's. Success if there is none.
 */
int leavings_end_processes(uid_t uid, gid_t gid, struct err *e);

/*
 * Takes away what there is of the user whose processes have ended, as far as it is in a known place;
 * what is in directories of others stays. All is tried, the first failure is the one returned.
 */
int leavings_remove(const char *name, uid_t uid, struct err *e);
