/*
 * What is mounted in a webspace's jail: a read-only clone of the shared base,
 * and its binds. The places were made by the directory type, which comes before.
 * What the webspace's own directories lie on is not mounted by us, but it has to
 * be sealed (sealed.h): no file of a user's becomes code in a PHP that others share.
 *
 * A mount is right when it shows the very object it has to (device and inode)
 * with the very flags. A source that was replaced by rename is another object
 * then, and mounted anew: a bind would show the old file for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/ownership.h"
#include "reconcile/resource.h"
#include "reconcile/tree/attach.h"
#include "reconcile/tree/base_tree.h"
#include "reconcile/tree/bundled.h"
#include "reconcile/tree/home.h"
#include "reconcile/tree/jail.h"
#include "reconcile/tree/mountinfo.h"
#include "reconcile/tree/sealed.h"
#include "reconcile/tree/unmake.h"

#define BASE_LOOK_USEC (200 * USEC_PER_MSEC) /* between two looks at the base's sources */
#define BASE_PLACE     "chroot/" JAIL_BASE

struct mounts {
	struct base_tree *base;
	struct attached root; /* of the base; type 0: there is none */
	uint64_t looked_usec;
	struct arena arena; /* owns plain */
	struct jail plain;  /* of a webspace without binds */
	struct home home;
	struct bundled bundled;
	struct sealed sealed;
};

static void look_at_root(struct mounts *m)
{
	if (!base_tree_root(m->base, &m->root))
		m->root = (struct attached){ 0 };
}

static int mount_open(struct world *w, void **state, struct err *e)
{
	struct mounts *m = memory_new(sizeof *m);
	int r = sealed_open(&m->sealed, e);

	if (r >= 0)
		r = base_tree_open(w->host, !w->dry, &m->base, e);
	if (r < 0) {
		sealed_close(&m->sealed);
		free(m);
		return r;
	}
	m->looked_usec = clock_usec();
	look_at_root(m);
	jail_plan(w->host, NULL, 0, &m->arena, &m->plain);
	*state = m;
	return 0;
}

static void mount_close(void *state)
{
	struct mounts *m = state;

	if (!m)
		return;
	home_close(&m->home);
	bundled_clear(&m->bundled);
	sealed_close(&m->sealed);
	base_tree_close(m->base);
	arena_clear(&m->arena);
	free(m);
}

/* What is mounted in the namespace can be seen. */
static bool is_in_place(const struct world *w)
{
	return w->in_namespace && w->home_root >= 0;
}

static int mount_prepare(struct world *w, void *state, const struct webspace *const *slice,
			 size_t n, struct err *e)
{
	struct mounts *m = state;
	int r = 0;

	(void)slice, (void)n;
	home_close(&m->home);
	bundled_refresh(&m->bundled, w->now_usec);
	if (is_in_place(w))
		r = sealed_observe(&m->sealed, w->home_root, e);
	if (r < 0)
		return r;
	if (w->dry || w->now_usec < m->looked_usec + BASE_LOOK_USEC)
		return 0;
	m->looked_usec = w->now_usec;
	r = base_tree_look(m->base, e);
	look_at_root(m);
	return r < 0 ? err_in(e, "base of the jails") : 0;
}

/* A bind of ours is as open as the file says, and compared as such. */
static bool is_our_bind(struct world *w, const char *name, const char *path)
{
	return ownership_has(w, name, MADE_MOUNTPOINT, path);
}

static void item_add_sealed(struct world *w, const char *path, struct item_list *ret)
{
	struct jail_entry *entry = arena_new(w->arena, sizeof *entry);

	*entry = (struct jail_entry){ .path = arena_dup(w->arena, path), .kind = JAIL_SEALED };
	item_add(w, ret, arena_printf(w->arena, "home%s%s", *path ? "/" : "", path), entry);
}

/* Only what is wrong: of ten thousand homes none has such a mount. */
static void desire_sealed(struct world *w, const struct mounts *m, const char *name,
			  struct item_list *ret)
{
	if (!is_in_place(w))
		return;
	if (m->sealed.home_is_loose)
		item_add_sealed(w, "", ret);
	for (const struct loose_mount *l = sealed_loose(&m->sealed, name); l; l = l->next)
		if (!is_our_bind(w, name, l->path) && (*l->path || !m->sealed.home_is_loose))
			item_add_sealed(w, l->path, ret);
}

static void mount_desire(struct world *w, void *state, const struct webspace *webspace,
			 struct item_list *ret)
{
	struct mounts *m = state;
	struct jail jail = m->plain;
	struct bind_list binds;

	bundled_binds(&m->bundled, webspace, w->arena, &binds);
	if (binds.count)
		jail_plan(w->host, binds.items, binds.count, w->arena, &jail);
	desire_sealed(w, m, webspace->name, ret);
	for (size_t i = 0; i < jail.count; i++)
		if (jail.entries[i].kind == JAIL_MOUNTPOINT || jail.entries[i].kind == JAIL_REFUSED)
			item_add(w, ret, jail.entries[i].path, &jail.entries[i]);
}

/* What has to be there ------------------------------------------------- */

