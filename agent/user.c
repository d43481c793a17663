/* Becoming a webspace's user: see user.h. */
#include "agent/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/model/names.h"
#include "agent/terminal.h"
#include "reconcile/tree/namespace.h"

#define FIRST_USER_ID 1000

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
	if (place == USER_JAIL && chroot(".") < 0)
		return err_sys(e, "chroot to %s/%s", host->home_root, path);
	if (place == USER_JAIL)
		snprintf(user->home, sizeof(user->home), "/data");
	else
		snprintf(user->home, sizeof(user->home), "%s/%s", host->home_root, path);
	return 0;
}

int user_become(const struct user *user, struct err *e)
{
	if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return err_sys(e, "become %s", user->name);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "give up new privileges");
	return terminal_guard(e);
}

char **user_environment(const struct user *user)
{
	static char home[sizeof(user->home) + 8], name[64], logname[64];
	static char *environment[] = {
		(char *)"PATH=/usr/local/bin:/usr/bin:/bin",
		(char *)"LANG=C.UTF-8",
		home,
		name,
		logname,
		NULL,
	};

	snprintf(home, sizeof(home), "HOME=%s", user->home);
	snprintf(name, sizeof(name), "USER=%s", user->name);
	snprintf(logname, sizeof(logname), "LOGNAME=%s", user->name);
	return environment;
}
