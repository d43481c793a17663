/* Of /etc/group only what is asked is kept: each group's number, name, and whether the user is in it. */
#include "reconcile/tree/membership.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/spawn.h"

#define GROUP_FILE "/etc/group"
#define GROUP_MAX  ((size_t)64 << 20)
#define TIME_LIMIT (60 * USEC_PER_SEC)

struct group_row {
	gid_t gid;
	const char *name; /* in text */
	bool is_member;
};

struct membership {
	const char *user;
	char *text; /* the file, cut into fields */
	struct group_row *rows;
	size_t n_rows;
	struct stat seen;
	struct buf wanted; /* names, with commas */
};

struct membership *membership_new(const char *user)
{
	struct membership *m = memory_new(sizeof *m);

	m->user = user;
	return m;
}

void membership_free(struct membership *m)
{
	if (!m)
		return;
	free(m->rows);
	free(m->text);
	buf_clear(&m->wanted);
	free(m);
}

static bool is_in_list(char *list, const char *user)
{
	char *save = NULL;

	for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save))
		if (strcmp(name, user) == 0)
			return true;
	return false;
}

static int compare_rows(const void *a, const void *b)
{
	const struct group_row *x = a, *y = b;

	return (x->gid > y->gid) - (x->gid < y->gid);
}

/* group(5): NAME:PASSWORD:GID:MEMBERS */
static void parse(struct membership *m)
{
	size_t room = 0;
	char *rest = m->text;

	m->n_rows = 0;
	for (char *line; (line = strsep(&rest, "\n"));) {
		const char *name = strsep(&line, ":");
		const char *password = strsep(&line, ":");
		const char *gid = strsep(&line, ":");

		if (!password || !gid || !line)
			continue;
		if (m->n_rows == room) {
			room = room ? 2 * room : 128;
			m->rows = memory_resize(m->rows, room, sizeof *m->rows);
		}
		m->rows[m->n_rows++] = (struct group_row){
			.gid = (gid_t)strtoul(gid, NULL, 10),
			.name = name,
			.is_member = is_in_list(line, m->user),
		};
	}
	if (m->n_rows)
		qsort(m->rows, m->n_rows, sizeof *m->rows, compare_rows);
}

int membership_refresh(struct membership *m, struct err *e)
{
	autofd int root = path_open_dir("/", e);
	struct stat st;
	size_t len;
	int r;

	if (root < 0)
		return root;
	if (stat(GROUP_FILE, &st) < 0)
		return err_sys(e, GROUP_FILE);
	if (m->text && st.st_ino == m->seen.st_ino && st.st_size == m->seen.st_size &&
	    st.st_mtim.tv_sec == m->seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == m->seen.st_mtim.tv_nsec)
		return 0;
	m->n_rows = 0;
	free(take_ptr(m->text));
	r = path_read(root, "etc/group", GROUP_MAX, &m->text, &len, e);
	if (r < 0)
		return r;
	m->seen = st;
	parse(m);
	return 0;
}

static const struct group_row *find(const struct membership *m, gid_t gid)
{
	struct group_row key = { .gid = gid };

	return m->n_rows ? bsearch(&key, m->rows, m->n_rows, sizeof key, compare_rows) : NULL;
}

void membership_observe(struct membership *m, gid_t gid, struct finding *f)
{
	const struct group_row *row = find(m, gid);

	f->state = row && row->is_member ? OBSERVED_IN_SYNC : OBSERVED_MISSING;
	if (!row) {
		f->state = OBSERVED_NOT_READY;
		snprintf(f->text, sizeof f->text, "the group %u is not in " GROUP_FILE, gid);
	}
}

int membership_add(struct membership *m, gid_t gid, struct err *e)
{
	const struct group_row *row = find(m, gid);

	if (!row)
		return err_set(e, ENOENT, "the group %u is not in " GROUP_FILE, gid);
	if (m->wanted.len)
		buf_addc(&m->wanted, ',');
	buf_adds(&m->wanted, row->name);
	return 0;
}

int membership_flush(struct membership *m, struct err *e)
{
	const char *const argv[] = { "/usr/sbin/usermod",  "--append", "--groups",
				     buf_text(&m->wanted), m->user,    NULL };
	const struct spawn s = { .argv = argv };
	int r;

	if (m->wanted.len == 0)
		return 0;
	r = spawn_run(&s, NULL, clock_usec() + TIME_LIMIT, NULL, e);
	buf_reset(&m->wanted);
	if (r < 0)
		return err_in(e, "put %s into groups", m->user);
	return membership_refresh(m, e);
}
