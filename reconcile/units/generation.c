/*
 * See generation.h. Next numbers come from a counter file; where it is lost or
 * was torn by a crash, from the directories that exist, and one that exists is
 * never used again: the writer meets it and takes the next.
 */
#include "reconcile/units/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/number.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define FILE_MAX ((size_t)256 << 20) /* of one generated file, read back */

int generation_open(const struct host *host, const char *unit_dir, bool make, struct err *e)
{
	autofree char *path = memory_printf("%s/%s", host->state_dir, unit_dir);
	int r = make ? path_make_dirs(path, 0700, e) : 0;

	return r < 0 ? r : path_open_dir(path, e);
}

uint64_t generation_current(int dir)
{
	char target[64];

	return path_read_link(dir, "current", target, sizeof(target)) ? number_parse(target) : 0;
}

int generation_link(int dir, uint64_t n, struct err *e)
{
	int r = 0;

	if (n != 0)
		r = put_link(dir, "current", number_of(n).text, e);
	else if (unlinkat(dir, "current", 0) < 0 && errno != ENOENT)
		r = err_sys(e, "remove the link current");
	return r < 0 ? r : 0;
}

static int open_one(int dir, uint64_t n, struct err *e)
{
	return path_open(dir, number_of(n).text, O_RDONLY | O_DIRECTORY, e);
}

int generation_write(int dir, uint64_t n, const struct unit_file files[static UNIT_FILES],
		     struct err *e)
{
	autofd int d = -1;

	if (mkdirat(dir, number_of(n).text, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "make generation %" PRIu64, n);
	d = open_one(dir, n, e);
	if (d < 0)
		return d;
	for (size_t i = 0; i < UNIT_FILES; i++) {
		int r = 0;

		/* The disk writes while the check runs, and generation_sync finds little left to do. */
		if (files[i].name)
			r = put_file(d, files[i].name, 0600, buf_text(&files[i].text),
				     files[i].text.len, PUT_BEGUN, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int generation_sync(int dir, uint64_t n, struct err *e)
{
	autofd int files = open_one(dir, n, e);
	int r = files < 0 ? files : put_sync_files(files, e);

	if (r == 0)
		r = put_sync_dir(dir, e);
	return r < 0 ? err_in(e, "generation %" PRIu64, n) : 0;
}

void generation_remove(int dir, uint64_t n)
{
	if (n != 0)
		(void)path_remove_tree(dir, number_of(n).text, NULL);
}

/* What a sweep leaves: everything between oldest and current. */
struct sweep {
	uint64_t current;
	uint64_t oldest; /* the oldest to keep */
};

static void sweep(int dir, struct sweep s)
{
	autodir DIR *list = path_list(dir, ".", NULL);

	for (struct dirent *it; list && (it = readdir(list)) != NULL;) {
		uint64_t n = number_parse(it->d_name);

		if (n != 0 && (n > s.current || n < s.oldest))
			generation_remove(dir, n);
	}
}

void generation_discard(int dir, uint64_t current)
{
	sweep(dir, (struct sweep){ .current = current, .oldest = 0 });
}

uint64_t generation_below(int dir, uint64_t n)
{
	autodir DIR *list = path_list(dir, ".", NULL);
	uint64_t best = 0;

	for (struct dirent *it; list && (it = readdir(list)) != NULL;) {
		uint64_t found = number_parse(it->d_name);

		if (found < n && found > best)
			best = found;
	}
	return best;
}

void generation_prune(int dir, uint64_t current)
{
	uint64_t oldest = current;

	for (int i = 1; i < GENERATIONS_KEPT && oldest != 0; i++) {
		uint64_t below = generation_below(dir, oldest);

		if (below == 0)
			break;
		oldest = below;
	}
	sweep(dir, (struct sweep){ .current = UINT64_MAX, .oldest = oldest });
}

void generation_stamp(int dir, uint64_t n, const char *const names[static UNIT_FILES],
		      struct generation_stamp *ret)
{
	autofd int d = n == 0 ? -1 : open_one(dir, n, NULL);

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; d >= 0 && i < UNIT_FILES; i++) {
		struct stat st;

		if (!names[i] || fstatat(d, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		ret->files[i].ino = st.st_ino;
		ret->files[i].size = st.st_size;
		ret->files[i].changed = st.st_ctim;
	}
}

#define SEEN_FILE "seen"

void generation_mark_seen(int dir, uint64_t n)
{
	autofd int d = open_one(dir, n, NULL);

	if (d >= 0)
		(void)put_file(d, SEEN_FILE, 0600, "", 0, PUT_BATCH, NULL);
}

bool generation_is_seen(int dir, uint64_t n)
{
	autofd int d = n == 0 ? -1 : open_one(dir, n, NULL);
	struct stat st;

	return d >= 0 && fstatat(d, SEEN_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

char *generation_read(int dir, uint64_t n, const char *name, size_t *ret_len)
{
	autofd int d = n == 0 || dir < 0 ? -1 : open_one(dir, n, NULL);
	char *text;

	if (d < 0 || path_read(d, name, FILE_MAX, &text, ret_len, NULL) < 0)
		return NULL;
	return text;
}

bool generation_holds(int dir, uint64_t n, const struct unit_file *file)
{
	size_t len;
	autofree char *text = generation_read(dir, n, file->name, &len);

	return text && len == file->text.len && memcmp(text, buf_text(&file->text), len) == 0;
}

/* Where units have their directories: state_dir/nginx/, state_dir/php/<master>/. */
static const char *const places[] = { "nginx", "php" };

static uint64_t highest_in(int dir, int depth)
{
	autodir DIR *list = path_list(dir, ".", NULL);
	uint64_t best = 0;

	for (struct dirent *it; list && (it = readdir(list)) != NULL;) {
		uint64_t n = number_parse(it->d_name);
		autofd int d = -1;

		if (n == 0 && depth > 0 && it->d_name[0] != '.')
			d = openat(dir, it->d_name,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (d >= 0)
			n = highest_in(d, depth - 1);
		best = n > best ? n : best;
	}
	return best;
}

static uint64_t highest(int state)
{
	uint64_t best = 0;

	for (size_t i = 0; i < ELEMENTS(places); i++) {
		autofd int d = openat(state, places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		uint64_t n = d < 0 ? 0 : highest_in(d, 1);

		best = n > best ? n : best;
	}
	return best;
}

/* 0: none was given yet. */
static uint64_t last_given(int state)
{
	autofree char *text = NULL;
	uint64_t n = 0;
	size_t len;

	if (path_read(state, "generation", 64, &text, &len, NULL) >= 0) {
		text[strcspn(text, "\n")] = '\0';
		n = number_parse(text);
	}
	return n ? n : highest(state);
}

uint64_t generation_last(const struct host *host)
{
	autofd int state = path_open_dir(host->state_dir, NULL);

	return state < 0 ? 0 : last_given(state);
}

uint64_t generation_next(const struct host *host)
{
	autofd int state = path_open_dir(host->state_dir, NULL);
	uint64_t n;

	if (state < 0)
		return 1;
	n = last_given(state) + 1;
	(void)put_file(state, "generation", 0600, number_of(n).text, strlen(number_of(n).text),
		       PUT_BATCH, NULL);
	return n;
}
