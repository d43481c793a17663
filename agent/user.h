/* Becoming a webspace's user for the verbs that work in a user's tree: never as root. */
#pragma once

#include <sys/types.h>

#include "agent/base/err.h"
#include "agent/model/host.h"

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
 * Joins the mount namespace if there is one and goes to chroot/data of the
 * user's tree, or into the jail as the new root. Needs root.
 */
int user_enter(const struct host *host, struct user *user, enum user_place place, struct err *e);

/* Takes on the user's ids for good: no supplementary group, no_new_privs, no typing into root's terminal. */
int user_become(const struct user *user, struct err *e);

/* A clean environment, static. */
char **user_environment(const struct user *user);