static unsigned bind_flags(const struct bind *bind)
{
	return (bind->writable ? 0 : ATTACH_READ_ONLY) | (bind->suid ? 0 : ATTACH_NO_SUID) |
	       (bind->dev ? 0 : ATTACH_NO_DEV) | (bind->exec ? 0 : ATTACH_NO_EXEC);
}

/* A bind may do what its source's own mount may, less what it does not say. */
static int want_bind(const struct bind *bind, struct attached *ret, struct err *e)
{
	autofd int fd = open(bind->source, O_PATH | O_CLOEXEC);
	int r;

	if (fd < 0 && errno == ENOENT)
		return err_set(e, ENOENT, "source %s does not exist", bind->source);
	if (fd < 0)
		return err_sys(e, "source %s", bind->source);
	r = attach_look(fd, true, ret, e);
	ret->flags |= bind_flags(bind);
	return r;
}

static int want_of(const struct mounts *m, const struct jail_entry *entry, struct attached *ret,
		   struct err *e)
{
	if (entry->bind)
		return want_bind(entry->bind, ret, e);
	*ret = m->root;
	ret->flags = BASE_FLAGS;
	return 0;
}

/* Looking -------------------------------------------------------------- */

/* Ours: the base's place, and places on record. Others' mounts are left alone. */
static bool is_our_place(struct world *w, const char *name, const struct jail_entry *entry)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "chroot/%s", entry->path);
	return !entry->bind || ownership_has(w, name, MADE_MOUNTPOINT, path);
}

static void compare(struct world *w, const char *name, const struct jail_entry *entry,
		    const struct attached *want, const struct attached *is, struct finding *f)
{
	const char *source = entry->bind ? entry->bind->source : "base";
	bool same_source = is->dev == want->dev && is->ino == want->ino;

	f->state = OBSERVED_IN_SYNC;
	if (same_source && is->flags == want->flags)
		return;
	if (!is_our_place(w, name, entry)) {
		f->state = OBSERVED_FOREIGN;
		f->reason = "ForeignMount";
		snprintf(f->text, sizeof f->text,
			 "something that is not ours is mounted on chroot/%s", entry->path);
		return;
	}
	f->state = OBSERVED_DIFFERS;
	f->what = same_source ? "flags" : "source";
	if (same_source) {
		snprintf(f->old_value, sizeof f->old_value, "%s",
			 attach_flags_text(is->flags).text);
		snprintf(f->new_value, sizeof f->new_value, "%s",
			 attach_flags_text(want->flags).text);
	} else {
		snprintf(f->old_value, sizeof f->old_value, "inode %llu of device %u:%u",
			 (unsigned long long)is->ino, major(is->dev), minor(is->dev));
		snprintf(f->new_value, sizeof f->new_value, "%s", source);
	}
}

static void not_ready(struct finding *f, enum observed state, const char *reason,
		      const struct err *e)
{
	f->state = state;
	f->reason = reason;
	snprintf(f->text, sizeof f->text, "%s", e->text);
}

/* What is not there (yet) cannot be run from either. */
static void observe_sealed(struct world *w, const char *name, const struct jail_entry *entry,
			   struct finding *f)
{
	struct attached is;
	struct err e = { 0 };
	char path[PATH_MAX];
	autofd int fd = -1;

	snprintf(path, sizeof path, "%s%s%s", name, *entry->path ? "/" : "", entry->path);
	fd = path_open(w->home_root, path, O_PATH, &e);
	f->state = OBSERVED_IN_SYNC;
	if (fd == -ENOENT)
		return;
	if (fd < 0 || attach_look(fd, true, &is, &e) < 0) {
		not_ready(f, OBSERVED_NOT_READY, NULL, &e);
		return;
	}
	if ((is.flags & ATTACH_SEALED) == ATTACH_SEALED)
		return;
	f->state = OBSERVED_DIFFERS;
	f->what = "flags";
	snprintf(f->old_value, sizeof f->old_value, "%s", attach_flags_text(is.flags).text);
	snprintf(f->new_value, sizeof f->new_value, "%s",
		 attach_flags_text(is.flags | ATTACH_SEALED).text);
}

static void mount_observe(struct world *w, void *state, const struct webspace *webspace,
			  const struct item *item, struct finding *f)
{
	struct mounts *m = state;
	const struct jail_entry *entry = item->want;
	struct attached want, is;
	struct err e = { 0 };
	char path[PATH_MAX];
	autofd int fd = -1;

	if (entry->kind == JAIL_SEALED) {
		observe_sealed(w, webspace->name, entry, f);
		return;
	}
	f->state = OBSERVED_MISSING;
	if (entry->kind == JAIL_REFUSED) {
		f->state = OBSERVED_FOREIGN;
		f->reason = entry->bind->missing ? "BundleMissing" : "BadBind";
		snprintf(f->text, sizeof f->text, "%s", entry->text);
		return;
	}
	if (want_of(m, entry, &want, &e) < 0) {
		not_ready(f, OBSERVED_FOREIGN, "SourceMissing", &e);
		return;
	}
	if (!is_in_place(w))
		return;
	snprintf(path, sizeof path, "%s/chroot/%s", webspace->name, entry->path);
	fd = path_open(w->home_root, path, O_PATH, &e);
	if (fd == -ENOENT)
		return;
	if (fd < 0 || attach_look(fd, true, &is, &e) < 0)
		not_ready(f, OBSERVED_NOT_READY, NULL, &e);
	else if (is.is_mount)
		compare(w, webspace->name, entry, &want, &is, f);
}

