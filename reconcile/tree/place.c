/* Directories and files: a type and rights. */
#include "reconcile/tree/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/acl.h"
#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "reconcile/ownership.h"
#include "reconcile/tree/jail_place.h"
#include "reconcile/tree/unmake.h"

#define MARK_AGE_SECONDS 2
#define ROTATION_SECONDS 2   /* logrotate needs less than a thousandth of that */
#define TEXT_MAX         256 /* of a file that says an account's line */

const char *place_type_name(mode_t mode)
{
	return S_ISDIR(mode)    ? "a directory"
	       : S_ISREG(mode)  ? "a file"
	       : S_ISLNK(mode)  ? "a link"
	       : S_ISSOCK(mode) ? "a socket"
				: "something special";
}

void place_found(struct finding *f, enum observed state, const char *reason, const char *format,
		 ...)
{
	va_list args;

	f->state = state;
	f->reason = reason;
	va_start(args, format);
	vsnprintf(f->text, sizeof f->text, format, args);
	va_end(args);
}

void place_found_wrong_type(const struct sight *s, struct finding *f, const char *wanted)
{
	struct stat st;

	if (fstatat(s->parent, s->leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		place_found(f, OBSERVED_NOT_READY, NULL, "%s is changing", s->place->path);
	else
		place_found(f, OBSERVED_FOREIGN, "WrongType", "%s is %s, where %s has to be",
			    s->place->path, place_type_name(st.st_mode), wanted);
}

/* Why the place could not be opened. */
void place_found_error(const struct sight *s, struct finding *f, int error, const char *wanted)
{
	if (error == -ENOENT)
		f->state = OBSERVED_MISSING;
	else if (error == -ENOTDIR || error == -ELOOP)
		place_found_wrong_type(s, f, wanted);
	else if (error == -EXDEV)
		place_found(f, OBSERVED_FOREIGN, "HostMount",
			    "a file system is mounted on %s, where the webspace's own directory "
			    "has to be",
			    s->place->path);
	else
		place_found(f, OBSERVED_NOT_READY, NULL, "%s: %s", s->place->path,
			    strerror(-error));
}

/* Rights --------------------------------------------------------------- */

static void compare_rights(const struct acl_rights *want, const struct acl_rights *is, bool is_odd,
			   struct finding *f)
{
	f->state = OBSERVED_IN_SYNC;
	if (!is_odd && acl_same(want, is))
		return;
	f->state = OBSERVED_DIFFERS;
	if (want->uid != is->uid || want->gid != is->gid) {
		f->what = "owner";
		snprintf(f->old_value, sizeof f->old_value, "%u:%u", is->uid, is->gid);
		snprintf(f->new_value, sizeof f->new_value, "%u:%u", want->uid, want->gid);
	} else if (want->mode != is->mode) {
		f->what = "mode";
		snprintf(f->old_value, sizeof f->old_value, "%04o", is->mode);
		snprintf(f->new_value, sizeof f->new_value, "%04o", want->mode);
	} else {
		f->what = "acl";
		snprintf(f->old_value, sizeof f->old_value, "%s%s", acl_text(is).text,
			 is_odd ? " (masked)" : "");
		snprintf(f->new_value, sizeof f->new_value, "%s", acl_text(want).text);
	}
}

static void observe_rights(const struct sight *s, int fd, struct finding *f)
{
	struct acl_rights want, is;
	struct err e = { 0 };
	bool is_odd;

	if (acl_read(fd, &is, &is_odd, &e) < 0) {
		place_found(f, OBSERVED_NOT_READY, NULL, "%s: %s", s->place->path, e.text);
		return;
	}
	want = skeleton_rights(s->place, s->w->host, &s->home->account);
	compare_rights(&want, &is, is_odd, f);
}

/* Marks ---------------------------------------------------------------- */

/*
 * To look at all the rights of a place takes five system calls, ten thousand
 * webspaces have 140,000 places, and all but a few are as they were a minute ago.
 */
static uint64_t mark_of(const struct sight *s, const struct stat *st)
{
	const uint64_t values[] = {
		st->st_dev,
		st->st_ino,
		st->st_mode,
		st->st_nlink > 1 && !S_ISDIR(st->st_mode),
		(uint64_t)st->st_uid << 32 | st->st_gid,
		(uint64_t)st->st_ctim.tv_sec,
		(uint64_t)st->st_ctim.tv_nsec,
		(uint64_t)s->home->account.uid << 32 | s->home->account.gid,
	};

	return hash_words(HASH_START, values, ELEMENTS(values)) | 1;
}

static bool has_mark(const struct sight *s, struct stat *ret)
{
	return s->mark && *s->mark && fstatat(s->parent, s->leaf, ret, AT_SYMLINK_NOFOLLOW) == 0 &&
	       *s->mark == mark_of(s, ret);
}

/*
 * st is from before the rights were read. A change within the same tick of the
 * clock would not show, so what changed just now gets no mark yet.
 */
static void set_mark(const struct sight *s, const struct stat *st)
{
	if (s->mark)
		*s->mark = st->st_ctim.tv_sec + MARK_AGE_SECONDS < s->w->wall ? mark_of(s, st) : 0;
}

/* Directories ---------------------------------------------------------- */

/* True (and told) if the host has a file system mounted here that this namespace does not. */
static bool is_covered_outside(const struct sight *s, const struct stat *ours, struct finding *f)
{
	char path[WEBSPACE_NAME_MAX + 64];
	struct stat theirs;

	if (s->outside < 0 || !s->place->can_be_covered)
		return false;
	snprintf(path, sizeof path, "%s/%s", s->home->name, s->place->path);
	if (!s->is_covered && (fstatat(s->outside, path, &theirs, AT_SYMLINK_NOFOLLOW) < 0 ||
			       (ours->st_dev == theirs.st_dev && ours->st_ino == theirs.st_ino)))
		return false;
	place_found(
		f, OBSERVED_FOREIGN, "HostMount",
		"the host has another file system mounted on %s/%s/%s than the webspaces' mount "
		"namespace: stop webspaces, its nginx and PHP, umount %s/ns/mnt, start them again",
		s->w->host->home_root, s->home->name, s->place->path, s->w->host->run_dir);
	return true;
}

static void dir_observe_open(const struct sight *s, int fd, struct finding *f)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		place_found_error(s, f, -errno, "a directory");
	} else if (!is_covered_outside(s, &st, f)) {
		observe_rights(s, fd, f);
		if (f->state == OBSERVED_IN_SYNC)
			set_mark(s, &st);
	}
}

