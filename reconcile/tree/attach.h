/*
 * Putting a mount in its place and taking it off, by descriptors alone: a mount
 * is cloned detached, gets its flags, then is moved onto the place, so that it
 * never exists without them and cannot land anywhere else
 * (open_tree(2), mount_setattr(2), move_mount(2)).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/err.h"

/* Flags of a mount, as MOUNT_ATTR_*: these four are what we judge. */
#define ATTACH_READ_ONLY 0x1u
#define ATTACH_NO_SUID   0x2u
#define ATTACH_NO_DEV    0x4u
#define ATTACH_NO_EXEC   0x8u
#define ATTACH_FLAGS     0xfu
/* Of all mounts of the home tree: what a user can write there is never code, a device or set-id. */
#define ATTACH_SEALED    (ATTACH_NO_SUID | ATTACH_NO_DEV | ATTACH_NO_EXEC)

/* What is at a place. */
struct attached {
	bool is_mount; /* the descriptor is the root of a mount */
	dev_t dev;
	ino_t ino;
	mode_t type; /* S_IFDIR, S_IFREG … */
	unsigned flags;
};

/* fd: O_PATH will do. flags are looked up only if want_flags. */
int attach_look(int fd, bool want_flags, struct attached *ret, struct err *e);

/*
 * A detached, private clone of the one mount that dir/path lies on, from there
 * down, with these flags added. path "": dir itself. Returns a descriptor.
 */
int attach_clone(int dir, const char *path, unsigned flags, struct err *e);

/*
 * Moves the clone onto the place. covered: something is mounted there, place is
 * its root, and it goes; without a gap where the kernel can mount beneath.
 */
int attach_place(int clone, int place, bool covered, struct err *e);

/* Sets exactly these flags on the mount whose root fd is. */
int attach_set_flags(int fd, unsigned flags, struct err *e);

/* Adds ATTACH_SEALED to the mount whose root fd is; deep: also to all mounts below it. */
int attach_seal(int fd, bool deep, struct err *e);

/* Takes off the mount whose root fd is, and all below it. */
int attach_detach(int fd, struct err *e);

/* "ro,nosuid,nodev,noexec" */
struct attach_text {
	char text[32];
};
struct attach_text attach_flags_text(unsigned flags);