/* Doing ---------------------------------------------------------------- */

static int clone_of(const struct mounts *m, const struct jail_entry *entry, struct err *e)
{
	if (!entry->bind)
		return base_tree_clone(m->base, e);
	return attach_clone(AT_FDCWD, entry->bind->source, bind_flags(entry->bind), e);
}

/* Where the kernel cannot mount beneath what is there, that goes first. */
static int put(struct mounts *m, struct world *w, const char *path, int parent, const char *leaf,
	       int clone, struct err *e)
{
	autofd int place = path_open_same_mount(parent, leaf, O_PATH, e);
	autofd int covered = -1, uncovered = -1;
	int r;

	if (place >= 0)
		return attach_place(clone, place, false, e);
	if (place != -EXDEV)
		return place;
	covered = path_open(parent, leaf, O_PATH, e);
	r = covered < 0 ? covered : attach_place(clone, covered, true, e);
	if (r != -EBUSY)
		return r;
	r = unmake_mounts(&m->home, w, path, e);
	if (r < 0)
		return r;
	uncovered = path_open_same_mount(parent, leaf, O_PATH, e);
	return uncovered < 0 ? uncovered : attach_place(clone, uncovered, false, e);
}

static int set_flags(struct mounts *m, int parent, const char *leaf, const struct jail_entry *entry,
		     struct err *e)
{
	autofd int fd = path_open(parent, leaf, O_PATH, e);
	struct attached want;
	int r = fd < 0 ? fd : want_of(m, entry, &want, e);

	return r < 0 ? r : attach_set_flags(fd, want.flags, e);
}

static int apply_at(struct mounts *m, struct world *w, const struct jail_entry *entry,
		    bool flags_only, struct err *e)
{
	char path[PATH_MAX];
	const char *leaf;
	autofd int clone = -1;
	int parent, r = 0;

	snprintf(path, sizeof path, "chroot/%s", entry->path);
	parent = home_parent(&m->home, w, path, true, &leaf, e);
	if (parent < 0)
		return parent;
	if (flags_only)
		return set_flags(m, parent, leaf, entry, e);
	/* An empty file or directory that was there before becomes ours by being mounted on. */
	if (entry->bind)
		r = ownership_note(w, m->home.name, MADE_MOUNTPOINT, path, e);
	clone = r < 0 ? r : clone_of(m, entry, e);
	return clone < 0 ? clone : put(m, w, path, parent, leaf, clone, e);
}

static int mount_apply(struct world *w, void *state, const struct webspace *webspace,
		       const struct item *item, const struct finding *found, struct err *e)
{
	struct mounts *m = state;
	const struct jail_entry *entry = item->want;
	int r;

	if (entry->kind == JAIL_SEALED) {
		r = sealed_apply(w->home_root, webspace->name, entry->path, e);
		return r < 0 ? err_in(e, "%s", item->name) : 0;
	}
	home_use(&m->home, w, webspace->name);
	r = apply_at(m, w, entry, found->what && strcmp(found->what, "flags") == 0, e);
	home_close(&m->home);
	return r < 0 ? err_in(e, "%s", item->name) : 0;
}

static int mount_remove(struct world *w, void *state, const char *name, struct err *e)
{
	struct mounts *m = state;
	struct text_list made;
	int r = ownership_items(w, name, MADE_MOUNTPOINT, w->arena, &made, e);

	home_close(&m->home);
	home_use(&m->home, w, name);
	for (size_t i = made.count; r >= 0 && i-- > 0;) {
		r = unmake_place(&m->home, w, made.items[i], e);
		if (r == -ENOTEMPTY || r == -EEXIST) /* unmounted, and now somebody's own */
			r = ownership_forget(w, name, MADE_MOUNTPOINT, made.items[i], e);
	}
	if (r >= 0)
		r = unmake_mounts(&m->home, w, BASE_PLACE, e);
	home_close(&m->home);
	return r < 0 ? err_in(e, "%s", name) : 0;
}

/* What has our base, by one look at the mount table, and what has a bind on record. */
static int mount_list(struct world *w, void *state, struct table *ret_names, struct err *e)
{
	(void)state;
	if (is_in_place(w)) {
		int r = mountinfo_names(w->home_root, BASE_PLACE, ret_names, e);

		if (r < 0)
			return r;
	}
	return ownership_names(w, MADE_MOUNTPOINT, ret_names, e);
}

const struct resource_type mount_type = {
	.name = "mount",
	.condition = CONDITION_MOUNTS,
	.open = mount_open,
	.close = mount_close,
	.prepare = mount_prepare,
	.desire = mount_desire,
	.observe = mount_observe,
	.apply = mount_apply,
	.remove = mount_remove,
	.list = mount_list,
};
