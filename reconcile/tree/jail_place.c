/* The jail's own places: links, mount points, and what is in excess. */
#include "reconcile/tree/jail_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "reconcile/ownership.h"
#include "reconcile/tree/unmake.h"

static bool is_made_by_us(const struct sight *s)
{
	const char *name = s->home->name, *path = s->place->path;

	return ownership_has(s->w, name, MADE_MOUNTPOINT, path) ||
	       ownership_has(s->w, name, MADE_DIR, path);
}

/* A link holds no data: one that leads elsewhere is a drift. */
void jail_place_link_observe(const struct sight *s, struct finding *f)
{
	ssize_t n = readlinkat(s->parent, s->leaf, f->old_value, sizeof f->old_value - 1);

	if (n < 0 && errno == ENOENT) {
		f->state = OBSERVED_MISSING;
		return;
	}
	if (n < 0 && (errno != EINVAL || !is_made_by_us(s))) {
		place_found_wrong_type(s, f, "a link");
		return;
	}
	f->old_value[n < 0 ? 0 : n] = '\0';
	f->state = n >= 0 && strcmp(f->old_value, s->place->target) == 0 ? OBSERVED_IN_SYNC
									 : OBSERVED_DIFFERS;
	f->what = n < 0 ? "type" : "target";
	if (f->state == OBSERVED_DIFFERS)
		snprintf(f->new_value, sizeof f->new_value, "%s", s->place->target);
}

int jail_place_link_apply(const struct sight *s, struct err *e)
{
	int r = is_made_by_us(s) ? unmake_place(s->home, s->w, s->place->path, e) : 0;

	return r < 0 ? r : put_link(s->parent, s->leaf, s->place->target, e);
}

/* Mount points --------------------------------------------------------- */

/* 0: there is no such source, which the mount itself tells. */
static mode_t wanted_type(const struct place *place)
{
	struct stat st;

	if (!place->bind)
		return S_IFDIR;
	if (stat(place->bind->source, &st) < 0)
		return 0;
	return S_ISDIR(st.st_mode) ? S_IFDIR : S_IFREG;
}

/* A directory of ours that held other binds, and becomes the place of one. */
static bool was_dir(const struct sight *s)
{
	return s->place->bind && ownership_has(s->w, s->home->name, MADE_DIR, s->place->path);
}

/* Only the type matters; if something is mounted, which is for the mount to judge, then that one's. */
void jail_place_mountpoint_observe(const struct sight *s, struct finding *f)
{
	mode_t wanted = wanted_type(s->place);
	struct stat st;

	f->state = OBSERVED_IN_SYNC;
	if (!wanted)
		return;
	if (fstatat(s->parent, s->leaf, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0) {
		place_found_error(s, f, -errno, "a mount point");
		return;
	}
	if ((wanted == S_IFDIR) == S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode) && !was_dir(s))
		return;
	if (!S_ISLNK(st.st_mode) && !is_made_by_us(s)) {
		place_found_wrong_type(s, f, "a mount point");
		return;
	}
	f->state = OBSERVED_DIFFERS;
	f->what = "type";
	snprintf(f->old_value, sizeof f->old_value, "%s", place_type_name(st.st_mode));
	snprintf(f->new_value, sizeof f->new_value, "%s",
		 was_dir(s) ? "a mount point" : place_type_name(wanted));
}

int jail_place_mountpoint_apply(const struct sight *s, struct err *e)
{
	const char *name = s->home->name, *path = s->place->path;
	int fd, r = 0;

	if (is_made_by_us(s))
		r = unmake_or_leave(s->home, s->w, path, e);
	if (r >= 0)
		r = unmake_link(s->parent, s->leaf, e);
	if (r >= 0 && s->place->bind)
		r = ownership_note(s->w, name, MADE_MOUNTPOINT, path, e);
	if (r < 0)
		return r;
	if (wanted_type(s->place) == S_IFDIR) /* what was left is mounted over */
		return mkdirat(s->parent, s->leaf, 0700) < 0 && errno != EEXIST
			       ? err_sys(e, "mkdir")
			       : 0;
	fd = openat(s->parent, s->leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? err_sys(e, "make the mount point") : close(fd);
}

/* What nothing asks for any more --------------------------------------- */

/* The directory it lay in may be gone too: only the record counts. */
void jail_place_gone_observe(const struct sight *s, struct finding *f)
{
	f->state = OBSERVED_IN_SYNC;
	if (!is_made_by_us(s))
		return;
	f->state = OBSERVED_DIFFERS;
	f->what = "no longer wanted";
	snprintf(f->old_value, sizeof f->old_value, "there");
	snprintf(f->new_value, sizeof f->new_value, "gone");
}

int jail_place_gone_apply(const struct sight *s, struct err *e)
{
	return unmake_or_leave(s->home, s->w, s->place->path, e);
}
