/*
 * One line a mount, ten thousand lines a look: so this is asked when leftovers
 * are looked for, not for each webspace.
 */
#include "reconcile/tree/mountinfo.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"

#define MOUNT_POINT_FIELD 4 /* of a line, counted from 0 */

static void own_file(FILE *const *f)
{
	if (*f)
		fclose(*f);
}

/* Space, tab, line break and backslash stand there as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 |
				       (from[3] - '0'));
			from += 3;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

static char *mount_point_of(char *line)
{
	char *field = NULL;

	for (int i = 0; i <= MOUNT_POINT_FIELD; i++) {
		field = strsep(&line, " ");
		if (!field)
			return NULL;
	}
	unescape(field);
	return field;
}

/* Cuts "NAME/place" to "NAME", or returns NULL. */
static char *name_of(char *rest, const char *place)
{
	char *slash = strchr(rest, '/');

	if (!slash || strcmp(slash + 1, place) != 0)
		return NULL;
	*slash = '\0';
	return rest;
}

int mountinfo_names(int root, const char *place, struct table *ret_names, struct err *e)
{
	__attribute__((cleanup(own_file))) FILE *f = fopen("/proc/self/mountinfo", "re");
	char above[PATH_MAX];
	autofree char *line = NULL;
	size_t room = 0, len;
	ssize_t n = readlink(path_of_fd(root).text, above, sizeof above - 2);

	if (!f || n < 0)
		return err_sys(e, "/proc/self/mountinfo");
	len = (size_t)n;
	if (above[len - 1] != '/')
		above[len++] = '/';
	while (getline(&line, &room, f) > 0) {
		char *point = mount_point_of(line);
		char *name = point && strncmp(point, above, len) == 0 ? name_of(point + len, place)
								      : NULL;

		if (name)
			(void)table_set(ret_names, name, ret_names);
	}
	return ferror(f) ? err_sys(e, "/proc/self/mountinfo") : 0;
}
