/*
 * The walk reads links itself and watches each directory before it looks into
 * it: whatever changes after the look makes an event. Only places of the
 * host's own are walked so, never a user's.
 */
#include "watchers/trail.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "watchers/inotify.h"

#define LINKS_MAX 16
#define ENDED     (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)

unsigned trail_event(const struct trail *t, int wd, uint32_t mask, const char *name)
{
	unsigned says = 0;

	for (size_t i = 0; i < t->n_steps; i++)
		if (t->steps[i].wd == wd && (mask & ENDED || strcmp(t->steps[i].name, name) == 0))
			says |= TRAIL_WAY;
	if (wd != t->target || wd < 0)
		return says;
	if (mask & ENDED)
		return says | TRAIL_WAY;
	return says | (*name ? TRAIL_INSIDE : TRAIL_SELF);
}

static void release(struct trail_step *steps, size_t n, int target)
{
	for (size_t i = 0; i < n; i++) {
		inotify_unshare(steps[i].wd);
		free(steps[i].name);
	}
	free(steps);
	inotify_unshare(target);
}

static int add_step(struct trail *t, const char *dir, const char *name, struct err *e)
{
	int wd = inotify_share(*dir ? dir : "/", t->step_mask, e);

	/* Gone while we walk: the step above tells. But without watches nobody does. */
	if (wd == -ENOSPC || wd == -ENOMEM)
		return wd;
	t->steps = memory_resize(t->steps, t->n_steps + 1, sizeof *t->steps);
	t->steps[t->n_steps++] = (struct trail_step){ .wd = wd, .name = memory_dup(name) };
	return 0;
}

struct walk {
	char done[PATH_MAX]; /* resolved so far; "" is the root */
	char *rest;
	unsigned links;
};

/* The link's text comes before what is left of the way. */
static bool follow(struct walk *w, const char *at)
{
	char text[PATH_MAX];

	if (!path_read_link(AT_FDCWD, at, text, sizeof text) || ++w->links > LINKS_MAX)
		return false;
	if (text[0] == '/')
		w->done[0] = '\0';

	char *rest = memory_printf("%s/%s", text, w->rest);

	free(w->rest);
	w->rest = rest;
	return true;
}

static void up(struct walk *w)
{
	char *slash = strrchr(w->done, '/');

	if (slash)
		*slash = '\0';
}

/* One component further. 1: go on, 0: the way ends before its end. */
static int step(struct trail *t, struct walk *w, const char *name, struct err *e)
{
	autofree char *at = memory_printf("%s/%s", w->done, name);
	struct stat st;

	if (strcmp(name, ".") == 0)
		return 1;
	if (strcmp(name, "..") == 0) {
		up(w);
		return 1;
	}
	int r = add_step(t, w->done, name, e);

	if (r < 0)
		return r;
	if (lstat(at, &st) < 0 || strlen(at) >= sizeof w->done)
		return 0;
	if (S_ISLNK(st.st_mode))
		return follow(w, at);
	memcpy(w->done, at, strlen(at) + 1);
	return 1;
}

static int walk_all(struct trail *t, struct walk *w, struct err *e)
{
	for (;;) {
		char *start = w->rest + strspn(w->rest, "/");

		if (!*start)
			return 1;

		char *end = start + strcspn(start, "/");
		autofree char *name = memory_dup(start);
		autofree char *left = memory_dup(end);

		name[end - start] = '\0';
		free(w->rest);
		w->rest = take_ptr(left);

		int r = step(t, w, name, e);

		if (r <= 0)
			return r;
	}
}

/* What the way led to, and a watch on it where it is a directory. */
static int arrive(struct trail *t, const char *at, struct err *e)
{
	struct stat st;

	if (lstat(at, &st) < 0)
		return 0;
	if (S_ISDIR(st.st_mode)) {
		t->target = inotify_share(at, t->target_mask, e);
		if (t->target == -ENOSPC || t->target == -ENOMEM)
			return t->target;
	}
	t->found = true;
	t->dev = st.st_dev;
	t->ino = st.st_ino;
	return 0;
}

int trail_walk(struct trail *t, struct err *e)
{
	struct trail old = *t;
	struct walk w = { .rest = memory_dup(t->path) };

	t->steps = NULL;
	t->n_steps = 0;
	t->target = -1;
	t->found = false;

	int r = walk_all(t, &w, e);

	if (r > 0)
		r = arrive(t, *w.done ? w.done : "/", e);
	free(w.rest);

	/* Only now, so that a directory on both ways is watched throughout. */
	release(old.steps, old.n_steps, old.target);
	if (r < 0)
		return r;
	return old.found != t->found || old.target != t->target ||
	       (t->found && (old.dev != t->dev || old.ino != t->ino));
}

void trail_clear(struct trail *t)
{
	release(t->steps, t->n_steps, t->target);
	t->steps = NULL;
	t->n_steps = 0;
	t->target = -1;
	t->found = false;
}
