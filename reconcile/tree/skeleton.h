/*
 * Which directories and log files a webspace has below HOME_ROOT/NAME, and what
 * rights each has to have. Pure. Everything is root's, so that no user can move
 * a directory of it away; the user gets at its own by the group (a webspace's
 * primary group is its user's alone), the web server by an ACL entry.
 */
#pragma once

#include "agent/base/acl.h"
#include "agent/model/host.h"
#include "reconcile/accounts/accounts.h"
#include "reconcile/tree/jail.h"

enum place_kind {
	PLACE_DIR,
	PLACE_FILE,
	PLACE_LINK,
	PLACE_MOUNTPOINT,
	PLACE_GONE, /* we made it, and nothing asks for it any more */
	PLACE_KINDS,
};

/* What a file of ours says of the account; in the arena. */
typedef const char *skeleton_text_fn(const char *name, const struct account *account,
				     struct arena *a);

struct place {
	const char *path; /* below HOME_ROOT/NAME; ".": itself */
	enum place_kind kind;
	mode_t mode;             /* PLACE_DIR, PLACE_FILE */
	bool group_is_root;      /* else the webspace's group */
	bool web_owns;           /* the web user is the owner */
	unsigned web;            /* what the web server may do: 4 read, 1 search */
	bool hands_on;           /* new files in it can be read by the web server (a default ACL) */
	bool can_be_covered;     /* a mount of the host's may lie on it that we do not have */
	bool in_jail;            /* of jail_plan: replaces what we made there before */
	const char *target;      /* PLACE_LINK */
	skeleton_text_fn *text;  /* PLACE_FILE; NULL: others write it */
	const struct bind *bind; /* PLACE_MOUNTPOINT; NULL: the base */
	size_t slot;             /* a number from 1 on, the same in every webspace; 0: none */
};

extern const struct place skeleton_places[];
extern const size_t skeleton_count;

/* A place of the jail's as one below HOME_ROOT/NAME; path in the arena. Not for JAIL_REFUSED. */
struct place skeleton_place_of(const struct jail_entry *entry, struct arena *a);

struct acl_rights skeleton_rights(const struct place *place, const struct host *host,
				  const struct account *account);
