/* Places, and whose what lies in them is: see leavings.h. */
#include "reconcile/leavings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/spawn.h"

#define END_USEC   (10 * USEC_PER_SEC)
#define TRIES      100 /* a process of the user's may end the helper before the helper ends it */
#define TABLE_MAX  (16u << 20)
#define LINE_WORDS 16

int leavings_end_processes(uid_t uid, gid_t gid, struct err *e)
{
	char ids[2][16];
	const char *const argv[] = { SPAWN_OURSELVES, "end-processes", ids[0], ids[1], NULL };
	const char *const env[] = { NULL };
	const struct spawn spawn = { .argv = argv, .env = env };
	uint64_t deadline = clock_usec() + END_USEC;
	int r = -EIO;

	snprintf(ids[0], sizeof(ids[0]), "%u", (unsigned)uid);
	snprintf(ids[1], sizeof(ids[1]), "%u", (unsigned)gid);
	for (int i = 0; r < 0 && i < TRIES && clock_usec() < deadline; i++)
		r = spawn_run(&spawn, NULL, clock_usec() + USEC_PER_SEC, NULL, e);
	return r < 0 ? err_in(e, "end the processes of %s", ids[0]) : 0;
}

/* System V IPC ----------------------------------------------------------- */

/* One of /proc/sysvipc's tables: a heading that names the columns, then a line for each object. */
struct ipc_table {
	const char *path, *id_column;
	int (*remove)(int id);
};

static int remove_memory(int id)
{
	return shmctl(id, IPC_RMID, NULL);
}

static int remove_semaphores(int id)
{
	return semctl(id, 0, IPC_RMID);
}

static int remove_queue(int id)
{
	return msgctl(id, IPC_RMID, NULL);
}

static const struct ipc_table ipc_tables[] = {
	{ "shm", "shmid", remove_memory },
	{ "sem", "semid", remove_semaphores },
	{ "msg", "msqid", remove_queue },
};

static size_t split(char *line, char *ret[LINE_WORDS])
{
	size_t n = 0;

	for (char *word; n < LINE_WORDS && (word = strsep(&line, " \t"));)
		if (*word)
			ret[n++] = word;
	return n;
}

static size_t column(char *const *heading, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(heading[i], name) == 0)
			return i;
	return n;
}

/* Its owner or its maker: either may do everything with it. */
static bool is_owned(char *const *words, size_t n, char *const *heading, size_t columns, uid_t uid)
{
	static const char *const owners[] = { "uid", "cuid" };

	for (size_t i = 0; i < ELEMENTS(owners); i++) {
		size_t at = column(heading, columns, owners[i]);

		if (at < n && strtoul(words[at], NULL, 10) == uid)
			return true;
	}
	return false;
}

static int remove_objects(const struct ipc_table *t, char *text, uid_t uid, struct err *e)
{
	char *line = strsep(&text, "\n"), *heading[LINE_WORDS], *words[LINE_WORDS];
	size_t columns = line ? split(line, heading) : 0,
	       id = column(heading, columns, t->id_column);
	int r = 0;

	while (r == 0 && (line = strsep(&text, "\n"))) {
		size_t n = split(line, words);

		if (id < n && is_owned(words, n, heading, columns, uid) &&
		    t->remove((int)strtol(words[id], NULL, 10)) < 0 && errno != EINVAL &&
		    errno != EIDRM)
			r = err_sys(e, "remove %s %s", t->id_column, words[id]);
	}
	return r;
}

/* Of the IPC namespace that we are in: pools without one of their own are in it too. */
static int remove_ipc(uid_t uid, struct err *e)
{
	autofd int dir = path_open_dir("/proc/sysvipc", NULL);
	int first = 0;

	for (size_t i = 0; dir >= 0 && i < ELEMENTS(ipc_tables); i++) {
		autofree char *text = NULL;
		size_t len;
		int r = path_read(dir, ipc_tables[i].path, TABLE_MAX, &text, &len,
				  first < 0 ? NULL : e);

		if (r == -ENOENT)
			continue; /* a kernel without it */
		if (r >= 0)
			r = remove_objects(&ipc_tables[i], text, uid, first < 0 ? NULL : e);
		first = first < 0 ? first : r < 0 ? r : 0;
	}
	return first;
}

/* Files ------------------------------------------------------------------ */

/* Where everybody may put something, or programs keep something for each user. */
static const char *const shared_places[] = {
	"/tmp",
	"/var/tmp",
	"/dev/shm",
	"/dev/mqueue",
	"/run/lock",
	"/var/crash",
	"/var/spool/cron/atjobs",
	"/var/spool/cron/atspool",
	"/var/lib/php/sessions",
};

/* … and those in which a file bears the user's name. */
static const char *const named_places[] = {
	"/var/spool/cron/crontabs",
	"/var/mail",
	"/var/lib/systemd/linger",
};

static int remove_owned(const char *place, uid_t uid, struct err *e)
{
	autofd int dir = path_open_dir(place, NULL);
	autodir DIR *d = dir < 0 ? NULL : path_list(dir, ".", NULL);
	struct stat st;
	int first = 0;

	for (const struct dirent *it; d && (it = readdir(d));) {
		if (strcmp(it->d_name, ".") == 0 || strcmp(it->d_name, "..") == 0 ||
		    fstatat(dir, it->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != uid)
			continue;

		int r = path_remove_tree(dir, it->d_name, first < 0 ? NULL : e);

		first = first < 0 ? first : r < 0 ? r : 0;
	}
	return first < 0 ? err_in(e, "%s", place) : 0;
}

static int remove_named(const char *place, const char *name, struct err *e)
{
	autofd int dir = path_open_dir(place, NULL);
	int r = dir < 0 ? 0 : path_remove_tree(dir, name, e);

	return r < 0 ? err_in(e, "%s", place) : 0;
}

int leavings_remove(const char *name, uid_t uid, struct err *e)
{
	int first = remove_ipc(uid, e), r;

	for (size_t i = 0; i < ELEMENTS(shared_places); i++) {
		r = remove_owned(shared_places[i], uid, first < 0 ? NULL : e);
		first = first < 0 ? first : r;
	}
	for (size_t i = 0; i < ELEMENTS(named_places); i++) {
		r = remove_named(named_places[i], name, first < 0 ? NULL : e);
		first = first < 0 ? first : r;
	}
	return first;
}
