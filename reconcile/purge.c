/*
 * The order makes an interrupted purge repeatable: what is named by the record
 * goes before the record, and the account last, so that nothing of the tree is
 * ever left to an id that nobody has.
 */
#include "reconcile/purge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "acme/acme.h"
#include "agent/base/clock.h"
#include "agent/base/path.h"
#include "agent/base/spawn.h"
#include "reconcile/ownership.h"
#include "reconcile/resource.h"
#include "reconcile/world.h"

#define USERDEL      "/usr/sbin/userdel"
#define GROUPDEL     "/usr/sbin/groupdel"
#define USERDEL_USEC (30 * USEC_PER_SEC)

static int remove_mounts(struct world *w, const char *name, struct err *e)
{
	void *state = NULL;
	int r = mount_type.open ? mount_type.open(w, &state, e) : 0;

	if (r == 0)
		r = mount_type.remove(w, state, name, e);
	if (mount_type.close)
		mount_type.close(state);
	return r;
}

/* userdel(8) takes the group of the same name along, unless the web server's user is a member. */
static int remove_group(struct world *w, const char *name, gid_t gid, struct err *e)
{
	const char *const argv[] = { GROUPDEL, name, NULL };
	struct account_group group;
	int r = accounts_refresh(w->accounts, e);

	if (r < 0 || accounts_group(w->accounts, name, &group, NULL) < 0 || group.gid != gid)
		return r;
	return spawn_run(&(struct spawn){ .argv = argv }, NULL, clock_usec() + USERDEL_USEC, NULL,
			 e);
}

static int remove_account(struct world *w, const char *name, struct err *e)
{
	const char *const argv[] = { USERDEL, name, NULL };
	const struct spawn spawn = { .argv = argv };
	struct account account;
	char id[16];
	int r = accounts_get(w->accounts, name, &account, e);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	/* One of another id than we gave is not the one we made. */
	(void)snprintf(id, sizeof(id), "%u", (unsigned)account.uid);
	if (!ownership_has(w, name, "account", id))
		return 0;
	r = spawn_run(&spawn, NULL, clock_usec() + USERDEL_USEC, NULL, e);
	if (r >= 0)
		r = remove_group(w, name, account.gid, e);
	return r < 0 ? err_in(e, "remove the account") : 0;
}

static bool is_roots_directory(const struct world *w, const char *name, const char *below)
{
	char path[WEBSPACE_NAME_MAX + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", name, below);
	return fstatat(w->home_root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == 0;
}

/* Something that we noted, or a tree with the jail that only we make, or nothing at all. */
static bool is_ours(struct world *w, const char *name)
{
	struct stat st;

	if (ownership_has(w, name, NULL, NULL) ||
	    (is_roots_directory(w, name, "") && is_roots_directory(w, name, "/chroot/data")))
		return true;
	return fstatat(w->home_root, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static int purge_all(struct world *w, const char *name, struct err *e)
{
	int r;

	if (!is_ours(w, name))
		return err_set(e, EPERM, "%s/%s was never a webspace of ours: left alone",
			       w->host->home_root, name);
	r = remove_mounts(w, name, e);
	if (r >= 0)
		r = path_remove_tree(w->home_root, name, e);
	if (r >= 0)
		r = store_purge(w->store, name, e);
	if (r >= 0)
		r = remove_account(w, name, e);
	if (r >= 0)
		r = ownership_forget(w, name, NULL, NULL, e);
	return r < 0 ? err_in(e, "%s", name) : 0;
}

int purge(const struct host *host, const char *name, struct err *e)
{
	autoarena struct arena arena = { 0 };
	struct world w;
	int r = world_open(host, false, &w, e);

	w.arena = &arena;
	if (r == 0)
		r = accounts_refresh(w.accounts, e);
	if (r == 0)
		r = purge_all(&w, name, e);
	world_close(&w);
	return r;
}
