/*
 * What every type of resource promises, proved by one body that loops over them:
 * missing → apply → in sync; each damage is found, called by its name and put
 * right; what is somebody else's is not touched; removed twice is removed; and a
 * look at what is in sync makes no system call that writes (a filter kills it).
 *
 * On a private view of the machine: own mounts, and a copy of /etc in its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/spawn.h"
#include "reconcile/ownership.h"
#include "reconcile/pass/pass.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/machine.h"

static struct host host;
static struct webspace webspace;
static struct arena arena;
static struct world w;

/* A way to spoil something. */
struct damage {
	const char *name;
	void (*spoil)(void);
	enum observed found; /* what the look says then */
	const char *what;    /* … of which attribute; NULL: any */
};

#define DAMAGES_MAX 12
struct contract {
	const struct resource_type *type;
	bool keeps; /* removing takes nothing away: data and account stay */
	struct damage damages[DAMAGES_MAX];
};

/* Damages ---------------------------------------------------------------- */

static void account_is_deleted(void)
{
	RUN("/usr/sbin/userdel", "alice");
}

static void file_wants_another_id(void)
{
	webspace.account.uid = 31000;
}

static void group_has_a_stranger(void)
{
	RUN("/usr/bin/gpasswd", "-a", "games", "alice");
}

#define HOME ROOT "/home/alice/"

static void mode_is_loosened(void)
{
	assert_int_equal(chmod(HOME "chroot/data", 0777), 0);
}

static void owner_is_changed(void)
{
	assert_int_equal(chown(HOME "chroot/tmp", 1234, 1234), 0);
}

static void group_is_changed(void)
{
	assert_int_equal(chown(HOME "chroot/tmp/misc", (uid_t)-1, 1234), 0);
}

static void acl_is_dropped(void)
{
	assert_int_equal(removexattr(HOME "chroot/data", "system.posix_acl_access"), 0);
}

static void default_acl_is_dropped(void)
{
	assert_int_equal(removexattr(HOME "chroot/data", "system.posix_acl_default"), 0);
}

static void directory_is_removed(void)
{
	assert_int_equal(rmdir(HOME "chroot/tmp/upload"), 0);
}

static void link_is_removed(void)
{
	assert_int_equal(unlink(HOME "chroot/etc"), 0);
}

