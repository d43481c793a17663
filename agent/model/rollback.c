/*
 * Webspaces, not daemons, go back: what a file asked for then is brought about by
 * the same pass as any change, with its checks, so that pools, mounts and
 * certificates fit together, and what broke meanwhile is quarantined, not
 * published. A webspace that was not there then is as if disabled, with account
 * and data kept.
 *
 * The texts in force instead of files lie in state_dir/history/held/, which comes
 * and goes by one rename: a restart goes on with it.
 */
#include "agent/model/rollback.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define HELD       "held"
#define STAGED     "held.new"
#define GENERATION "generation" /* in it: as of which */
#define NAMES_TOLD 5

/* Texts of a directory --------------------------------------------------- */

static int dir_open(const struct catalog *c, const char *name)
{
	if (c->history.dir < 0)
		return -1;
	return openat(c->history.dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

typedef int held_fn(struct catalog *c, int dir, const char *name, bool is_new, void *data,
		    struct err *e);

static int each_held(struct catalog *c, int dir, held_fn *fn, void *data, struct err *e)
{
	autodir DIR *d = path_list(dir, ".", NULL);
	char name[NAME_FILE_MAX + 1];
	bool is_new;
	int r = 0;

	for (struct dirent *it; r == 0 && d && (it = readdir(d)) != NULL;)
		if (history_name(it->d_name, &is_new, name))
			r = fn(c, dir, name, is_new, data, e);
	return r;
}

static int load(struct catalog *c, int dir, const char *name, struct webspace **ret, uint64_t *hash,
		struct err *e)
{
	autofree char *path = memory_printf("%s/%s.conf", c->host->config_dir, name);
	const struct good from = { .dir = dir };
	struct problems p = { 0 };
	autoarena struct arena a = { 0 };
	char file[NAME_FILE_MAX + 8];
	size_t len = 0;
	autofree char *text = good_read(&from, item_file(name, file), &len, hash);
	int r = 0;

	if (!text)
		r = err_set(e, ENOENT, "%s: its former text is damaged", name);
	else if (load_webspace(c->host, name, path, text, len, ret, &p) < 0)
		r = err_set(e, EINVAL, "%s does not load any more as it was then: %s", name,
			    p.count ? problem_text(&p.items[0], &a) : "");
	problems_clear(&p);
	return r;
}

/* What it is to be as of then. NULL and 0: nothing, it has come and gone. */
static int load_as_of(struct catalog *c, int dir, const char *name, bool is_new,
		      struct webspace **ret, struct err *e)
{
	struct webspace *w = NULL;
	uint64_t hash;
	int r = load(c, is_new ? c->good.dir : dir, name, &w, &hash, e);

	if (is_new && r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (is_new || !host_has_placed(c->host, w)) {
		w->state = STATE_DISABLED;
		w->fingerprint = webspace_fingerprint(w);
	}
	*ret = w;
	return 0;
}

/* Pinning ------------------------------------------------------------------ */

static void pin(struct catalog *c, const char *name, struct webspace *w)
{
	struct item *it = item_make(c, name);

	if (it->entry.going) /* its removal was about to begin */
		it->hash = 0;
	if (it->hash == 0 && it->entry.absent_since)
		item_put_problem(c, it, NULL);
	it->entry.rolled_back = true;
	item_put_loaded(c, it, w);
	item_touch(c, it);
}

void rollback_unpin(struct catalog *c, struct item *it)
{
	it->entry.rolled_back = false;
	item_touch(c, it);
}

bool rollback_needs_no_file(const struct item *it)
{
	return it->entry.rolled_back && it->hash == 0;
}

/* Back to what its file said last; without a file it is one whose file has gone. */
static void back_to_file(struct catalog *c, struct item *it, time_t now)
{
	struct webspace *w = NULL;

	rollback_unpin(c, it);
	if (load(c, c->good.dir, it->name, &w, &it->hash, NULL) == 0)
		item_put_loaded(c, it, w);
	else if (!it->exists)
		item_set_absent(c, it, false, now);
}

/* Not being able to go back once more is no reason to stop a change. */
void rollback_keep(struct catalog *c, const struct item *it)
{
	(void)history_keep(&c->history, it->name, it->entry.rolled_back ? c->held : c->good.dir,
			   NULL);
}

static void held_close(struct catalog *c)
{
	if (c->held >= 0)
		close(c->held);
	c->held = -1;
	c->rolled_back = 0;
	c->rolled_back_since = 0;
}

void rollback_end(struct catalog *c, time_t now)
{
	struct table_entry *te;

	table_each (&c->items, te) {
		struct item *it = te->value;

		if (!it->entry.rolled_back)
			continue;
		rollback_keep(c, it);
		back_to_file(c, it, now);
	}
	held_close(c);
	if (c->history.writable)
		(void)path_remove_tree(c->history.dir, HELD, NULL);
}

void rollback_forget(struct catalog *c, const char *name)
{
	char file[NAME_FILE_MAX + 8];

	if (c->held < 0 || !c->history.writable)
		return;
	(void)unlinkat(c->held, history_file(name, false, file), 0);
	(void)unlinkat(c->held, history_file(name, true, file), 0);
}

static int pin_loaded(struct catalog *c, int dir, const char *name, bool is_new, void *data,
		      struct err *e)
{
	struct webspace *w = NULL;

	(void)data;
	if (load_as_of(c, dir, name, is_new, &w, e) == 0 && w)
		pin(c, name, w);
	return 0;
}

/* Makes what lies in held/ be in force. */
static void hold(struct catalog *c)
{
	autofree char *text = NULL;
	struct stat st;
	size_t len;

	held_close(c);
	c->held = dir_open(c, HELD);
	if (c->held < 0 || path_read(c->held, GENERATION, 32, &text, &len, NULL) < 0)
		return;
	c->rolled_back = strtoull(text, NULL, 10);
	if (fstatat(c->held, GENERATION, &st, AT_SYMLINK_NOFOLLOW) == 0)
		c->rolled_back_since = st.st_mtim.tv_sec;
	(void)each_held(c, c->held, pin_loaded, NULL, NULL);
}

void rollback_restore(struct catalog *c)
{
	c->held = -1;
	hold(c);
}

void rollback_close(struct catalog *c)
{
	held_close(c);
	history_close(&c->history);
}

/* Beginning ---------------------------------------------------------------- */

static int link_held(struct catalog *c, int dir, const char *name, bool is_new, void *data,
		     struct err *e)
{
	char file[NAME_FILE_MAX + 8];
	const int *to = data;

	(void)c;
	history_file(name, is_new, file);
	return linkat(dir, file, *to, file, 0) < 0 ? err_sys(e, "link %s", file) : 0;
}

/* What is as its file says needs no holding; what does not load cannot be held. */
static int sift(struct catalog *c, int dir, const char *name, bool is_new, void *data,
		struct err *e)
{
	struct webspace *then = NULL, *now = NULL;
	char file[NAME_FILE_MAX + 8];
	size_t *n = data;
	uint64_t hash;
	int r = load_as_of(c, dir, name, is_new, &then, e);
	bool same;

	if (r < 0)
		return r;
	if (load(c, c->good.dir, name, &now, &hash, NULL) < 0)
		now = NULL;
	same = then && now ? then->fingerprint == now->fingerprint : !then;
	webspace_free(then);
	webspace_free(now);
	if (same)
		(void)unlinkat(dir, history_file(name, is_new, file), 0);
	*n += !same;
	return 0;
}

static int stage(struct catalog *c, uint64_t generation, size_t *ret_changed, size_t *ret_held,
		 struct err *e)
{
	autofree char *number = memory_printf("%" PRIu64 "\n", generation);
	autofd int to = -1;
	int r = path_remove_tree(c->history.dir, STAGED, e);

	if (r < 0)
		return r;
	if (mkdirat(c->history.dir, STAGED, 0700) < 0 || (to = dir_open(c, STAGED)) < 0)
		return err_sys(e, "make history/" STAGED);
	r = each_held(c, c->held, link_held, &to, e);
	if (r == 0)
		r = history_since(&c->history, generation, to, ret_changed, e);
	*ret_held = 0;
	if (r == 0)
		r = each_held(c, to, sift, ret_held, e);
	if (r == 0)
		r = put_file(to, GENERATION, 0600, number, strlen(number), PUT_BATCH, e);
	if (r >= 0 && fsync(to) < 0)
		r = err_sys(e, "sync history/" STAGED);
	return r < 0 ? r : 0;
}

static int keep_one(struct catalog *c, int dir, const char *name, bool is_new, void *data,
		    struct err *e)
{
	const struct item *it = item_get(c, name);

	(void)dir;
	(void)is_new;
	(void)data;
	return history_keep(&c->history, name, it && it->entry.rolled_back ? c->held : c->good.dir,
			    e);
}

/* From here on a restart would begin with it. What was held and is no longer goes back to its file. */
static int commit(struct catalog *c, time_t now, struct err *e)
{
	autofd int to = dir_open(c, STAGED);
	unsigned flags = c->held >= 0 ? RENAME_EXCHANGE : 0;
	struct table_entry *te;
	int r = each_held(c, to, keep_one, NULL, e);

	if (r == 0)
		r = each_held(c, c->held, keep_one, NULL, e);
	if (r < 0)
		return r;
	if (renameat2(c->history.dir, STAGED, c->history.dir, HELD, flags) < 0)
		return err_sys(e, "rename history/" STAGED);
	table_each (&c->items, te) {
		struct item *it = te->value;

		if (it->entry.rolled_back)
			back_to_file(c, it, now);
	}
	hold(c);
	(void)path_remove_tree(c->history.dir, STAGED, NULL);
	return 0;
}

static int resolve(const struct catalog *c, uint64_t *generation, struct err *e)
{
	uint64_t newest = c->history.point, oldest = history_oldest(&c->history);

	if (*generation == 0) {
		*generation =
			history_before(&c->history, c->rolled_back ? c->rolled_back : UINT64_MAX);
		return *generation ? 0
				   : err_set(e, ENOENT,
					     "nothing earlier is known: no file has changed%s",
					     c->rolled_back ? " before that" : "");
	}
	if (*generation > newest)
		return err_set(e, ENOENT,
			       "there is no generation %" PRIu64 "; the newest is %" PRIu64,
			       *generation, newest);
	if (*generation < oldest)
		return err_set(e, ENOENT,
			       "what was in force at generation %" PRIu64
			       " is not known any more; the oldest that is, is %" PRIu64,
			       *generation, oldest);
	return 0;
}

int catalog_roll_back(struct catalog *c, uint64_t *generation, time_t now, struct err *e)
{
	size_t changed = 0, held = 0;
	int r = c->history.dir < 0 ? err_set(e, ENOENT, "nothing is known of earlier generations")
				   : resolve(c, generation, e);

	if (r < 0 || *generation == c->rolled_back)
		return r;
	r = stage(c, *generation, &changed, &held, e);
	if (r == 0 && changed > 0 && held > 0)
		r = commit(c, now, e);
	else if (r == 0 && changed > 0)
		rollback_end(c, now); /* as the files say */
	(void)path_remove_tree(c->history.dir, STAGED, NULL);
	return r < 0 ? r : changed > 0;
}

uint64_t catalog_rolled_back(const struct catalog *c, time_t *ret_since)
{
	if (ret_since)
		*ret_since = c->rolled_back_since;
	return c->rolled_back;
}

void catalog_rollback_names(const struct catalog *c, struct buf *ret)
{
	const struct table_entry *te;
	struct table names = { 0 };

	if (!c->rolled_back)
		return; /* asked at each pass: not all items are gone through for nothing */
	table_each (&c->items, te) {
		struct item *it = te->value;

		if (it->entry.rolled_back)
			(void)table_set(&names, it->name, it);
	}
	(void)table_list(&names, NAMES_TOLD, ret);
	table_clear(&names);
}
