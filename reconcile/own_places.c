/*
 * See own_places.h. nginx gives its log to the user of its workers whenever it
 * opens it anew, and Debian's own logs are such, too: that owner is left.
 */
#include "reconcile/own_places.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/acl.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define SEARCH 1

int own_place_make(const struct own_place *p, struct err *e)
{
	autofd int fd = -1;
	struct stat st;
	int r = path_make_dirs(p->path, p->mode, e);

	if (r < 0)
		return r;
	fd = path_open_dir(p->path, e);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_sys(e, "%s", p->path);
	if (st.st_uid == p->uid && st.st_gid == p->gid && (st.st_mode & 07777) == p->mode)
		return 0;
	if (fchown(fd, p->uid, p->gid) < 0 || fchmod(fd, p->mode) < 0)
		return err_sys(e, "%s", p->path);
	return 0;
}

static bool is_our_log(const char *name)
{
	return strncmp(name, "nginx-error.log", strlen("nginx-error.log")) == 0 ||
	       strncmp(name, "php-", strlen("php-")) == 0 || name[0] == '.';
}

static bool holds_only_ours(int fd)
{
	autodir DIR *list = path_list(fd, ".", NULL);

	for (struct dirent *it; list && (it = readdir(list)) != NULL;)
		if (!is_our_log(it->d_name))
			return false;
	return list != NULL;
}

int own_places_log_root(const struct host *host, struct err *e)
{
	const struct acl_rights want = {
		.gid = host->log_gid,
		.mode = 0750,
		.n_named = 1,
		.named = { { .id = host->web_uid, .perm = SEARCH } },
	};
	struct acl_rights is;
	autofd int fd = -1;
	bool is_odd;
	int r = path_make_dirs(host->log_root, want.mode, e);

	if (r < 0)
		return r;
	fd = path_open_dir(host->log_root, e);
	if (fd < 0)
		return fd;
	if (acl_read(fd, &is, &is_odd, NULL) == 0 && !is_odd && acl_same(&is, &want))
		return 0;
	if (!holds_only_ours(fd))
		return 0;
	r = acl_write(fd, &want, e);
	/* A file system without ACLs: to pass is given to all, to list or read to none of them. */
	if (r == -EOPNOTSUPP)
		r = fchown(fd, 0, want.gid) < 0 || fchmod(fd, 0751) < 0 ? err_sys(e, "set rights")
									: 0;
	return r < 0 ? err_in(e, "%s", host->log_root) : 0;
}

static bool has_rights(const struct host *host, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (st->st_uid == 0 || st->st_uid == host->web_uid) &&
	       st->st_gid == host->log_gid && (st->st_mode & 07777) == 0640;
}

int own_places_log(const struct host *host, const char *name, struct err *e)
{
	autofd int dir = path_open_dir(host->log_root, e);
	autofd int fd = -1;
	struct stat st;

	if (dir < 0)
		return dir;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && has_rights(host, &st))
		return 0;
	fd = path_open(dir, name, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK, e);
	if (fd < 0)
		return err_in(e, "%s", host->log_root);
	if (fstat(fd, &st) < 0 || fchmod(fd, 0600) < 0 ||
	    fchown(fd, st.st_uid == host->web_uid ? st.st_uid : 0, host->log_gid) < 0 ||
	    fchmod(fd, 0640) < 0)
		return err_sys(e, "%s/%s", host->log_root, name);
	return 0;
}
