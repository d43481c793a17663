/*
 * Looks at files and tells what follows. A look reads texts; what follows from
 * them is settled at its end for all items it touched: names, removals, then one
 * call of the caller's function for each.
 */
#include "agent/model/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/shown.h"
#include "agent/model/absence.h"
#include "agent/model/item.h"
#include "agent/model/names.h"
#include "agent/model/option.h"
#include "agent/model/removal.h"
#include "agent/model/restore.h"
#include "agent/model/revision.h"
#include "agent/model/rollback.h"
#include "agent/model/trusted.h"

/* looking -------------------------------------------------------------- */

static uint64_t stamp_add(uint64_t before, const struct stat *st)
{
	const int64_t parts[] = { (int64_t)st->st_dev, (int64_t)st->st_ino, st->st_size,
				  st->st_mtim.tv_sec,  st->st_mtim.tv_nsec, st->st_ctim.tv_sec,
				  st->st_ctim.tv_nsec };
	uint64_t h = hash_bytes(before, parts, sizeof(parts));

	return h ? h : 1;
}

/* Of what the name leads to; 0: a link that cannot be followed, to be tried each time. */
static uint64_t stamp_now(int dir, const char *file, const struct stat *st)
{
	autofd int target = -1;
	struct stat there;

	if (!S_ISLNK(st->st_mode))
		return stamp_add(HASH_START, st);
	target = trusted_open_link(dir, file, NULL);
	if (target < 0 || fstat(target, &there) < 0)
		return 0;
	return stamp_add(stamp_add(HASH_START, st), &there);
}

static void miss(struct catalog *c, struct item *it, bool elsewhere, time_t now)
{
	if (rollback_needs_no_file(it))
		return;
	c->file_changed |= it->hash && !it->entry.absent_since;
	if (!elsewhere)
		item_set_exists(c, it, false);
	item_set_absent(c, it, elsewhere, now);
}

static void take_text(struct catalog *c, struct item *it, const char *text, size_t len, time_t now)
{
	autofree char *path = memory_printf("%s/%s.conf", c->host->config_dir, it->name);
	uint64_t hash = good_hash(text, len);
	struct problems p = { 0 };
	struct webspace *w = NULL;
	char file[NAME_FILE_MAX + 8];
	struct err e = { 0 };

	if (it->loaded && it->hash == hash && host_has_placed(c->host, it->loaded)) {
		item_put_problem(c, it, NULL);
		return;
	}
	if (load_webspace(c->host, it->name, path, text, len, &w, &p) < 0) {
		item_put_problems(c, it, &p);
		return;
	}
	if (!host_has_placed(c->host, w)) {
		webspace_free(w);
		miss(c, it, true, now);
		return;
	}
	c->file_changed = true;
	if (!it->loaded || it->entry.rolled_back || it->loaded->fingerprint != w->fingerprint)
		rollback_keep(c, it);
	if (it->entry.rolled_back)
		rollback_unpin(c, it);
	it->hash = hash;
	item_put_problem(c, it, NULL);
	item_put_loaded(c, it, w);
	/* In force all the same; said, and tried again in the next look. */
	if (good_put(&c->good, item_file(it->name, file), text, len, &e) < 0) {
		item_put_problem(
			c, it,
			memory_printf("in force, but not kept for the next start: %s", e.text));
		it->entry.problem_reason = "NotSaved";
		it->hash = 0;
		it->stamp = 0;
	}
}

/* Reads the file of this name again. st: of the file, just now. */
static void look_at(struct catalog *c, int dir, const char *name, const struct stat *st, time_t now)
{
	struct item *it = item_make(c, name);
	char file[NAME_FILE_MAX + 8];
	autofree char *text = NULL;
	uint64_t stamp = stamp_now(dir, item_file(name, file), st);
	struct err e = { 0 };
	size_t len;
	int r = load_read(dir, file, &text, &len, &e);

	if (r == -ENOENT) {
		miss(c, it, false, now);
		return;
	}
	if (!it->exists && it->loaded)
		item_touch(c, it);
	item_set_exists(c, it, true);
	it->round = c->round;
	it->stamp = stamp;
	if (r < 0)
		item_put_problem(c, it, memory_printf("%s/%s", c->host->config_dir, e.text));
	else
		take_text(c, it, text, len, now);
}

/* 1: it is there, 0: it is not. */
static int file_stat(int dir, const char *name, struct stat *ret)
{
	char file[NAME_FILE_MAX + 8];

	return fstatat(dir, item_file(name, file), ret, AT_SYMLINK_NOFOLLOW) == 0;
}

/* removals ------------------------------------------------------------- */

static void settle_removal(struct catalog *c, int dir, struct item *it, enum removal decision,
			   time_t now)
{
	struct stat st;

	item_set_held(c, it, decision == REMOVAL_HELD);
	if (decision != REMOVAL_GO)
		return;
	/* The second look; what is elsewhere was read in this one or an earlier. */
	if (!it->entry.elsewhere && file_stat(dir, it->name, &st))
		look_at(c, dir, it->name, &st, now);
	else
		item_set_going(c, it);
}

