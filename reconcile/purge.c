/*
 * The order makes an interrupted purge repeatable: what is named by the record
 * goes before the record, and the account last, so that nothing of the tree is
 * ever left to an id that nobody has. Nothing is written before the tree is gone:
 * it may be what fills the disk.
 */
#include "reconcile/purge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "acme/acme.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/spawn.h"
#include "reconcile/leavings.h"
#include "reconcile/ownership.h"
#include "reconcile/resource.h"
#include "reconcile/world.h"

#define USERDEL      "/usr/sbin/userdel"
#define GROUPDEL     "/usr/sbin/groupdel"
#define PROGRAM_USEC (30 * USEC_PER_SEC)

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

/* The account is here and is the one that we made: of the id that we gave. */
static int own_account(struct world *w, const char *name, struct account *ret, struct err *e)
{
	char id[16];
	int r = accounts_get(w->accounts, name, ret, e);

	if (r < 0)
		return r;
	(void)snprintf(id, sizeof(id), "%u", (unsigned)ret->uid);
	return ownership_has(w, name, "account", id) ? 0 : -ENOENT;
}

static int end_processes(struct world *w, const char *name, struct err *e)
{
	struct account account;
	int r = own_account(w, name, &account, e);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return leavings_end_processes(account.uid, account.gid, e);
}

/* Somebody else has it by now: an admin gave it, as we never do. */
static bool is_of_another(struct world *w, const char *name, uid_t uid)
{
	struct account account;

	return accounts_id_taken(w->accounts, uid) &&
	       (accounts_get(w->accounts, name, &account, NULL) < 0 || account.uid != uid);
}

/* The ids that we ever gave it: the account may have gone already. */
static int remove_leavings(struct world *w, const char *name, struct err *e)
{
	struct text_list ids;
	int r = ownership_items(w, name, "account", w->arena, &ids, e);

	for (size_t i = 0; r >= 0 && i < ids.count; i++) {
		unsigned long uid = strtoul(ids.items[i], NULL, 10);

		if (uid > 0 && uid < UINT32_MAX && !is_of_another(w, name, (uid_t)uid))
			r = leavings_remove(name, (uid_t)uid, e);
	}
	return r;
}

static int run(const char *const *argv, struct err *e)
{
	return spawn_run(&(struct spawn){ .argv = argv }, NULL, clock_usec() + PROGRAM_USEC, NULL,
			 e);
}

/* userdel(8) takes the group of the same name along, unless the web server's user is a member. */
static int remove_group(struct world *w, const char *name, gid_t gid, struct err *e)
{
	const char *const argv[] = { GROUPDEL, name, NULL };
	struct account_group group;
	int r = accounts_refresh(w->accounts, e);

	if (r < 0 || accounts_group(w->accounts, name, &group, NULL) < 0 || group.gid != gid)
		return r;
	return run(argv, e);
}

static int remove_account(struct world *w, const char *name, struct err *e)
{
	const char *const argv[] = { USERDEL, name, NULL };
	struct account account;
	int r = own_account(w, name, &account, e);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = run(argv, e);
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
	r = end_processes(w, name, e);
	if (r >= 0)
		r = remove_mounts(w, name, e);
	if (r >= 0)
		r = path_remove_tree(w->home_root, name, e);
	if (r >= 0)
		r = remove_leavings(w, name, e);
	if (r >= 0)
		r = store_purge(w->store, name, e);
	if (r >= 0)
		r = remove_account(w, name, e);
	if (r >= 0)
		r = ownership_forget(w, name, NULL, NULL, e);
	return r < 0 ? err_in(e, "%s", name) : 0;
}

/* What the user writes to, below home_root/NAME. */
static const char *const written[] = {
	"chroot/data",       "chroot/log",      "chroot/tmp/misc",
	"chroot/tmp/upload", "chroot/tmp/wsdl", "chroot/tmp/session"
};

/* As far as it goes: what is mounted in it stays. */
static int empty(struct world *w, const char *name, const char *below, struct err *e)
{
	autofree char *path = memory_printf("%s/%s", name, below);
	autodir DIR *d = path_list(w->home_root, path, NULL);
	int first = 0;

	for (const struct dirent *it; d && (it = readdir(d));) {
		int r = strcmp(it->d_name, ".") == 0 || strcmp(it->d_name, "..") == 0
				? 0
				: path_remove_tree(dirfd(d), it->d_name, first < 0 ? NULL : e);

		first = first < 0 ? first : r < 0 ? r : 0;
	}
	return first < 0 ? err_in(e, "%s", path) : 0;
}

int purge_content(const struct host *host, const char *name, struct err *e)
{
	autoarena struct arena arena = { 0 };
	struct world w;
	int r = world_open(host, true, &w, e), first = 0;

	w.arena = &arena;
	if (r == 0)
		r = accounts_refresh(w.accounts, e);
	if (r == 0 && !is_ours(&w, name))
		r = err_set(e, EPERM, "%s/%s was never a webspace of ours: left alone",
			    host->home_root, name);
	if (r == 0)
		r = end_processes(&w, name, e);
	for (size_t i = 0; r == 0 && i < ELEMENTS(written); i++) {
		int failure = empty(&w, name, written[i], first < 0 ? NULL : e);

		first = first < 0 ? first : failure;
	}
	world_close(&w);
	return r < 0 ? r : first;
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
