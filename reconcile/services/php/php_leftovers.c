/*
 * What former agents left: masters that no line has, directories of masters
 * that have ended, lines that nobody is in any more. What runs gets to finish
 * like any master that is replaced. Only names that we would have given are
 * touched.
 *
 * A line that no webspace has entered yet may still be entered, while webspaces
 * are being loaded: as long as a webspace's link leads to it, it is left alone.
 *
 * A former agent may have been killed while a master of its was starting: that
 * one writes its pid file last. Until it has had time to, its directory is left
 * alone too, or it would serve on without one, and nobody would know of it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/services/php/php.h"

static bool is_known(const struct php_service *s, const char *id)
{
	for (const struct master *m = s->masters; m; m = m->next)
		if (strcmp(m->id, id) == 0)
			return true;
	return false;
}

/* Does the line's link lead to this master? */
static bool is_linked(const struct php_service *s, const char *line, const char *id)
{
	char target[PHP_MASTER_ROOM + 16];
	const char *slash;

	if (!path_read_link(s->line_dir, line, target, sizeof(target)))
		return false;
	slash = strrchr(target, '/');
	return slash && strcmp(slash + 1, id) == 0;
}

/* No pid file yet, and so little time since its last socket was made that one may follow. */
static bool may_be_starting(const struct php_service *s, const char *id)
{
	autoarena struct arena a = { 0 };
	struct stat dir, pid_file;
	time_t now = clock_wall();

	if (fstatat(s->masters_dir, id, &dir, AT_SYMLINK_NOFOLLOW) < 0 || dir.st_mtime > now ||
	    (uint64_t)(now - dir.st_mtime) * USEC_PER_SEC > PHP_PROBE_USEC)
		return false;
	return fstatat(s->masters_dir, arena_printf(&a, "%s/" PHP_PID_FILE, id), &pid_file,
		       AT_SYMLINK_NOFOLLOW) < 0 ||
	       pid_file.st_size == 0;
}

static void look_at_master(struct php_service *s, const char *id)
{
	struct php_id parts;
	struct master *m;
	int r;

	if (!php_id_parse_master(id, &parts) || is_known(s, id) || is_linked(s, parts.line, id))
		return;
	r = master_adopt(s, NULL, id, &m, NULL);
	if (r == 0)
		master_drain(m);
	if (r == -ESRCH && !may_be_starting(s, id))
		(void)path_remove_tree(s->masters_dir, id, NULL);
}

static void look_at_masters(struct php_service *s)
{
	autodir DIR *dir = path_list(s->masters_dir, ".", NULL);
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		look_at_master(s, d->d_name);
}

/* Lines to which a link of some webspace leads, known to us or not. */
static void lines_in_use(const struct php_service *s, struct table *ret)
{
	autodir DIR *dir = path_list(s->dir, ".", NULL);
	char target[128], *line = target + strlen("line/"), *slash;
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		if (d->d_type != DT_LNK ||
		    !path_read_link(s->dir, d->d_name, target, sizeof(target)))
			continue;
		if (strncmp(target, "line/", strlen("line/")) != 0 || !(slash = strchr(line, '/')))
			continue;
		*slash = '\0';
		(void)table_set(ret, line, ret);
	}
}

static void look_at_lines(struct php_service *s)
{
	autodir DIR *dir = path_list(s->line_dir, ".", NULL);
	struct table in_use = { 0 };
	bool looked = false;
	struct php_id parts;
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		if (!php_id_parse_line(d->d_name, &parts) || table_get(&s->lines, d->d_name))
			continue;
		if (!looked)
			lines_in_use(s, &in_use);
		looked = true;
		/* Then its master is nobody's, and found so by look_at_masters. */
		if (!table_get(&in_use, d->d_name))
			(void)unlinkat(s->line_dir, d->d_name, 0);
	}
	table_clear(&in_use);
}

/* Generations of a line that has neither pools nor a master. */
static void look_at_generations(struct php_service *s)
{
	autoarena struct arena a = { 0 };
	autofd int fd = path_open_dir(arena_printf(&a, "%s/php", s->config.host->state_dir), NULL);
	autodir DIR *dir = path_list(fd, ".", NULL);
	struct php_id parts;
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (php_id_parse_line(d->d_name, &parts) && !table_get(&s->lines, d->d_name) &&
		    faccessat(s->line_dir, d->d_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno == ENOENT)
			(void)path_remove_tree(fd, d->d_name, NULL);
}

void php_leftovers_look(struct php_service *s)
{
	if (!s->published || s->config.dry)
		return;
	look_at_lines(s);
	look_at_masters(s);
	look_at_generations(s);
}