static void settle_removals(struct catalog *c, int dir, time_t now)
{
	struct removal_view v = { .now = now,
				  .grace_s = c->host->reconcile.removal_grace_s,
				  .directory_ok = true,
				  .n_files = c->n_files,
				  .n_in_force = c->n_in_force,
				  .n_absent = c->absent.count };
	struct table_entry *te;

	table_each (&c->absent, te) {
		struct item *it = te->value;

		if (now < it->entry.absent_since) { /* since before the boot */
			it->entry.absent_since = now;
			c->absence_changed = true;
		}
		v.absent_since = it->entry.absent_since;
		v.held = it->entry.held;
		v.confirmed = it->confirmed;
		settle_removal(c, dir, it, removal_decide(&v), now);
	}
}

/* the end of a look ---------------------------------------------------- */

static void settle_entry(struct catalog *c, struct item *it)
{
	struct entry *entry = &it->entry;

	it->touched = false;
	it->told = true;
	if (it->names_changed)
		item_settle_names(c, it);
	entry->from_good = entry->webspace && (entry->problem || !it->exists);
	entry->asks = it->loaded;
}

static void tell(struct catalog *c, catalog_changed_fn *fn, void *data)
{
	struct pointers touched = c->touched;

	c->touched = (struct pointers){ 0 };
	for (size_t i = 0; i < touched.count; i++)
		settle_entry(c, touched.items[i]);
	c->telling = true;
	for (size_t i = 0; fn && i < touched.count; i++)
		fn(&((struct item *)touched.items[i])->entry, data);
	c->telling = false;
	for (size_t i = 0; i < touched.count; i++)
		item_end_news(touched.items[i]);
	for (size_t i = 0; i < c->retired.count; i++)
		webspace_free(c->retired.items[i]);
	for (size_t i = 0; i < c->forgotten.count; i++)
		item_free(c->forgotten.items[i]);
	pointers_clear(&touched);
	pointers_clear(&c->retired);
	pointers_clear(&c->forgotten);
}

static int end_look(struct catalog *c, int dir, time_t now, catalog_changed_fn *fn, void *data,
		    struct err *e)
{
	int r = 0;

	if (c->rolled_back && c->file_changed)
		rollback_end(c, now);
	c->file_changed = false;
	settle_removals(c, dir, now);
	free(c->revision);
	c->revision = revision_read(c->host->config_dir);
	/* What is about to go is on disk before it goes: after a crash it goes on, and waits not anew. */
	if (c->absence_changed)
		r = absence_put(c, e);
	tell(c, fn, data);
	if (c->denied_changed)
		r = item_put_denied(c, r < 0 ? NULL : e) < 0 && r == 0 ? -EIO : r;
	return r < 0 ? r : 0;
}

int catalog_look(struct catalog *c, const char *name, time_t now, catalog_changed_fn *fn,
		 void *data, struct err *e)
{
	autofd int dir = trusted_open_dir(c->host->config_dir, e);
	struct stat st = { 0 };

	if (dir < 0 || strlen(name) > NAME_FILE_MAX) {
		tell(c, fn, data);
		return dir < 0 ? dir : 0;
	}
	if (file_stat(dir, name, &st) || item_get(c, name))
		look_at(c, dir, name, &st, now);
	return end_look(c, dir, now, fn, data, e);
}

/* It may be called anything: as it may be shown. */
static void pass_over(struct catalog *c, const char *file)
{
	autobuf struct buf name = { 0 };

	shown_add_name(&name, file);
	(void)table_set(&c->passed_over, buf_text(&name), c);
}

/* all of them ---------------------------------------------------------- */

/* Marks those whose stat did not change as seen; the names of the others are to be looked at. */
static int list_changed(struct catalog *c, DIR *d, struct pointers *ret, struct err *e)
{
	struct dirent *de;

	table_clear(&c->passed_over);
	while (errno = 0, (de = readdir(d))) {
		char name[NAME_FILE_MAX + 1];
		struct item *it;
		struct stat st;

		if (name_is_passed_over(de->d_name))
			pass_over(c, de->d_name);

		if (!name_of_file(de->d_name, name) || !file_stat(dirfd(d), name, &st))
			continue;
		it = item_get(c, name);
		if (it && it->stamp && it->stamp == stamp_now(dirfd(d), de->d_name, &st))
			it->round = c->round;
		else
			pointers_add(ret, memory_dup(name));
	}
	return errno ? err_sys(e, "%s", c->host->config_dir) : 0;
}

static void look_at_changed(struct catalog *c, int dir, struct pointers *names, time_t now)
{
	pointers_sort(names); /* an order that does not depend on the directory's */
	for (size_t i = 0; i < names->count; i++) {
		struct stat st;

		if (file_stat(dir, names->items[i], &st))
			look_at(c, dir, names->items[i], &st, now);
	}
}

