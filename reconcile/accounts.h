/*
 * Who is who on this host, without a scan of /etc/passwd per question: the
 * local files are read whole when their stat changed; a name they lack is asked
 * of NSS (LDAP and the like), and the answer kept for a minute.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/base/err.h"

struct account {
	uid_t uid;
	gid_t gid;
	bool local;        /* in /etc/passwd */
	bool shared_group; /* its primary group is the primary or a supplementary group of others */
};

struct accounts;

int accounts_open(struct accounts **ret, struct err *e);
void accounts_close(struct accounts *a);

/* Reads the local files again if they changed. Once a slice. */
int accounts_refresh(struct accounts *a, struct err *e);

/* -ENOENT: nobody of that name; other: NSS could not tell (then nothing may be concluded). */
int accounts_get(struct accounts *a, const char *name, struct account *ret, struct err *e);

/* Is the id taken, as uid or as gid, by anybody? */
bool accounts_id_taken(struct accounts *a, id_t id);
