/*
 * Ten thousand bases and as many binds are in the table, and nearly all are
 * sealed: what is kept of it is the few that are not.
 */
#include "reconcile/tree/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/tree/attach.h"
#include "reconcile/tree/jail.h"
#include "reconcile/tree/mountinfo.h"

#define READ_SHARE 20                  /* of our time, at most a twentieth goes into reading */
#define BASE_PLACE "chroot/" JAIL_BASE /* root's own, with devices */

int sealed_open(struct sealed *s, struct err *e)
{
	*s = (struct sealed){ .changes = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC) };
	return s->changes < 0 ? err_sys(e, "/proc/self/mountinfo") : 0;
}

void sealed_close(struct sealed *s)
{
	if (s->changes >= 0)
		close(s->changes);
	table_clear(&s->loose);
	arena_clear(&s->arena);
	s->changes = -1;
}

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; *at; at += strspn(at, ",")) {
		size_t n = strcspn(at, ",");

		if (n == len && memcmp(at, word, len) == 0)
			return true;
		at += n;
	}
	return false;
}

/* options: "rw,nosuid,nodev". */
static bool is_sealed(const char *options)
{
	return has_word(options, "noexec") && has_word(options, "nosuid") &&
	       has_word(options, "nodev");
}

static void note(const char *path, const char *options, void *data)
{
	struct sealed *s = data;
	const char *slash = strchr(path, '/');
	const char *rest = slash ? slash + 1 : "";
	const char *name;
	struct loose_mount *loose;

	if (is_sealed(options) || strcmp(rest, BASE_PLACE) == 0)
		return;
	if (!*path) {
		s->home_is_loose = true;
		return;
	}
	name = arena_dupn(&s->arena, path, slash ? (size_t)(slash - path) : strlen(path));
	loose = arena_new(&s->arena, sizeof(*loose));
	loose->path = arena_dup(&s->arena, rest);
	loose->next = table_set(&s->loose, name, loose);
}

int sealed_observe(struct sealed *s, int home_root, struct err *e)
{
	uint64_t begin = clock_usec();
	int r;

	if (s->due_usec && (begin < s->due_usec || !mountinfo_changed(s->changes)))
		return 0;
	(void)mountinfo_changed(s->changes); /* what changes from here on is news */
	table_clear(&s->loose);
	arena_clear(&s->arena);
	s->home_is_loose = false;
	r = mountinfo_below(home_root, note, s, e);
	s->due_usec = begin + (clock_usec() - begin) * READ_SHARE;
	return r;
}

const struct loose_mount *sealed_loose(const struct sealed *s, const char *name)
{
	return table_get(&s->loose, name);
}

int sealed_apply(int home_root, const char *name, const char *path, struct err *e)
{
	char at[PATH_MAX];
	char *slash;

	(void)snprintf(at, sizeof at, "%s%s%s", name, *path ? "/" : "", path);
	for (;;) {
		autofd int fd = path_open(home_root, at, O_PATH, e);
		struct attached is;
		int r = fd < 0 ? fd : attach_look(fd, false, &is, e);

		if (r < 0 || is.is_mount)
			return r < 0 ? r : attach_seal(fd, false, e);
		slash = strrchr(at, '/');
		if (!slash)
			return attach_seal(home_root, false, e);
		*slash = '\0';
	}
}
