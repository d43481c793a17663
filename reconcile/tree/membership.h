/*
 * web_access = "group": the web server's user is made a member of each
 * webspace's group. That is how it used to be done, and why the preset is an ACL
 * entry instead: a group gives the web server all that the user may do, writing
 * too; a process keeps the groups it was started with, so nginx has to be
 * restarted (not reloaded) before a new webspace is served; and there are at
 * most 65,536 groups to a process.
 */
#pragma once

#include <sys/types.h>

#include "agent/base/err.h"
#include "reconcile/resource.h"

struct membership;

/* user is borrowed. */
struct membership *membership_new(const char *user);
void membership_free(struct membership *m);

/* Reads /etc/group again if it changed. Once a slice. */
int membership_refresh(struct membership *m, struct err *e);
void membership_observe(struct membership *m, gid_t gid, struct finding *f);
/* Noted for the next flush. */
int membership_add(struct membership *m, gid_t gid, struct err *e);
/* One usermod(8) for all that were added. */
int membership_flush(struct membership *m, struct err *e);