/* What a jail of before had there, a link into the base or the place of a bind. NULL: neither. */
static const char *found_of_before(const struct sight *s)
{
	struct stat st;

	if (!s->place->in_jail || fstatat(s->parent, s->leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL;
	if (S_ISLNK(st.st_mode))
		return "a link";
	return ownership_has(s->w, s->home->name, MADE_MOUNTPOINT, s->place->path) ? "a mount point"
										   : NULL;
}

/* Nothing is gained by a directory that is kept open, but for places in it. */
static bool has_places_in_it(const struct place *place)
{
	size_t len = strlen(place->path);

	if (place->in_jail || strcmp(place->path, ".") == 0)
		return true;
	for (size_t i = 0; i < skeleton_count; i++)
		if (strncmp(skeleton_places[i].path, place->path, len) == 0 &&
		    skeleton_places[i].path[len] == '/')
			return true;
	return false;
}

static void dir_observe(const struct sight *s, struct finding *f)
{
	const char *before = found_of_before(s);
	bool is_home = strcmp(s->place->path, ".") == 0;
	int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;
	struct stat st;
	int fd;

	if (has_mark(s, &st)) {
		if (!is_covered_outside(s, &st, f))
			f->state = OBSERVED_IN_SYNC;
		return;
	}
	if (before) {
		f->state = OBSERVED_DIFFERS;
		f->what = "type";
		snprintf(f->old_value, sizeof f->old_value, "%s", before);
		snprintf(f->new_value, sizeof f->new_value, "a directory");
		return;
	}
	/* A webspace may have a file system of its own, below it nothing may. */
	fd = is_home ? path_open(s->parent, s->leaf, flags, NULL)
		     : path_open_same_mount(s->parent, s->leaf, flags, NULL);
	if (fd >= 0) {
		dir_observe_open(s, fd, f);
		if (has_places_in_it(s->place))
			home_keep(s->home, s->place->path, fd);
		else
			close(fd);
	} else {
		place_found_error(s, f, fd, "a directory");
	}
}

static int write_rights(const struct sight *s, int flags, struct err *e)
{
	struct acl_rights want = skeleton_rights(s->place, s->w->host, &s->home->account);
	bool is_home = strcmp(s->place->path, ".") == 0;
	autofd int fd = is_home ? path_open(s->parent, s->leaf, flags, e)
				: path_open_same_mount(s->parent, s->leaf, flags, e);

	return fd < 0 ? fd : acl_write(fd, &want, e);
}

static int make_way_for_dir(const struct sight *s, struct err *e)
{
	const char *name = s->home->name, *path = s->place->path;
	int r = 0;

	if (ownership_has(s->w, name, MADE_MOUNTPOINT, path))
		r = unmake_or_leave(s->home, s->w, path, e);
	if (r >= 0)
		r = ownership_note(s->w, name, MADE_DIR, path, e);
	return r < 0 ? r : unmake_link(s->parent, s->leaf, e);
}

/* Nobody can enter the new directory before it has all its rights. */
static int dir_apply(const struct sight *s, struct err *e)
{
	int r = s->place->in_jail ? make_way_for_dir(s, e) : 0;

	if (r < 0)
		return r;
	if (mkdirat(s->parent, s->leaf, 0) < 0 && errno != EEXIST)
		return err_sys(e, "mkdir");
	return write_rights(s, O_PATH | O_DIRECTORY, e);
}

/* Files ---------------------------------------------------------------- */

static const char *text_of(const struct sight *s)
{
	return s->place->text(s->home->name, &s->home->account, s->w->arena);
}

static void observe_text(const struct sight *s, struct finding *f)
{
	autofree char *is = NULL;
	const char *want = text_of(s);
	size_t len;

	if (path_read(s->parent, s->leaf, TEXT_MAX, &is, &len, NULL) == 0 && strcmp(is, want) == 0)
		return;
	f->state = OBSERVED_DIFFERS;
	f->what = "text";
	snprintf(f->old_value, sizeof f->old_value, "another");
	snprintf(f->new_value, sizeof f->new_value, "%.*s", (int)strcspn(want, "\n"), want);
}

/*
 * Somebody rotates logs: the file was renamed just now ("NAME.1", "NAME-20260731"), and is about to be
 * made again with the same rights. One that we made in between would be in the way. The next look
 * sees whether it came.
 */
static bool is_being_rotated(const struct sight *s)
{
	size_t len = strlen(s->leaf);
	autodir DIR *list = path_list(s->parent, ".", NULL);
	struct stat st;

	for (struct dirent *it; list && (it = readdir(list)) != NULL;)
		if (strncmp(it->d_name, s->leaf, len) == 0 &&
		    (it->d_name[len] == '.' || it->d_name[len] == '-') &&
		    fstatat(s->parent, it->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_ctim.tv_sec + ROTATION_SECONDS >= clock_wall())
			return true;
	return false;
}

static void file_observe(const struct sight *s, struct finding *f)
{
	autofd int fd = -1;
	struct stat st;

	if (has_mark(s, &st)) {
		f->state = OBSERVED_IN_SYNC;
		return;
	}
	fd = path_open_same_mount(s->parent, s->leaf, O_PATH, NULL);
	if (fd == -ENOENT && is_being_rotated(s)) {
		f->state = OBSERVED_IN_SYNC;
	} else if (fd < 0) {
		place_found_error(s, f, fd, "a file");
	} else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		place_found_wrong_type(s, f, "a file");
	} else if (st.st_nlink > 1) {
		place_found(f, OBSERVED_FOREIGN, "Linked",
			    "%s has %lu links: it may be another's file", s->place->path,
			    (unsigned long)st.st_nlink);
	} else {
		observe_rights(s, fd, f);
		if (f->state == OBSERVED_IN_SYNC && s->place->text)
			observe_text(s, f);
		if (f->state == OBSERVED_IN_SYNC)
			set_mark(s, &st);
	}
}

static int put_text(const struct sight *s, struct err *e)
{
	const char *text = text_of(s);
	int r = put_file(s->parent, s->leaf, s->place->mode, text, strlen(text), PUT_BATCH, e);

	return r < 0 ? r : write_rights(s, O_PATH, e);
}

static int file_apply(const struct sight *s, struct err *e)
{
	autofd int made = -1;

	if (s->place->text)
		return put_text(s, e);
	made = openat(s->parent, s->leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0);
	if (made < 0 && errno != EEXIST)
		return err_sys(e, "make the file");
	return write_rights(s, O_PATH, e);
}

const struct place_type place_types[PLACE_KINDS] = {
	[PLACE_DIR] = { dir_observe, dir_apply },
	[PLACE_FILE] = { file_observe, file_apply },
	[PLACE_LINK] = { jail_place_link_observe, jail_place_link_apply },
	[PLACE_MOUNTPOINT] = { jail_place_mountpoint_observe, jail_place_mountpoint_apply },
	[PLACE_GONE] = { jail_place_gone_observe, jail_place_gone_apply },
};
