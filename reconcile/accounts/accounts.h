/*
 * Who is who on this host, without a scan of /etc/passwd per question: the
 * local files are read whole when their stat changed; a name they lack is asked
 * of NSS (LDAP and the like), and the answer kept for a minute.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

struct account {
	uid_t uid;
	gid_t gid;
	bool local;        /* in /etc/passwd */
	bool shared_group; /* its primary group is the primary or a supplementary group of others */
};

struct account_group {
	gid_t gid;
	bool shared; /* it has members, or is somebody's primary group */
};

struct accounts;

/* Of this host. */
int accounts_open(struct accounts **ret, struct err *e);
/* Of another place than /etc, whose nsswitch.conf counts too. */
int accounts_open_in(const char *etc, struct accounts **ret, struct err *e);
void accounts_close(struct accounts *a);

/* A member of this name (the web user) does not make a group shared. Borrowed. */
void accounts_web_user(struct accounts *a, const char *name);

/* Reads the local files again if they changed. Once a slice. */
int accounts_refresh(struct accounts *a, struct err *e);
/* The same after a change of our own, which is news to nobody. */
int accounts_refresh_own(struct accounts *a, struct err *e);
/* Has somebody else changed the local files since this was asked last? */
bool accounts_have_news(struct accounts *a);

/*
 * -ENOENT: nobody of that name; other: NSS could not tell (then nothing may be concluded).
 * An account of a name service counts as sharing its group also when the group bears another name.
 */
int accounts_get(struct accounts *a, const char *name, struct account *ret, struct err *e);

/* The group of this name, of which `name` and the web user may be members. Errors as of accounts_get. */
int accounts_group(struct accounts *a, const char *name, struct account_group *ret, struct err *e);

/* Has anybody but the user and the group `but` this id, as uid or as gid? "the user bob". */
bool accounts_id_holder(struct accounts *a, id_t id, const char *but, struct buf *ret_who);
/* Is the id taken, as uid or as gid, by anybody? */
bool accounts_id_taken(struct accounts *a, id_t id);
