/*
 * Opening what lies in a tree that others may be changing: always beneath a
 * descriptor, never through a link (openat2(2)). Where the kernel has no
 * openat2 the program refuses to run; there is no fallback to get wrong.
 *
 * EAGAIN (a rename raced with us) is tried again a few times here.
 */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "agent/base/err.h"

/* -ENOSYS with a sentence if this kernel lacks openat2, open_tree or move_mount. */
int path_require_kernel(struct err *e);

/*
 * Opens a relative path beneath dir with the given open flags (O_CLOEXEC is
 * added), no link in any component, the last included. Returns a descriptor
 * or -errno: -ELOOP for a link, -EXDEV for an escape.
 */
int path_open(int dir, const char *path, int flags, struct err *e);

/* As path_open, and also never across a mount point. */
int path_open_same_mount(int dir, const char *path, int flags, struct err *e);

/* Opens an absolute path of the host's own (may have links): O_DIRECTORY. */
int path_open_dir(const char *path, struct err *e);

/* Makes the directory with this mode, and its parents (0755) where they are missing: root's own places. 1: made, 0: was there. */
int path_make_dirs(const char *path, mode_t mode, struct err *e);

/*
 * The entries of the directory at a relative path beneath dir (".": itself), from their beginning;
 * opened as by path_open. Owned by the caller (autodir). NULL: error.
 */
DIR *path_list(int dir, const char *path, struct err *e);

/* Reads a whole file, at most max_bytes (else -EFBIG). *ret_text is the caller's; NUL-terminated. */
int path_read(int dir, const char *path, size_t max_bytes, char **ret_text, size_t *ret_len,
	      struct err *e);
/* … that is open already, from where it stands; fails for all but a regular file. */
int path_read_fd(int fd, const char *path, size_t max_bytes, char **ret_text, size_t *ret_len,
		 struct err *e);

/*
 * Where the link at dir/path leads, with a NUL; what is before its name may be links, too. False:
 * there is no link, or it leads to more than fits.
 */
bool path_read_link(int dir, const char *path, char *ret, size_t room);

/* The path under which the kernel shows this descriptor: for calls that only take paths. */
struct path_fd {
	char text[32];
};
struct path_fd path_of_fd(int fd);

/* Removes what is at dir/name with everything below it, never crossing a mount or following a link. 1: removed, 0: nothing there. */
int path_remove_tree(int dir, const char *name, struct err *e);
