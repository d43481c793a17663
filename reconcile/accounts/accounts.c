/*
 * Three sorted arrays over the text of /etc/passwd and /etc/group: users by
 * name, groups by id, and every id that is taken. Sorting ten thousand of them
 * costs a few milliseconds, each time the files change; a lookup is a binary
 * search and the host's memory for it about a megabyte.
 */
#include "reconcile/accounts/accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/table.h"
#include "reconcile/accounts/nss.h"

#define FILE_MAX       (64u << 20)
#define ANSWER_USEC    (60 * USEC_PER_SEC)
#define ANSWERS_SPARED 1024 /* expired answers are kept below this many */

struct file_stamp {
	struct timespec mtime;
	ino_t ino;
	off_t size;
	bool exists;
};

struct user {
	const char *name;
	uint32_t line; /* the first of two lines with the same name counts */
	uid_t uid;
	gid_t gid;
};

struct group_line {
	gid_t gid;
	const char *members; /* "a,b" */
};

/* What a name service said. */
struct answer {
	int result; /* 0, -ENOENT or -EAGAIN */
	struct account account;
	uint64_t until_usec;
};

struct accounts {
	int dir;
	const char *web_user;
	struct file_stamp passwd_stamp, group_stamp, nsswitch_stamp;
	bool read_once;
	bool has_news; /* somebody else changed them, and nobody has asked yet */

	char *passwd_text, *group_text;
	struct user *users;
	size_t n_users;
	struct group_line *groups;
	size_t n_groups;
	id_t *ids; /* uids and gids of both files, sorted */
	size_t n_ids;
	gid_t *primaries; /* one for each user, sorted */

	struct nss *nss;
	struct table answers; /* name → struct answer */
};

int accounts_open(struct accounts **ret, struct err *e)
{
	return accounts_open_in("/etc", ret, e);
}

int accounts_open_in(const char *etc, struct accounts **ret, struct err *e)
{
	autofd int dir = path_open_dir(etc, e);
	struct accounts *a;
	int r;

	if (dir < 0)
		return dir;
	a = memory_new(sizeof *a);
	a->dir = take_fd(dir);
	a->web_user = "";
	r = accounts_refresh_own(a, e);
	if (r < 0) {
		accounts_close(a);
		return r;
	}
	*ret = a;
	return 0;
}

static void answers_clear(struct accounts *a, uint64_t older_than_usec)
{
	struct table_entry *it;

	table_each (&a->answers, it) {
		struct answer *answer = it->value;

		if (answer->until_usec < older_than_usec)
			free(table_take(&a->answers, it->key));
	}
}

void accounts_close(struct accounts *a)
{
	if (!a)
		return;
	answers_clear(a, UINT64_MAX);
	table_clear(&a->answers);
	nss_close(a->nss);
	free(a->passwd_text);
	free(a->group_text);
	free(a->users);
	free(a->groups);
	free(a->ids);
	free(a->primaries);
	close(a->dir);
	free(a);
}

void accounts_web_user(struct accounts *a, const char *name)
{
	a->web_user = name;
}

/* True, and the stamp is the new one, if the file is another than it was. */
static bool file_changed(int dir, const char *name, struct file_stamp *stamp)
{
	struct file_stamp now = { 0 };
	struct stat st;

	if (fstatat(dir, name, &st, 0) == 0)
		now = (struct file_stamp){ st.st_mtim, st.st_ino, st.st_size, true };
	if (now.exists == stamp->exists && now.ino == stamp->ino && now.size == stamp->size &&
	    now.mtime.tv_sec == stamp->mtime.tv_sec && now.mtime.tv_nsec == stamp->mtime.tv_nsec)
		return false;
	*stamp = now;
	return true;
}

static bool number_read(const char *text, id_t *ret)
{
	char *end;
	unsigned long n;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || n >= UINT32_MAX)
		return false;
	*ret = (id_t)n;
	return true;
}

