/*
 * A webspace's user, for the verbs that work in a user's tree. Whoever takes on a user's ids is a
 * process of that user's, whom all others of the user's may stop, end and look into. So it is never
 * a process that has read the host's file or has root's terminal or environment: always a program
 * started for it (cmd_become.c, cmd_walk.c), in which there is nothing to be found.
 */
#pragma once

#include <sys/types.h>

#include "agent/base/err.h"
#include "agent/model/host.h"

#define FIRST_USER_ID 1000

struct user {
	char name[WEBSPACE_NAME_MAX + 1];
	char home[4096]; /* what the command sees as HOME; set by user_enter */
	uid_t uid;
	gid_t gid;
};

enum user_place { USER_HOME, USER_JAIL };

/* The account of a webspace; refuses root and system ids. */
int user_find(const struct host *host, const char *name, struct user *ret, struct err *e);

/*
 * Joins the mount namespace if there is one and goes to chroot/data of the user's tree, or to
 * chroot, which user_become makes the root. Needs root.
 */
int user_enter(const struct host *host, struct user *user, enum user_place place, struct err *e);

/*
 * Takes on the user's ids for good: no supplementary group, no_new_privs, not dumpable, nothing
 * open but the standard three; ends with the process that started it.
 */
int user_become(uid_t uid, gid_t gid, struct err *e);

/* An id among the words of such a program, `min` at least. -EINVAL. */
int user_parse_id(const char *text, id_t min, id_t *ret, struct err *e);
