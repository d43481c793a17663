/* Becoming a webspace's user: see user.h. */
#include "agent/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/model/names.h"
#include "reconcile/tree/namespace.h"

int user_find(const struct host *host, const char *name, struct user *ret, struct err *e)
{
	char buffer[16384];
	struct passwd entry, *found;

	int r = name_check_webspace(name, e);

	if (r < 0)
		return r;
	errno = getpwnam_r(name, &entry, buffer, sizeof(buffer), &found);
	if (errno != 0)
		return err_sys(e, "%s", name);
	if (!found)
		return err_set(e, ENOENT,
			       "%s: no such user; the agent, or 'webspaces apply', makes the "
			       "accounts of webspaces",
			       name);
	if (entry.pw_uid < FIRST_USER_ID || entry.pw_uid == host->web_uid)
		return err_set(e, EPERM, "%s is a system user", name);
	if (entry.pw_gid < FIRST_USER_ID || entry.pw_gid == host->web_gid)
		return err_set(e, EPERM, "%s has a system group as primary group", name);
	*ret = (struct user){ .uid = entry.pw_uid, .gid = entry.pw_gid };
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	return 0;
}

int user_enter(const struct host *host, struct user *user, enum user_place place, struct err *e)
{
	const char *below = place == USER_JAIL ? "chroot" : "chroot/data";
	autofd int home_root = -1, dir = -1;
	char path[WEBSPACE_NAME_MAX + 16];
	bool in_namespace;
	int r = namespace_enter(host, false, &in_namespace, e);

	if (r < 0)
		return r;
	home_root = path_open_dir(host->home_root, e);
	if (home_root < 0)
		return home_root;
	snprintf(path, sizeof(path), "%s/%s", user->name, below);
	dir = path_open(home_root, path, O_PATH | O_DIRECTORY, e);
	if (dir < 0)
		return dir;
	if (fchdir(dir) < 0)
		return err_sys(e, "go to %s/%s", host->home_root, path);
	if (place == USER_JAIL)
		snprintf(user->home, sizeof(user->home), "/data");
	else
		snprintf(user->home, sizeof(user->home), "%s/%s", host->home_root, path);
	return 0;
}

/* A change of ids takes back what is to happen when the parent ends, so that comes after it. */
int user_become(uid_t uid, gid_t gid, struct err *e)
{
	if (close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
		return err_sys(e, "close descriptors");
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(e, "take on the ids %u:%u", (unsigned)uid, (unsigned)gid);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "give up rights");
	if (setuid(0) == 0 || setgid(0) == 0)
		return err_set(e, EPERM, "root's ids can be taken on again");
	return 0;
}

int user_parse_id(const char *text, id_t min, id_t *ret, struct err *e)
{
	char *end;
	unsigned long id = strtoul(text, &end, 10);

	if (*text < '1' || *text > '9' || *end || id < min || id >= UINT32_MAX)
		return err_set(e, EINVAL, "\"%s\" is not the id of a user", text);
	*ret = (id_t)id;
	return 0;
}
