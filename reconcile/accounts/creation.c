/*
 * systemd-sysusers makes a whole slice in one run; shadow's tools make accounts
 * where there is no systemd, and those whose names sysusers refuses, which would
 * fail the whole batch. sysusers also asks the C library for every name and id,
 * which reads /etc/passwd through each time; told that the root directory lies
 * elsewhere it trusts the files it has read: --root=/proc/self/root is the same
 * directory, and ten thousand accounts take 0.1 s instead of 5.
 *
 * Neither program can be told to fail where a group of the name exists: sysusers
 * then puts the new user into it. Hence creation_undo. userdel(8) removes the group
 * of the user's name along with the user if it is the user's primary group, so the
 * user leaves that group first.
 */
#include "reconcile/accounts/creation.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/spawn.h"

#define SYSUSERS "/usr/bin/systemd-sysusers"
#define USERADD  "/usr/sbin/useradd"
#define NOLOGIN  "/usr/sbin/nologin"
#define COMMENT  "webspace"
#define NOGROUP  "65534"
#define RUN_USEC (120 * USEC_PER_SEC)

static bool has_sysusers(void)
{
	return access(SYSUSERS, X_OK) == 0;
}

/* systemd's "strict" user names but for their length. */
static bool is_strict(const char *name)
{
	return *name && *name != '-' && !(*name >= '0' && *name <= '9') &&
	       !name[strspn(name,
			    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")];
}

static bool sysusers_takes(const char *name)
{
	return is_strict(name) && strlen(name) < 32;
}

bool creation_knows_name(const char *name, struct err *e)
{
	if (sysusers_takes(name) ||
	    (is_strict(name) && strlen(name) == 32 && access(USERADD, X_OK) == 0))
		return true;
	(void)err_set(e, EINVAL,
		      "no program of this host makes a user of this name: make it with adduser(8), "
		      "then it is used");
	return false;
}

static int run(const char *const *argv, const char *input, struct err *e)
{
	return spawn_run(&(struct spawn){ .argv = argv }, input, clock_usec() + RUN_USEC, NULL, e);
}

/* one after the other -------------------------------------------------- */

static int make_one(const char *name, const struct creation *c, const char *home_root,
		    struct err *e)
{
	autofree char *uid = memory_printf("%u", (unsigned)c->uid);
	autofree char *gid = memory_printf("%u", (unsigned)c->gid);
	autofree char *home = memory_printf("%s/%s", home_root, name);
	const char *const group_argv[] = { "/usr/sbin/groupadd", "-g", gid, name, NULL };
	const char *const user_argv[] = { USERADD, "-u", uid,     "-g", gid,     "-d", home,
					  "-M",    "-s", NOLOGIN, "-c", COMMENT, name, NULL };
	int r = c->has_group ? 0 : run(group_argv, NULL, e);

	return r < 0 ? r : run(user_argv, NULL, e);
}

/* many ------------------------------------------------------------------ */

static int make_by_sysusers(const struct table *all, const char *home_root, struct err *e)
{
	static const char *const argv[] = { SYSUSERS, "--root=/proc/self/root", "-", NULL };
	autobuf struct buf text = { 0 };
	struct table_entry *it;

	table_each (all, it) {
		const struct creation *c = it->value;

		if (sysusers_takes(it->key))
			buf_printf(&text, "g %s %u\nu %s %u:%u \"" COMMENT "\" %s/%s " NOLOGIN "\n",
				   it->key, (unsigned)c->gid, it->key, (unsigned)c->uid,
				   (unsigned)c->gid, home_root, it->key);
	}
	return text.len ? run(argv, text.data, e) : 0;
}

int creation_make(const struct table *all, const char *home_root, struct err *e)
{
	bool batch = has_sysusers();
	int first = batch ? make_by_sysusers(all, home_root, e) : 0;
	struct table_entry *it;

	table_each (all, it) {
		int r = batch && sysusers_takes(it->key)
				? 0
				: make_one(it->key, it->value, home_root, first < 0 ? NULL : e);

		first = first < 0 ? first : r;
	}
	return first;
}

/* back ------------------------------------------------------------------ */

/* Is the user of /etc/passwd the one that was just made? */
static bool is_our_make(const char *name, const char *home_root)
{
	autofree char *home = memory_printf("%s/%s", home_root, name);
	const struct passwd *user = getpwnam(name);

	return user && strcmp(user->pw_gecos, COMMENT) == 0 && strcmp(user->pw_dir, home) == 0;
}

int creation_undo(const char *name, const struct creation *c, const char *home_root, struct err *e)
{
	const char *const leave[] = { "/usr/sbin/usermod", "-g", NOGROUP, name, NULL };
	const char *const userdel[] = { "/usr/sbin/userdel", name, NULL };
	const char *const groupdel[] = { "/usr/sbin/groupdel", name, NULL };
	const struct group *group;
	int r = 0;

	if (is_our_make(name, home_root)) {
		r = run(leave, NULL, e);
		if (r >= 0)
			r = run(userdel, NULL, e);
	}
	if (r < 0)
		return r;
	group = c->has_group ? NULL : getgrnam(name);
	return group && group->gr_gid == c->gid && !*group->gr_mem ? run(groupdel, NULL, e) : 0;
}
