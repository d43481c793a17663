/*
 * Who may do what with a file: owner, group, mode and POSIX ACLs as ONE value,
 * compared and set whole. With an ACL the group bits of st_mode are its mask,
 * so neither can be judged or repaired without the other (acl(5)). The only
 * file that knows libacl.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/base/err.h"

#define ACL_NAMED_MAX 4

/* A named user's or group's rights; perm: 4 read, 2 write, 1 search. */
struct acl_named {
	bool is_group;
	id_t id;
	unsigned perm;
};

struct acl_rights {
	uid_t uid;
	gid_t gid;
	mode_t mode; /* rights of owner, owning group and others as if there were no mask; set-id and sticky bits too */
	size_t n_named;
	struct acl_named named[ACL_NAMED_MAX]; /* sorted: users, then groups, by id */
	bool has_default;                      /* directories only: what new files in it get */
	mode_t default_mode;
	size_t n_default;
	struct acl_named default_named[ACL_NAMED_MAX];
};

/*
 * What the object behind the descriptor has now. O_PATH will do; for a directory
 * O_RDONLY costs half. A mask that is not just the union of what it masks, or
 * more named entries than fit, gives *ret_odd = true: then it is not the same as
 * any wanted value, whatever else is equal.
 */
int acl_read(int fd, struct acl_rights *ret, bool *ret_odd, struct err *e);

bool acl_same(const struct acl_rights *a, const struct acl_rights *b);

/*
 * Sets it whole. If the owner is to be another: mode narrowed first, then owner,
 * then mode and ACLs; else they change in one step, and nobody who may enter
 * before and after is shut out meanwhile. Refuses (-EMLINK) anything but a
 * directory that has more than one link.
 */
int acl_write(int fd, const struct acl_rights *want, struct err *e);

/* "0:20001 0750 u:33:--x default 0750 u:33:r-x" for logs. */
struct acl_text {
	char text[200];
};
struct acl_text acl_text(const struct acl_rights *r);
