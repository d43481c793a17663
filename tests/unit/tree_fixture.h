/*
 * A host under one folder in a mount namespace of the test's own: home root, run
 * and state directories, accounts, and a small base. Needs root; where the tests
 * run without it, tree_open says so and the tests are skipped.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/acl.h"
#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "reconcile/ownership.h"
#include "reconcile/resource.h"
#include "reconcile/tree/namespace.h"
#include "tests/unit/cmocka_all.h"

#define TREE_UID(i) (20001u + (unsigned)(i))
#define TREE_WEB    33u

struct tree {
	char top[64]; /* "/tmp/tree.XXXXXX", a tmpfs: has etc, home, run, state */
	struct host host;
	struct arena arena;
	struct world w;
	int real;    /* the mount namespace the test was started in */
	int outside; /* … that plays the host */
};

static inline const char *tree_path(struct tree *t, const char *rest)
{
	return arena_printf(&t->arena, "%s/%s", t->top, rest); /* lives as long as t */
}

static inline void tree_write(struct tree *t, const char *path, const char *text)
{
	const char *full = *path == '/' ? path : tree_path(t, path);
	autofree char *dir = memory_dup(full);
	autofd int fd = -1;

	*strrchr(dir, '/') = '\0';
	assert_true(path_make_dirs(dir, 0755, NULL) >= 0);
	fd = path_open_dir(dir, NULL);
	assert_true(put_file(fd, strrchr(full, '/') + 1, 0644, text, strlen(text), PUT_BATCH,
			     NULL) >= 0);
}

/* Accounts w0, w1 … */
static inline void tree_accounts(struct tree *t, unsigned n)
{
	autobuf struct buf passwd = { 0 }, group = { 0 };

	buf_printf(&passwd, "root:x:0:0::/:\nwww-data:x:%u:%u::/:\n", TREE_WEB, TREE_WEB);
	buf_printf(&group, "root:x:0:\nwww-data:x:%u:\n", TREE_WEB);
	for (unsigned i = 0; i < n; i++) {
		buf_printf(&passwd, "w%u:x:%u:%u::/:\n", i, TREE_UID(i), TREE_UID(i));
		buf_printf(&group, "w%u:x:%u:\n", i, TREE_UID(i));
	}
	tree_write(t, "etc/passwd", buf_text(&passwd));
	tree_write(t, "etc/group", buf_text(&group));
}

static inline void tree_base(struct tree *t)
{
	static const char *const paths[] = { "/etc/t/zone", "/etc/t/certs", "/etc/t/resolv.conf",
					     "/etc/t/none" };
	const char *options = arena_printf(&t->arena, "lowerdir=/etc,upperdir=%s,workdir=%s",
					   tree_path(t, "etc-upper"), tree_path(t, "etc-work"));

	assert_int_equal(mkdir(tree_path(t, "etc-upper"), 0755), 0);
	assert_int_equal(mkdir(tree_path(t, "etc-work"), 0755), 0);
	assert_int_equal(mount("overlay", "/etc", "overlay", 0, options), 0);
	tree_write(t, "/etc/t/zone/UTC", "utc");
	tree_write(t, "/etc/t/zone/Europe/Berlin", "berlin");
	tree_write(t, "/etc/t/certs/a.pem", "a");
	tree_write(t, "/etc/t/resolv.conf", "nameserver 192.0.2.1\n");
	t->host.base = (struct text_list){ paths, ELEMENTS(paths) };
}

/* False: not root. */
static inline bool tree_open(struct tree *t, unsigned n_accounts)
{
	struct err e = { 0 };
	char top[] = "/tmp/tree.XXXXXX";
	bool in;

	*t = (struct tree){ 0 };
	if (geteuid() != 0)
		return false;
	t->real = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (t->real < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	umask(022);
	assert_non_null(mkdtemp(top));
	assert_int_equal(chmod(top, 0755), 0);
	snprintf(t->top, sizeof t->top, "%s", top);
	assert_int_equal(mount("tree", top, "tmpfs", 0, "mode=0755"), 0);
	t->host.home_root = tree_path(t, "home/www");
	t->host.run_dir = tree_path(t, "run");
	t->host.state_dir = tree_path(t, "state");
	t->host.web_user = "www-data";
	t->host.web_uid = t->host.web_gid = TREE_WEB;
	tree_accounts(t, n_accounts);
	tree_base(t);
	t->outside = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (namespace_enter(&t->host, true, &in, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(in);
	t->w = (struct world){
		.host = &t->host,
		.in_namespace = true,
		.arena = &t->arena,
		.now_usec = clock_usec(),
		.home_root = path_open_dir(t->host.home_root, NULL),
	};
	assert_true(t->w.home_root >= 0);
	assert_int_equal(accounts_open_in(tree_path(t, "etc"), &t->w.accounts, NULL), 0);
	assert_int_equal(ownership_open(t->host.state_dir, true, &t->w.ownership, NULL), 0);
	return true;
}

static inline void tree_close(struct tree *t)
{
	accounts_close(t->w.accounts);
	ownership_close(t->w.ownership);
	if (t->w.home_root >= 0)
		close(t->w.home_root);
	if (t->top[0]) {
		assert_int_equal(setns(t->real, CLONE_NEWNS), 0);
		assert_int_equal(rmdir(t->top), 0);
		close(t->outside);
		close(t->real);
	}
	arena_clear(&t->arena);
}

/* One pass of a type over one webspace, as pass.c does it: how many items were applied. -1: something went wrong, told in *ret. */
static inline int tree_pass(struct tree *t, const struct resource_type *type, void *state,
			    const struct webspace *webspace, struct finding *ret)
{
	struct item_list items = { 0 };
	const struct webspace *slice[] = { webspace };
	struct err e = { 0 };
	int applied = 0;

	t->w.now_usec += USEC_PER_SEC;
	t->w.wall = clock_wall() + 60; /* what was changed just now counts as old */
	if (type->prepare && type->prepare(&t->w, state, slice, 1, &e) < 0)
		fail_msg("%s", e.text);
	type->desire(&t->w, state, webspace, &items);
	for (size_t i = 0; i < items.count; i++) {
		struct finding f = { 0 };

		type->observe(&t->w, state, webspace, &items.items[i], &f);
		*ret = f;
		if (f.state == OBSERVED_IN_SYNC)
			continue;
		if (f.state != OBSERVED_MISSING && f.state != OBSERVED_DIFFERS)
			return -1;
		if (type->apply(&t->w, state, webspace, &items.items[i], &f, &e) < 0) {
			snprintf(ret->text, sizeof ret->text, "%s", e.text);
			return -1;
		}
		applied++;
		f = (struct finding){ 0 };
		type->observe(&t->w, state, webspace, &items.items[i], &f);
		if (f.state != OBSERVED_IN_SYNC)
			fail_msg("%s %s: applied, and then %s %s → %s %s", type->name,
				 items.items[i].name, f.what ? f.what : "missing", f.old_value,
				 f.new_value, f.text);
	}
	if (type->flush && type->flush(&t->w, state, &e) < 0)
		fail_msg("%s", e.text);
	return applied;
}
