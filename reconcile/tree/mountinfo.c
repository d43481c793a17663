/*
 * One line a mount, ten thousand lines a look: so this is asked when leftovers
 * are looked for, not for each webspace.
 */
#include "reconcile/tree/mountinfo.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/memory.h"
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

/* Splits the line's blanks away; NULL where it has fewer fields. */
static char *next_field(char **line, int n)
{
	char *field = NULL;

	for (int i = 0; i < n; i++) {
		field = strsep(line, " ");
		if (!field)
			return NULL;
	}
	return field;
}

/* What is left of path below above, "" if it is that itself; NULL if it lies elsewhere. */
static const char *rest_below(const char *path, const char *above)
{
	size_t len = strcmp(above, "/") == 0 ? 0 : strlen(above);

	if (strncmp(path, above, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return path[len] ? path + len + 1 : path + len;
}

int mountinfo_below(int root, mountinfo_fn *fn, void *data, struct err *e)
{
	__attribute__((cleanup(own_file))) FILE *f = fopen("/proc/self/mountinfo", "re");
	char above[PATH_MAX];
	autofree char *line = NULL;
	size_t room = 0;
	ssize_t n = readlink(path_of_fd(root).text, above, sizeof above - 1);

	if (!f || n < 0)
		return err_sys(e, "/proc/self/mountinfo");
	above[n] = '\0';
	while (getline(&line, &room, f) > 0) {
		char *at = line;
		char *point = next_field(&at, MOUNT_POINT_FIELD + 1);
		char *options = point ? next_field(&at, 1) : NULL;
		const char *rest;

		if (!options)
			continue;
		unescape(point);
		rest = rest_below(point, above);
		if (rest)
			fn(rest, options, data);
	}
	return ferror(f) ? err_sys(e, "/proc/self/mountinfo") : 0;
}

bool mountinfo_changed(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLPRI };

	return poll(&p, 1, 0) > 0 && (p.revents & POLLPRI);
}

struct search {
	const char *place;
	struct table *names;
};

/* "NAME/place" is what is looked for. */
static void add_name(const char *path, const char *options, void *data)
{
	struct search *s = data;
	const char *slash = strchr(path, '/');
	autofree char *name = NULL;

	(void)options;
	if (!slash || strcmp(slash + 1, s->place) != 0)
		return;
	name = memory_printf("%.*s", (int)(slash - path), path);
	(void)table_set(s->names, name, s->names);
}

int mountinfo_names(int root, const char *place, struct table *ret_names, struct err *e)
{
	return mountinfo_below(root, add_name, &(struct search){ place, ret_names }, e);
}
