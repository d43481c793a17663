/*
 * inotify does not see mounts; /proc/self/mountinfo wakes whoever polls it, but
 * says nothing about what changed. So each home has a sum over its lines (what
 * is mounted from where with which options; no ids, they change with every
 * mount), and a table read after somebody else's change is compared by it.
 * The table of ten thousand jails is 2 MB: our own changes do not make us read it.
 */
#include "watchers/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/hash.h"
#include "agent/base/own.h"

#define TABLE_MAX (64u << 20)

/* As the kernel writes paths: blanks, newlines and backslashes as \ooo. */
static char *escaped(const char *path)
{
	struct buf b = { 0 };

	for (; *path; path++) {
		if (strchr(" \t\n\\#", *path))
			buf_printf(&b, "\\%03o", (unsigned)(unsigned char)*path);
		else
			buf_addc(&b, *path);
	}
	while (b.len > 1 && b.data[b.len - 1] == '/')
		b.data[--b.len] = '\0';
	buf_adds(&b, "");
	return b.data;
}

int mounts_open(struct mounts *m, const char *home_root, struct err *e)
{
	*m = (struct mounts){ .fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC) };
	if (m->fd < 0)
		return err_sys(e, "open /proc/self/mountinfo");
	m->home_root = escaped(home_root);
	return 0;
}

void mounts_close(struct mounts *m)
{
	if (m->home_root)
		close(m->fd);
	free(m->home_root);
	*m = (struct mounts){ .fd = -1 };
}

void mounts_seen(struct mounts *m)
{
	struct pollfd p = { .fd = m->fd, .events = POLLPRI };

	(void)poll(&p, 1, 0);
}

static int read_table(int fd, struct buf *ret, struct err *e)
{
	char chunk[65536];
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, "rewind /proc/self/mountinfo");
	while ((n = read(fd, chunk, sizeof chunk)) > 0 && ret->len < TABLE_MAX)
		buf_add(ret, chunk, (size_t)n);
	return n < 0 ? err_sys(e, "read /proc/self/mountinfo") : 0;
}

/* The fields of a line that say what is mounted: "36 35 98:0 /root /point rw,noatime …" */
struct line {
	const char *facts; /* from the device to the options */
	size_t facts_len;
	const char *point;
	size_t point_len;
};

static const char *skip_fields(const char *p, const char *end, unsigned n)
{
	for (; n > 0 && p; n--) {
		p = memchr(p, ' ', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	return p;
}

static bool parse(const char *p, const char *end, struct line *ret)
{
	const char *facts = skip_fields(p, end, 2);
	const char *point = facts ? skip_fields(facts, end, 2) : NULL;
	const char *options = point ? skip_fields(point, end, 1) : NULL;
	const char *after = options ? memchr(options, ' ', (size_t)(end - options)) : NULL;

	if (!after)
		return false;
	*ret = (struct line){
		.facts = facts,
		.facts_len = (size_t)(after - facts),
		.point = point,
		.point_len = (size_t)(options - 1 - point),
	};
	return true;
}

/* Mixed, since sums are taken of it. */
static uint64_t hash_of(const char *text, size_t len)
{
	uint64_t h = hash_bytes(HASH_START, text, len);

	h ^= h >> 32;
	h *= UINT64_C(0x9E3779B97F4A7C15);
	return h ^ (h >> 29);
}

/* The home in whose tree the mount lies. */
static struct home *home_of(const struct mounts *m, const struct homes *homes, const struct line *l)
{
	size_t root = strcmp(m->home_root, "/") == 0 ? 0 : strlen(m->home_root);
	char name[256];

	if (l->point_len <= root + 1 || memcmp(l->point, m->home_root, root) != 0 ||
	    l->point[root] != '/')
		return NULL;

	const char *start = l->point + root + 1;
	size_t rest = l->point_len - root - 1;
	const char *slash = memchr(start, '/', rest);
	size_t len = slash ? (size_t)(slash - start) : rest;

	if (len >= sizeof name)
		return NULL;
	memcpy(name, start, len);
	name[len] = '\0';
	return table_get(&homes->homes, name);
}

/* Is the home root itself, or a directory above it, this mount's point? */
static bool is_above(const struct mounts *m, const struct line *l)
{
	size_t root = strlen(m->home_root);

	if (l->point_len == 1)
		return true;
	return l->point_len <= root && memcmp(l->point, m->home_root, l->point_len) == 0 &&
	       (m->home_root[l->point_len] == '/' || l->point_len == root);
}

static uint64_t sum_lines(const struct mounts *m, const struct homes *homes,
			  const struct buf *table)
{
	const char *end = buf_text(table) + table->len;
	uint64_t above = 0;
	struct line l;

	for (const char *p = buf_text(table), *next; p < end; p = next) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));

		next = newline ? newline + 1 : end;
		if (!parse(p, newline ? newline : end, &l))
			continue;

		struct home *home = home_of(m, homes, &l);

		if (home)
			home->mounts_now += hash_of(l.facts, l.facts_len);
		else if (is_above(m, &l))
			above += hash_of(l.facts, l.facts_len);
	}
	return above;
}

int mounts_read(struct mounts *m, struct homes *homes, struct err *e)
{
	autobuf struct buf table = { 0 };
	struct table_entry *it;
	int r = read_table(m->fd, &table, e);

	if (r < 0)
		return r;
	table_each (&homes->homes, it)
		((struct home *)it->value)->mounts_now = 0;

	uint64_t above = sum_lines(m, homes, &table);

	if (m->above_known && m->above != above)
		homes_lost(homes);
	m->above = above;
	m->above_known = true;
	table_each (&homes->homes, it) {
		struct home *home = it->value;

		if (!home->mounts_known || home->mounts != home->mounts_now)
			homes_mark(homes, home);
		home->mounts = home->mounts_now;
		home->mounts_known = true;
	}
	return 0;
}