static size_t lines_count(const char *text)
{
	size_t n = 1;

	for (const char *p = text; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static int user_compare(const void *a, const void *b)
{
	const struct user *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : (x->line > y->line) - (x->line < y->line);
}

static int id_compare(const void *a, const void *b)
{
	const id_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int group_compare(const void *a, const void *b)
{
	const struct group_line *x = a, *y = b;

	return (x->gid > y->gid) - (x->gid < y->gid);
}

/* name:x:uid:gid:… A line that is not of this form (a "+" of compat, a comment) says nothing. */
static void users_parse(struct accounts *a)
{
	char *rest = a->passwd_text, *line;

	a->users = memory_resize(a->users, lines_count(rest), sizeof *a->users);
	a->n_users = 0;
	for (uint32_t n = 0; (line = strsep(&rest, "\n")); n++) {
		struct user u = { .name = strsep(&line, ":"), .line = n };

		(void)strsep(&line, ":");
		if (!number_read(strsep(&line, ":"), &u.uid) ||
		    !number_read(strsep(&line, ":"), &u.gid) || !*u.name)
			continue;
		a->users[a->n_users++] = u;
	}
	qsort(a->users, a->n_users, sizeof *a->users, user_compare);
}

/* name:x:gid:members */
static void groups_parse(struct accounts *a)
{
	char *rest = a->group_text, *line;

	a->groups = memory_resize(a->groups, lines_count(rest), sizeof *a->groups);
	a->n_groups = 0;
	while ((line = strsep(&rest, "\n"))) {
		struct group_line g = { 0 };

		(void)strsep(&line, ":");
		(void)strsep(&line, ":");
		if (!number_read(strsep(&line, ":"), &g.gid))
			continue;
		g.members = line ? line : "";
		a->groups[a->n_groups++] = g;
	}
	qsort(a->groups, a->n_groups, sizeof *a->groups, group_compare);
}

static void ids_collect(struct accounts *a)
{
	size_t n = 0;

	a->ids = memory_resize(a->ids, 2 * a->n_users + a->n_groups + 1, sizeof *a->ids);
	a->primaries = memory_resize(a->primaries, a->n_users + 1, sizeof *a->primaries);
	for (size_t i = 0; i < a->n_users; i++) {
		a->ids[n++] = a->users[i].uid;
		a->ids[n++] = a->users[i].gid;
		a->primaries[i] = a->users[i].gid;
	}
	for (size_t i = 0; i < a->n_groups; i++)
		a->ids[n++] = a->groups[i].gid;
	a->n_ids = n;
	qsort(a->ids, a->n_ids, sizeof *a->ids, id_compare);
	qsort(a->primaries, a->n_users, sizeof *a->primaries, id_compare);
}

static int text_read(struct accounts *a, const char *name, char **text, struct err *e)
{
	char *fresh = NULL;
	size_t len;
	int r = path_read(a->dir, name, FILE_MAX, &fresh, &len, e);

	if (r == -ENOENT)
		fresh = memory_dup("");
	else if (r < 0)
		return r;
	free(*text);
	*text = fresh;
	return 0;
}

/* The services of the passwd line; "files" where there is none (nsswitch.conf(5)). */
static void nss_read(struct accounts *a)
{
	autofree char *text = NULL;
	const char *services = "files";
	struct err ignored;
	char *rest, *line;
	size_t len;

	if (path_read(a->dir, "nsswitch.conf", 65536, &text, &len, &ignored) == 0) {
		rest = text;
		while ((line = strsep(&rest, "\n"))) {
			line += strspn(line, " \t");
			line[strcspn(line, "#")] = '\0';
			if (strncmp(line, "passwd:", 7) == 0)
				services = line + 7;
		}
	}
	nss_close(a->nss);
	a->nss = nss_open(services);
}

int accounts_refresh(struct accounts *a, struct err *e)
{
	bool passwd = file_changed(a->dir, "passwd", &a->passwd_stamp);
	bool group = file_changed(a->dir, "group", &a->group_stamp);
	int r;

	if (file_changed(a->dir, "nsswitch.conf", &a->nsswitch_stamp) || !a->nss)
		nss_read(a);
	if (a->answers.count > ANSWERS_SPARED)
		answers_clear(a, clock_usec());
	if (a->read_once && !passwd && !group)
		return 0;

	a->has_news = true;
	/* Both or none: a read that failed is tried again. */
	a->read_once = false;
	r = text_read(a, "passwd", &a->passwd_text, e);
	if (r < 0)
		return err_in(e, "accounts");
	users_parse(a);
	r = text_read(a, "group", &a->group_text, e);
	if (r < 0)
		return err_in(e, "accounts");
	groups_parse(a);
	ids_collect(a);
	a->read_once = true;
	return 0;
}

int accounts_refresh_own(struct accounts *a, struct err *e)
{
	bool had_news = a->has_news;
	int r = accounts_refresh(a, e);

	a->has_news = had_news || r < 0;
	return r;
}

bool accounts_have_news(struct accounts *a)
{
	bool news = accounts_refresh(a, NULL) < 0 || a->has_news;

	a->has_news = false;
	return news;
}

static bool members_are_only(const char *members, const char *name, const char *web_user)
{
	while (*members) {
		size_t len = strcspn(members, ",");

		if (len && !(len == strlen(name) && strncmp(members, name, len) == 0) &&
		    !(len == strlen(web_user) && strncmp(members, web_user, len) == 0))
			return false;
		members += len + (members[len] == ',');
	}
	return true;
}

/* The first entry of a sorted array that is not below key. */
static size_t lower_bound(const void *array, size_t n, size_t size, const void *key,
			  int (*compare)(const void *, const void *))
{
	size_t low = 0;

	while (n > 0) {
		size_t half = n / 2;

		if (compare((const char *)array + (low + half) * size, key) < 0) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return low;
}

/* Is the group the primary one of more than `own` local users, or has it other members? */
static bool group_is_shared(const struct accounts *a, gid_t gid, const char *name, size_t own)
{
	struct group_line key = { .gid = gid };
	size_t i = lower_bound(a->primaries, a->n_users, sizeof *a->primaries, &gid, id_compare);

	if (i + own < a->n_users && a->primaries[i + own] == gid)
		return true;
	i = lower_bound(a->groups, a->n_groups, sizeof *a->groups, &key, group_compare);
	for (; i < a->n_groups && a->groups[i].gid == gid; i++)
		if (!members_are_only(a->groups[i].members, name, a->web_user))
			return true;
	return false;
}

static int local_get(struct accounts *a, const char *name, struct account *ret)
{
	struct user key = { .name = name };
	size_t i = lower_bound(a->users, a->n_users, sizeof *a->users, &key, user_compare);
	const struct user *u = &a->users[i];

	if (i == a->n_users || strcmp(u->name, name) != 0)
		return -ENOENT;
	*ret = (struct account){
		.uid = u->uid,
		.gid = u->gid,
		.local = true,
		.shared_group = group_is_shared(a, u->gid, name, 1),
	};
	return 0;
}

static const struct answer *answer_get(struct accounts *a, const char *name)
{
	struct answer *answer = table_get(&a->answers, name);
	uint64_t now = clock_usec();

	if (answer && answer->until_usec > now)
		return answer;
	if (!answer) {
		answer = memory_new(sizeof *answer);
		(void)table_set(&a->answers, name, answer);
	}
	*answer = (struct answer){ .until_usec = now + ANSWER_USEC };
	answer->result = nss_user(a->nss, name, &answer->account.uid, &answer->account.gid);
	if (answer->result == 0)
		answer->account.shared_group =
			nss_group_is_shared(a->nss, answer->account.gid, name) ||
			group_is_shared(a, answer->account.gid, name, 0);
	return answer;
}

int accounts_get(struct accounts *a, const char *name, struct account *ret, struct err *e)
{
	const struct answer *answer;

	if (local_get(a, name, ret) == 0)
		return 0;
	answer = answer_get(a, name);
	if (answer->result == -ENOENT)
		return err_set(e, ENOENT, "there is no user %s", name);
	if (answer->result < 0)
		return err_set(e, EAGAIN, "a name service did not answer about %s", name);
	*ret = answer->account;
	return 0;
}

bool accounts_id_taken(struct accounts *a, id_t id)
{
	size_t i = lower_bound(a->ids, a->n_ids, sizeof *a->ids, &id, id_compare);

	return (i < a->n_ids && a->ids[i] == id) || nss_id_taken(a->nss, id);
}