static void file_is_in_its_place(void)
{
	directory_is_removed();
	close(open(HOME "chroot/tmp/upload", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void base_is_unmounted(void)
{
	assert_int_equal(umount2(HOME "chroot/.base", MNT_DETACH), 0);
}

static void base_is_writable(void)
{
	assert_int_equal(mount(NULL, HOME "chroot/.base", NULL, MS_REMOUNT | MS_BIND, NULL), 0);
}

static void base_is_covered(void)
{
	assert_int_equal(mount("tmpfs", HOME "chroot/.base", "tmpfs", 0, NULL), 0);
}

#define CERTS ROOT "/state/certs/alice/alice.test/"

static void certificate_is_deleted(void)
{
	RUN("/bin/rm", "-r", ROOT "/state/certs/alice");
}

static void chain_is_deleted(void)
{
	assert_int_equal(unlink(CERTS "current/chain.pem"), 0);
}

static void chain_is_cut(void)
{
	assert_int_equal(truncate(CERTS "current/chain.pem", 100), 0);
}

static const struct contract contracts[] = {
	{ .type = &account_type,
	  .keeps = true,
	  .damages = { { "deleted", account_is_deleted, OBSERVED_MISSING, NULL },
		       { "fixed", file_wants_another_id, OBSERVED_FOREIGN, NULL },
		       { "shared", group_has_a_stranger, OBSERVED_FOREIGN, NULL } } },
	{ .type = &directory_type,
	  .keeps = true,
	  .damages = { { "mode", mode_is_loosened, OBSERVED_DIFFERS, "mode" },
		       { "owner", owner_is_changed, OBSERVED_DIFFERS, "owner" },
		       { "group", group_is_changed, OBSERVED_DIFFERS, NULL },
		       { "acl", acl_is_dropped, OBSERVED_DIFFERS, NULL },
		       { "default acl", default_acl_is_dropped, OBSERVED_DIFFERS, NULL },
		       { "removed", directory_is_removed, OBSERVED_MISSING, NULL },
		       { "link removed", link_is_removed, OBSERVED_MISSING, NULL },
		       { "a file", file_is_in_its_place, OBSERVED_FOREIGN, NULL } } },
	{ .type = &mount_type,
	  .damages = { { "unmounted", base_is_unmounted, OBSERVED_MISSING, NULL },
		       { "writable", base_is_writable, OBSERVED_DIFFERS, "flags" },
		       { "covered", base_is_covered, OBSERVED_DIFFERS, "source" } } },
	{ .type = &certificate_type,
	  .damages = { { "deleted", certificate_is_deleted, OBSERVED_MISSING, NULL },
		       { "chain deleted", chain_is_deleted, OBSERVED_MISSING, NULL },
		       { "chain cut", chain_is_cut, OBSERVED_DIFFERS, NULL } } },
};

/* The machine -------------------------------------------------------------- */

static void host_fill(void)
{
	static const char *const base[] = { "/etc/hosts", "/etc/nsswitch.conf" };

	host = (struct host){
		.config_dir = ROOT "/drops",
		.home_root = ROOT "/home",
		.state_dir = ROOT "/state",
		.run_dir = ROOT "/run",
		.log_root = ROOT "/log",
		.base_domain = "test",
		.web_user = "www-data",
		.accounts = { .create = true, .uid_min = 20000, .uid_max = 29999 },
		.web_uid = 33,
		.web_gid = 33,
		.acme = { .issuer = ISSUER_INTERNAL },
		.base = { base, ELEMENTS(base) },
	};
	machine_mkdirs(host.home_root);
	machine_mkdirs(host.state_dir);
	machine_mkdirs(host.run_dir);
	machine_mkdirs(host.log_root);
	/* In the namespace the home tree is a mount of its own. */
	assert_int_equal(mount(host.home_root, host.home_root, NULL, MS_BIND, NULL), 0);
}

static void webspace_fill(void)
{
	static const char *const names[] = { "alice.test" };
	static const struct site site = { .names = { names, 1 }, .tls.issuer = ISSUER_INTERNAL };

	webspace = (struct webspace){ .name = "alice",
				      .account = { ID_UNSET, ID_UNSET },
				      .sites = &site,
				      .n_sites = 1,
				      .fingerprint = 1 };
}

static void world_open(void)
{
	struct err e = { 0 };

	w = (struct world){ .host = &host,
			    .home_root = path_open_dir(host.home_root, &e),
			    .in_namespace = true,
			    .arena = &arena,
			    .now_usec = clock_usec(),
			    .wall = clock_wall() };
	assert_true(w.home_root >= 0);
	assert_int_equal(accounts_open(&w.accounts, &e), 0);
	accounts_web_user(w.accounts, host.web_user);
	assert_int_equal(ownership_open(host.state_dir, true, &w.ownership, &e), 0);
	assert_int_equal(store_open(host.state_dir, host.web_gid, true, &w.store, &e), 0);
}

static int group_set_up(void **state)
{
	(void)state;
	host_fill();
	webspace_fill();
	world_open();
	return 0;
}

static int group_tear_down(void **state)
{
	(void)state;
	store_close(w.store);
	ownership_close(w.ownership);
	accounts_close(w.accounts);
	close(w.home_root);
	arena_clear(&arena);
	return 0;
}

/* A pass over one type ------------------------------------------------------ */

struct outcome {
	size_t items, in_sync, applied, stopped;
	enum observed worst; /* the last that was not in sync */
	char what[32], item[300];
};

static void prepare(const struct resource_type *type, void *state, struct item_list *items)
{
	const struct webspace *slice[] = { &webspace };
	struct err e = { 0 };

	w.now_usec = clock_usec();
	*items = (struct item_list){ 0 };
	assert_int_equal(accounts_refresh(w.accounts, &e), 0);
	if (type->prepare && type->prepare(&w, state, slice, 1, &e) < 0)
		fail_msg("%s: prepare: %s", type->name, e.text);
	type->desire(&w, state, &webspace, items);
}

static struct outcome look(const struct resource_type *type, void *state, bool apply)
{
	struct outcome o = { 0 };
	struct item_list items;
	struct err e = { 0 };

	prepare(type, state, &items);
	o.items = items.count;
	for (size_t i = 0; i < items.count; i++) {
		struct finding f = { 0 };

		type->observe(&w, state, &webspace, &items.items[i], &f);
		if (f.state == OBSERVED_IN_SYNC) {
			o.in_sync++;
			continue;
		}
		o.worst = f.state;
		(void)snprintf(o.what, sizeof o.what, "%s", f.what ? f.what : "");
		(void)snprintf(o.item, sizeof o.item, "%s %s", items.items[i].name, f.text);
		if (f.state != OBSERVED_MISSING && f.state != OBSERVED_DIFFERS) {
			o.stopped++;
			continue;
		}
		if (!apply)
			continue;
		if (type->apply(&w, state, &webspace, &items.items[i], &f, &e) < 0)
			fail_msg("%s: %s", type->name, e.text);
		o.applied++;
	}
	if (apply && type->flush && type->flush(&w, state, &e) < 0)
		fail_msg("%s: flush: %s", type->name, e.text);
	return o;
}

static void assert_in_sync(const struct resource_type *type, void *state, const char *after)
{
	struct outcome o = look(type, state, false);

	if (o.items == 0 || o.in_sync != o.items)
		fail_msg("%s %s: %zu of %zu items in sync; %s %s", type->name, after, o.in_sync,
			 o.items, o.item, o.what);
}

/* The filter ---------------------------------------------------------------- */

static const int writing[] = {
	SYS_mkdirat,      SYS_unlinkat,        SYS_renameat2,     SYS_symlinkat,
	SYS_linkat,       SYS_mknodat,         SYS_fchmod,        SYS_fchmodat,
	SYS_fchown,       SYS_fchownat,        SYS_truncate,      SYS_ftruncate,
	SYS_setxattr,     SYS_fsetxattr,       SYS_lsetxattr,     SYS_removexattr,
	SYS_fremovexattr, SYS_utimensat,       SYS_mount,         SYS_umount2,
	SYS_move_mount,   SYS_open_tree,       SYS_mount_setattr, SYS_pwrite64,
	SYS_fsync,        SYS_fdatasync,       SYS_syncfs,        SYS_sync,
	SYS_sendfile,     SYS_execve,          SYS_clone3,        SYS_write,
	SYS_writev,       SYS_copy_file_range,
#ifdef SYS_chmod
	SYS_chmod,        SYS_mkdir,           SYS_unlink,        SYS_rename,
	SYS_rmdir,        SYS_chown,           SYS_lchown,        SYS_symlink,
	SYS_link,         SYS_renameat,
#endif
};

/* From now on the process is killed by SIGSYS when it writes, or opens something for it. */
static void forbid_writing(void)
{
	struct sock_filter filter[2 * ELEMENTS(writing) + 16];
	size_t n = 0;

	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
	for (size_t i = 0; i < ELEMENTS(writing); i++) {
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							   (unsigned)writing[i], 0, 1);
		filter[n++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	}
	filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3);
	/* The low half of the third argument: its flags. */
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						   offsetof(struct seccomp_data, args[2]));
	filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
						   O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
		  &(struct sock_fprog){ .len = (unsigned short)n, .filter = filter }) < 0)
		_exit(2);
}

