/*
 * An error, by value. It is born once, where the call failed, and is given
 * context on the way up, so that it reads from the outside in:
 * "alice: mount media: open_tree /srv/media: Permission denied".
 *
 * Functions that can fail return 0 (or 1 for "changed something") or -errno,
 * and take the struct err last. It may be NULL. Nothing here allocates.
 */
#pragma once

struct err {
	int code; /* an errno value; 0: no error */
	char text[480];
};

/* Sets the error. Returns -code. */
int err_set(struct err *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Sets the error from errno: "FORMAT: Permission denied". Returns -errno. */
int err_sys(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts context before the text: "FORMAT: text". Returns -e->code (-EIO if e is NULL). */
int err_in(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
