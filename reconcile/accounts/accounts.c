/*
 * Sorted arrays over the text of /etc/passwd and /etc/group: users by name,
 * groups by id and by name, and every id that is taken. Sorting ten thousand of them
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
#include "reconcile/accounts/groups.h"
#include "reconcile/accounts/id.h"
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
	struct groups groups;
	id_t *ids; /* uids and gids of both files, sorted */
	size_t n_ids;
	gid_t *primaries; /* one for each user, sorted */

	struct nss *users_nss, *groups_nss;
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
	nss_close(a->users_nss);
	nss_close(a->groups_nss);
	free(a->passwd_text);
	free(a->group_text);
	free(a->users);
	groups_clear(&a->groups);
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

/* name:x:uid:gid:… A line that is not of this form (a "+" of compat, a comment) says nothing. */
static void users_parse(struct accounts *a)
{
	char *rest = a->passwd_text, *line;

	a->users = memory_resize(a->users, lines_count(rest), sizeof *a->users);
	a->n_users = 0;
	for (uint32_t n = 0; (line = strsep(&rest, "\n")); n++) {
		struct user u = { .name = strsep(&line, ":"), .line = n };

		(void)strsep(&line, ":");
		if (!id_read(strsep(&line, ":"), &u.uid) || !id_read(strsep(&line, ":"), &u.gid) ||
		    !*u.name)
			continue;
		a->users[a->n_users++] = u;
	}
	qsort(a->users, a->n_users, sizeof *a->users, user_compare);
}

static void ids_collect(struct accounts *a)
{
	size_t n = 0;

	a->ids = memory_resize(a->ids, 2 * a->n_users + a->groups.count + 1, sizeof *a->ids);
	a->primaries = memory_resize(a->primaries, a->n_users + 1, sizeof *a->primaries);
	for (size_t i = 0; i < a->n_users; i++) {
		a->ids[n++] = a->users[i].uid;
		a->ids[n++] = a->users[i].gid;
		a->primaries[i] = a->users[i].gid;
	}
	for (size_t i = 0; i < a->groups.count; i++)
		a->ids[n++] = a->groups.by_gid[i].gid;
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

/* The services of the passwd and group lines; "files" where one is missing (nsswitch.conf(5)). */
static void nss_read(struct accounts *a)
{
	autofree char *text = NULL;
	const char *users = "files", *groups = "files";
	struct err ignored;
	char *rest, *line;
	size_t len;

	if (path_read(a->dir, "nsswitch.conf", 65536, &text, &len, &ignored) == 0) {
		rest = text;
		while ((line = strsep(&rest, "\n"))) {
			line += strspn(line, " \t");
			line[strcspn(line, "#")] = '\0';
			if (strncmp(line, "passwd:", 7) == 0)
				users = line + 7;
			if (strncmp(line, "group:", 6) == 0)
				groups = line + 6;
		}
	}
	nss_close(a->users_nss);
	nss_close(a->groups_nss);
	a->users_nss = nss_open(users);
	a->groups_nss = nss_open(groups);
}

int accounts_refresh(struct accounts *a, struct err *e)
{
	bool passwd = file_changed(a->dir, "passwd", &a->passwd_stamp);
	bool group = file_changed(a->dir, "group", &a->group_stamp);
	int r;

	if (file_changed(a->dir, "nsswitch.conf", &a->nsswitch_stamp) || !a->users_nss)
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
	groups_parse(&a->groups, a->group_text);
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
	size_t i = lower_bound(a->primaries, a->n_users, sizeof *a->primaries, &gid, id_compare);
	const struct group_line *group;
	size_t n;

	if (i + own < a->n_users && a->primaries[i + own] == gid)
		return true;
	group = groups_of_id(&a->groups, gid, &n);
	for (size_t j = 0; j < n; j++)
		if (group_has_other_members(&group[j], name, a->web_user))
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

/* The answer that is kept at key; one that has expired, or is new, has the result 1. */
static struct answer *answer_at(struct accounts *a, const char *key)
{
	struct answer *answer = table_make(&a->answers, key, sizeof *answer);
	uint64_t now = clock_usec();

	if (answer->until_usec <= now)
		*answer = (struct answer){ .result = 1, .until_usec = now + ANSWER_USEC };
	return answer;
}

static const struct answer *answer_get(struct accounts *a, const char *name)
{
	struct answer *answer = answer_at(a, name);

	if (answer->result <= 0)
		return answer;
	answer->result = nss_user(a->users_nss, name, &answer->account.uid, &answer->account.gid);
	if (answer->result == 0)
		answer->account.shared_group =
			nss_group_is_shared(a->groups_nss, answer->account.gid, name) ||
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

/* Of a group; no user's name has a colon. */
static const struct answer *group_answer_get(struct accounts *a, const char *name)
{
	autofree char *key = memory_printf(":%s", name);
	struct answer *answer = answer_at(a, key);

	if (answer->result > 0)
		answer->result = nss_group_named(a->groups_nss, name, &answer->account.gid,
						 &answer->account.shared_group);
	return answer;
}

int accounts_group(struct accounts *a, const char *name, struct account_group *ret, struct err *e)
{
	const struct group_line *local = groups_named(&a->groups, name);
	const struct answer *answer;
	gid_t gid;

	if (local) {
		*ret = (struct account_group){ local->gid,
					       group_is_shared(a, local->gid, name, 0) };
		return 0;
	}
	answer = group_answer_get(a, name);
	if (answer->result == -ENOENT)
		return err_set(e, ENOENT, "there is no group %s", name);
	if (answer->result < 0)
		return err_set(e, EAGAIN, "a name service did not answer about the group %s", name);
	gid = answer->account.gid;
	*ret = (struct account_group){
		.gid = gid,
		.shared = answer->account.shared_group || group_is_shared(a, gid, name, 0),
	};
	return 0;
}

/* Who of the local files has it. */
static bool local_holder(const struct accounts *a, id_t id, const char *but, struct buf *ret_who)
{
	const struct group_line *group;
	size_t n;

	for (size_t i = 0; i < a->n_users; i++)
		if ((a->users[i].uid == id || a->users[i].gid == id) &&
		    strcmp(a->users[i].name, but) != 0) {
			buf_printf(ret_who, "the user %s", a->users[i].name);
			return true;
		}
	group = groups_of_id(&a->groups, id, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(group[i].name, but) != 0) {
			buf_printf(ret_who, "the group %s", group[i].name);
			return true;
		}
	return false;
}

bool accounts_id_holder(struct accounts *a, id_t id, const char *but, struct buf *ret_who)
{
	size_t i = lower_bound(a->ids, a->n_ids, sizeof *a->ids, &id, id_compare);

	if (i < a->n_ids && a->ids[i] == id && local_holder(a, id, but, ret_who))
		return true;
	return nss_user_of_id(a->users_nss, id, but, ret_who) ||
	       nss_group_of_id(a->groups_nss, id, but, ret_who);
}

bool accounts_id_taken(struct accounts *a, id_t id)
{
	size_t i = lower_bound(a->ids, a->n_ids, sizeof *a->ids, &id, id_compare);
	autobuf struct buf who = { 0 };

	return (i < a->n_ids && a->ids[i] == id) || nss_user_of_id(a->users_nss, id, "", &who) ||
	       nss_group_of_id(a->groups_nss, id, "", &who);
}