static void assert_a_look_writes_nothing(const struct resource_type *type, void *state)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct outcome o;

		forbid_writing();
		o = look(type, state, true);
		_exit(o.applied || o.in_sync != o.items);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		fail_msg("%s: a look at what is in sync writes (signal %d)", type->name,
			 WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The contract --------------------------------------------------------------- */

static void check_damage(const struct contract *c, void *state, const struct damage *d)
{
	struct outcome o;

	d->spoil();
	o = look(c->type, state, true);
	if (o.in_sync == o.items)
		fail_msg("%s: %s is not noticed", c->type->name, d->name);
	if (o.worst != d->found || (d->what && strcmp(d->what, o.what) != 0))
		fail_msg("%s: %s is found as %d \"%s\" (%s)", c->type->name, d->name, o.worst,
			 o.what, o.item);
	if (d->found == OBSERVED_FOREIGN)
		assert_int_equal(o.applied, 0);
	else
		assert_in_sync(c->type, state, d->name);
}

static void check(const struct contract *c, void *state)
{
	struct outcome o = look(c->type, state, true);
	struct err e = { 0 };

	assert_int_not_equal(o.items, 0);
	assert_int_equal(o.applied, o.items);
	assert_in_sync(c->type, state, "made");
	assert_a_look_writes_nothing(c->type, state);
	for (const struct damage *d = c->damages; d->name; d++)
		if (d->found != OBSERVED_FOREIGN)
			check_damage(c, state, d);
	for (int twice = 0; twice < 2; twice++)
		if (c->type->remove(&w, state, webspace.name, &e) < 0)
			fail_msg("%s: remove: %s", c->type->name, e.text);
	if (c->keeps)
		assert_in_sync(c->type, state, "removed");
	else
		assert_int_not_equal(look(c->type, state, true).applied, 0);
	assert_in_sync(c->type, state, "removed and made again");
}

static void every_type_keeps_the_contract(void **unused)
{
	void *states[ELEMENTS(contracts)] = { 0 };
	struct err e = { 0 };

	(void)unused;
	for (size_t i = 0; i < ELEMENTS(contracts); i++) {
		if (contracts[i].type->open && contracts[i].type->open(&w, &states[i], &e) < 0)
			fail_msg("%s: %s", contracts[i].type->name, e.text);
		check(&contracts[i], states[i]);
	}
	/* What is somebody else's spoils what comes after it, so that is last, from the end. */
	for (size_t i = ELEMENTS(contracts); i-- > 0;) {
		for (const struct damage *d = contracts[i].damages; d->name; d++) {
			if (d->found == OBSERVED_FOREIGN)
				check_damage(&contracts[i], states[i], d);
			webspace_fill();
		}
		if (contracts[i].type->close)
			contracts[i].type->close(states[i]);
	}
}

static void the_filter_kills_who_writes(void **unused)
{
	pid_t child = fork();
	int status;

	(void)unused;
	assert_true(child >= 0);
	if (child == 0) {
		forbid_writing();
		_exit(openat(AT_FDCWD, ROOT "/written", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_filter_kills_who_writes),
		cmocka_unit_test(every_type_keeps_the_contract),
	};

	if (!machine_make())
		return 0;
	return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
