/*
 * A table from name to ids, and a bit for each id of the range that some name
 * ever had. Ten thousand names cost about a megabyte.
 */
#include "reconcile/accounts/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "agent/base/table.h"
#include "reconcile/accounts/id.h"

#define RANGE_MAX  (1u << 20)
#define LEDGER_MAX (64u << 20)
#define FIRST_ID   1000 /* below are the system's own */

struct ledger {
	char *state_dir;
	unsigned min, max;
	bool loaded;
	struct table ids; /* name → struct ledger_ids */
	unsigned char *used;
	unsigned next; /* no id below it is free */
	struct buf unwritten;
	size_t whole_bytes; /* of the file: whole lines */
	bool torn;          /* … half a line follows */
};

struct ledger *ledger_new(const char *state_dir, unsigned min, unsigned max)
{
	struct ledger *l = memory_new(sizeof *l);

	l->state_dir = memory_dup(state_dir);
	l->min = min;
	l->max = max - min < RANGE_MAX ? max : min + RANGE_MAX - 1;
	l->used = memory_new((l->max - l->min) / 8 + 1);
	l->next = min;
	return l;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	table_free_values(&l->ids);
	buf_clear(&l->unwritten);
	free(l->used);
	free(l->state_dir);
	free(l);
}

static bool in_range(const struct ledger *l, id_t id)
{
	return id >= l->min && id <= l->max;
}

static bool is_used(const struct ledger *l, id_t id)
{
	return in_range(l, id) && (l->used[(id - l->min) / 8] >> (id - l->min) % 8 & 1);
}

static void mark_used(struct ledger *l, id_t id)
{
	if (in_range(l, id))
		l->used[(id - l->min) / 8] |= (unsigned char)(1u << (id - l->min) % 8);
}

static void ledger_take(struct ledger *l, const char *name, struct ledger_ids ids)
{
	struct ledger_ids *kept = table_make(&l->ids, name, sizeof *kept);

	*kept = ids;
	mark_used(l, ids.uid);
	mark_used(l, ids.gid);
}

/* "NAME UID", "NAME UID GID". Anything else says nothing. */
static void line_parse(struct ledger *l, char *line)
{
	const char *name = strsep(&line, " "), *uid = strsep(&line, " "), *gid = line;
	struct ledger_ids ids;

	if (!id_read(uid, &ids.uid) || !id_read(gid ? gid : uid, &ids.gid) || ids.uid == 0 ||
	    ids.gid == 0)
		return;
	ledger_take(l, name, ids);
}

static void ledger_parse(struct ledger *l, char *text, size_t len)
{
	char *rest = text, *line;

	l->whole_bytes = len;
	while (l->whole_bytes > 0 && text[l->whole_bytes - 1] != '\n')
		l->whole_bytes--;
	l->torn = l->whole_bytes != len;
	if (l->torn)
		text[l->whole_bytes] = '\0';
	while ((line = strsep(&rest, "\n")))
		line_parse(l, line);
}

/* The group of a tree of ours, which is the uid too as far as anybody can see. */
static bool home_ids(int dir, const char *name, struct ledger_ids *ret)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode) ||
	    st.st_uid != 0 || st.st_gid < FIRST_ID)
		return false;
	*ret = (struct ledger_ids){ st.st_gid, st.st_gid };
	return true;
}

/* The ids of home directories whose name the ledger lacks. */
static void homes_read(struct ledger *l, int home_root)
{
	autodir DIR *d = path_list(home_root, ".", NULL);

	for (const struct dirent *entry; d && (entry = readdir(d));) {
		struct ledger_ids ids;

		if (entry->d_name[0] != '.' && !table_get(&l->ids, entry->d_name) &&
		    home_ids(dirfd(d), entry->d_name, &ids) && !is_used(l, ids.gid))
			ledger_take(l, entry->d_name, ids);
	}
}

static int ledger_load(struct ledger *l, int home_root, struct err *e)
{
	autofree char *text = NULL;
	autofd int dir = -1;
	size_t len = 0;
	int r;

	if (l->loaded)
		return 0;
	dir = path_open_dir(l->state_dir, e);
	r = dir < 0 ? dir : path_read(dir, "ids", LEDGER_MAX, &text, &len, e);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0)
		ledger_parse(l, text, len);
	homes_read(l, home_root);
	l->loaded = true;
	return 0;
}

static void ledger_add(struct ledger *l, const char *name, struct ledger_ids ids)
{
	buf_printf(&l->unwritten, "%s %u", name, (unsigned)ids.uid);
	if (ids.gid != ids.uid)
		buf_printf(&l->unwritten, " %u", (unsigned)ids.gid);
	buf_adds(&l->unwritten, "\n");
	ledger_take(l, name, ids);
}

int ledger_get(struct ledger *l, int home_root, const char *name, struct ledger_ids *ret,
	       struct err *e)
{
	const struct ledger_ids *known;
	int r = ledger_load(l, home_root, e);

	if (r < 0)
		return r;
	known = table_get(&l->ids, name);
	if (known)
		*ret = *known;
	return known != NULL;
}

int ledger_choose(struct ledger *l, struct accounts *a, int home_root, id_t *ret_id, struct err *e)
{
	int r = ledger_load(l, home_root, e);

	if (r < 0)
		return r;
	while (l->next <= l->max && (is_used(l, l->next) || accounts_id_taken(a, l->next)))
		l->next++;
	if (l->next > l->max)
		return err_set(e, ENOSPC,
			       "no id from accounts.uid_min to uid_max (%u to %u) is free", l->min,
			       l->max);
	*ret_id = l->next++;
	return 0;
}

int ledger_note(struct ledger *l, int home_root, const char *name, struct ledger_ids ids,
		struct err *e)
{
	const struct ledger_ids *known;
	int r = ledger_load(l, home_root, e);

	if (r < 0)
		return r;
	known = table_get(&l->ids, name);
	if (!known || known->uid != ids.uid || known->gid != ids.gid)
		ledger_add(l, name, ids);
	return 0;
}

int ledger_write(struct ledger *l, struct err *e)
{
	autofree char *path = NULL;
	autofd int fd = -1;
	int r = 0;

	if (l->unwritten.len == 0)
		return 0;
	path = memory_printf("%s/ids", l->state_dir);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fchmod(fd, 0600) < 0)
		return err_sys(e, "%s", path);
	if (l->torn && ftruncate(fd, (off_t)l->whole_bytes) < 0)
		r = err_sys(e, "drop half a line");
	if (r == 0)
		r = put_all(fd, l->unwritten.data, l->unwritten.len, e);
	if (r < 0)
		return err_in(e, "%s", path);
	if (fdatasync(fd) < 0)
		return err_sys(e, "%s", path);
	l->torn = false;
	buf_reset(&l->unwritten);
	return 0;
}
