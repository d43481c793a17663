/*
 * What may be a name: of a webspace (which is a user), of a host, of a path.
 * Checks are strict, since these words end in other programs' configuration,
 * in paths that root opens and in certificates. The only file that knows
 * libidn2.
 */
#pragma once

#include <stdbool.h>

#include "agent/base/arena.h"
#include "agent/base/err.h"
#include "agent/model/webspace.h"

#define NAME_HOST_MAX 253

/*
 * A user name as Debian's tools take it (useradd(8), lower case): a letter or
 * underscore, then letters, digits, - and _, 32 at most; no name that a system
 * has for itself. 0 or -EINVAL with why.
 */
int name_check_webspace(const char *name, struct err *e);

#define NAME_FILE_MAX 64 /* of what stands before ".conf", good name or not */

/* "NAME.conf" → NAME in ret, good or not; false: no webspace's file (dotfile, backup, other suffix). */
bool name_of_file(const char *file, char ret[static NAME_FILE_MAX + 1]);
/* A file of the same directory that is not a webspace's, and that somebody may take for one: not a hidden one without .conf. */
bool name_is_passed_over(const char *file);

/*
 * A host name (RFC 1123), made lower case, without trailing dot, other scripts
 * as xn--. wildcard: a leading "*." is taken too. -EINVAL with why.
 */
int name_host(struct arena *a, const char *text, bool wildcard, const char **ret, struct err *e);

/* "a/b.c": no empty, "." or ".." component, no control character, no leading or trailing slash. */
int name_check_relative(const char *path, struct err *e);
/* "/a/b", likewise; "/" too. */
int name_check_absolute(const char *path, struct err *e);

/* Is this host among those a webspace is placed on? An empty list means every host. */
bool name_is_placed(const struct text_list *hosts, const char *host);

/* True for 1–31, 127. */
bool name_is_control(char c);