static void miss_unseen(struct catalog *c, time_t now)
{
	struct table_entry *te;

	table_each (&c->items, te) {
		struct item *it = te->value;

		if (it->round == c->round || (it->entry.absent_since && !it->exists))
			continue;
		miss(c, it, false, now);
	}
}

int catalog_look_all(struct catalog *c, time_t now, catalog_changed_fn *fn, void *data,
		     struct err *e)
{
	int fd = trusted_open_dir(c->host->config_dir, e);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct pointers names = { 0 };
	int r = fd < 0 ? fd : 0;

	c->round++;
	if (r == 0)
		r = list_changed(c, d, &names, e);
	if (r == 0) {
		look_at_changed(c, fd, &names, now);
		miss_unseen(c, now);
		r = end_look(c, fd, now, fn, data, e);
	} else {
		tell(c, fn, data); /* at start: what is known from before */
	}
	for (size_t i = 0; i < names.count; i++)
		free(names.items[i]);
	pointers_clear(&names);
	return r;
}

/* opening --------------------------------------------------------------- */

int catalog_open(const struct host *host, bool writable, struct catalog **ret, struct err *e)
{
	struct catalog *c = memory_new(sizeof(*c));
	int r = history_open(host->state_dir, writable, &c->history, e);

	if (r >= 0)
		r = good_open(host->state_dir, writable, &c->good, e);
	if (r < 0) {
		history_close(&c->history);
		free(c);
		return r;
	}
	c->host = host;
	conflict_init(&c->conflict, &(struct conflict_config){ .base_domain = host->base_domain,
							       .find = item_find_claimant,
							       .affected = item_names_affected,
							       .data = c });
	catalog_restore(c);
	rollback_restore(c);
	*ret = c;
	return 0;
}

void catalog_close(struct catalog *c)
{
	struct table_entry *te;

	if (!c)
		return;
	table_each (&c->items, te)
		item_free(te->value);
	table_clear(&c->items);
	table_clear(&c->absent);
	table_clear(&c->passed_over);
	conflict_clear(&c->conflict);
	pointers_clear(&c->touched);
	rollback_close(c);
	good_close(&c->good);
	free(c->revision);
	free(c);
}

/* the rest ------------------------------------------------------------- */

size_t catalog_confirm(struct catalog *c, catalog_changed_fn *fn, void *data)
{
	autofd int dir = trusted_open_dir(c->host->config_dir, NULL);
	struct table_entry *te;
	struct stat st;
	size_t n = 0;

	if (dir < 0)
		return 0;
	table_each (&c->absent, te) {
		struct item *it = te->value;

		if (!it->entry.held || (!it->entry.elsewhere && file_stat(dir, it->name, &st)))
			continue;
		item_set_going(c, it);
		n++;
	}
	if (n)
		(void)absence_put(c, NULL);
	tell(c, fn, data);
	return n;
}

int catalog_approve(struct catalog *c, struct err *e)
{
	struct table_entry *te;
	int n = 0, r;

	table_each (&c->absent, te) {
		struct item *it = te->value;

		if (!it->entry.held)
			continue;
		it->confirmed = true;
		n++;
	}
	r = n ? absence_put(c, e) : 0;
	return r < 0 ? r : n;
}

time_t catalog_next_look(const struct catalog *c)
{
	const struct table_entry *te;
	time_t next = 0;

	table_each (&c->absent, te) {
		const struct item *it = te->value;
		time_t at = it->entry.absent_since + (time_t)c->host->reconcile.removal_grace_s;

		if (!it->entry.held && (next == 0 || at < next))
			next = at;
	}
	return next;
}

void catalog_forget(struct catalog *c, const char *name)
{
	struct item *it = item_get(c, name);
	char file[NAME_FILE_MAX + 8];

	if (!it || !it->entry.going)
		return;
	rollback_keep(c, it);
	rollback_forget(c, name);
	good_drop(&c->good, item_file(name, file));
	c->absence_changed = true;
	item_set_exists(c, it, false);
	table_take(&c->items, it->name);
	if (c->telling || it->touched)
		pointers_add(&c->forgotten, it);
	else
		item_free(it);
}

void catalog_generation(struct catalog *c, uint64_t newest)
{
	c->history.point = newest;
}

bool catalog_release(struct catalog *c, time_t now)
{
	if (!c->rolled_back)
		return false;
	rollback_end(c, now);
	return true;
}

struct entry *catalog_get(const struct catalog *c, const char *name)
{
	struct item *it = item_get(c, name);

	return it ? &it->entry : NULL;
}

const struct table *catalog_entries(const struct catalog *c)
{
	return &c->items;
}

const char *catalog_revision(const struct catalog *c)
{
	return c->revision;
}

void catalog_passed_over(const struct catalog *c, struct buf *ret)
{
	(void)table_list(&c->passed_over, 5, ret);
}

size_t catalog_held(const struct catalog *c)
{
	return c->n_held;
}
