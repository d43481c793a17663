/*
 * A user who renames, links and exchanges all that he can, while root makes his
 * tree and its mounts again and again. To give him a chance at all, his home is
 * handed to him before each pass, as useradd -m would have made it. Nothing
 * outside of his tree may change, and no mount may land there.
 *
 *     build/unit/attack_test [SECONDS]
 */
#include "tests/unit/tree_fixture.h"

#include <signal.h>
#include <sys/wait.h>

static unsigned seconds = 1;
static struct tree tree;
static const char *home, *victim;

static const char *at(const char *dir, const char *name)
{
	return arena_printf(&tree.arena, "%s/%s", dir, name);
}

/* It may fail: the attacker races with root, and with himself. */
static void lay_link(const char *path)
{
	if (symlink(victim, path) < 0)
		return;
}

/* A directory of his own, in which all is a link to the victim. */
static void make_trap(const char *dir)
{
	static const char *const names[] = { "data", "log", "tmp", ".base",
					     "etc",  "usr", "dev", "access.log" };

	(void)mkdir(dir, 0777);
	for (size_t i = 0; i < ELEMENTS(names); i++)
		lay_link(at(dir, names[i]));
}

static void attack_once(unsigned n)
{
	static const char *const targets[] = {
		"chroot",       "logs",          "chroot/data",
		"chroot/tmp",   "chroot/log",    "chroot/tmp/misc",
		"chroot/.base", "chroot/data/x", "chroot/tmp/misc/x"
	};
	const char *trap = at(home, arena_printf(&tree.arena, "trap%u", n % 50));
	const char *link_path = at(home, "link");

	make_trap(trap);
	lay_link(link_path);
	lay_link(at(home, "chroot/data/x"));
	for (size_t i = 0; i < ELEMENTS(targets); i++) {
		const char *target = at(home, targets[i]);

		(void)renameat2(AT_FDCWD, target, AT_FDCWD, trap, RENAME_EXCHANGE);
		(void)renameat2(AT_FDCWD, target, AT_FDCWD, link_path, RENAME_EXCHANGE);
		(void)rename(target, at(home, "away"));
		lay_link(target);
		(void)unlink(target);
		(void)rename(at(home, "away"), target);
	}
	/* Out of the way, so that root makes them anew and there is something to race with. */
	(void)rename(at(home, "chroot"), at(home, arena_printf(&tree.arena, "old%u", n)));
	(void)rename(at(home, "logs"), at(home, arena_printf(&tree.arena, "old-logs%u", n)));
	for (unsigned i = n % 64; i > 0; i--)
		(void)sched_yield();
	arena_clear(&tree.arena);
}

static pid_t start_attacker(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	tree.arena = (struct arena){ 0 };
	if (setgid(TREE_UID(0)) < 0 || setuid(TREE_UID(0)) < 0)
		_exit(1);
	for (unsigned n = 0;; n++)
		attack_once(n);
}

static unsigned pass_under_attack(const struct resource_type *type, void *state)
{
	static const struct webspace w0 = { .name = "w0" };
	const struct webspace *slice[] = { &w0 };
	struct item_list items = { 0 };
	unsigned applied = 0;

	(void)type->prepare(&tree.w, state, slice, 1, NULL);
	type->desire(&tree.w, state, &w0, &items);
	for (size_t i = 0; i < items.count; i++) {
		struct finding f = { 0 };

		type->observe(&tree.w, state, &w0, &items.items[i], &f);
		if (f.state == OBSERVED_MISSING || f.state == OBSERVED_DIFFERS)
			applied += type->apply(&tree.w, state, &w0, &items.items[i], &f, NULL) >= 0;
	}
	return applied;
}

static unsigned mounts_below(const char *path)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		n += strstr(line, path) != NULL;
	fclose(f);
	return n;
}

static void assert_untouched(const char *path, const struct stat *before)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, before->st_mode);
	assert_int_equal(st.st_uid, before->st_uid);
	assert_int_equal(st.st_gid, before->st_gid);
	assert_int_equal(st.st_ino, before->st_ino);
	assert_int_equal(st.st_ctim.tv_sec, before->st_ctim.tv_sec);
	assert_int_equal(st.st_ctim.tv_nsec, before->st_ctim.tv_nsec);
}

static void set_up_victim(struct stat *ret_dir, struct stat *ret_file)
{
	victim = memory_dup(tree_path(&tree, "victim"));
	home = memory_dup(tree_path(&tree, "home/www/w0"));
	tree_write(&tree, "victim/access.log", "untouched");
	tree_write(&tree, "victim/misc", "untouched");
	assert_int_equal(stat(victim, ret_dir), 0);
	assert_int_equal(stat(at(victim, "access.log"), ret_file), 0);
}

static void an_attacker_gets_root_to_touch_nothing(void **state)
{
	struct stat dir, file;
	void *dirs = NULL, *mounts = NULL;
	unsigned applied = 0, mounted = 0, passes = 0;
	uint64_t end;
	pid_t pid;

	(void)state;
	if (!tree_open(&tree, 1))
		skip();
	set_up_victim(&dir, &file);
	assert_int_equal(directory_type.open(&tree.w, &dirs, NULL), 0);
	assert_int_equal(mount_type.open(&tree.w, &mounts, NULL), 0);
	assert_int_equal(mkdir(home, 0755), 0);
	pid = start_attacker();
	for (end = clock_usec() + seconds * USEC_PER_SEC; clock_usec() < end; passes++) {
		struct arena arena = { 0 };

		tree.w.arena = &arena;
		assert_int_equal(lchown(home, TREE_UID(0), TREE_UID(0)), 0);
		tree.w.now_usec = clock_usec();
		tree.w.wall = clock_wall();
		applied += pass_under_attack(&directory_type, dirs);
		mounted += pass_under_attack(&mount_type, mounts);
		arena_clear(&arena);
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	print_message("%u passes, %u places and %u mounts made under attack\n", passes, applied,
		      mounted);
	assert_true(applied > 0 && mounted > 0);
	assert_untouched(victim, &dir);
	assert_untouched(at(victim, "access.log"), &file);
	assert_int_equal(mounts_below("/victim"), 0);
	directory_type.close(dirs);
	mount_type.close(mounts);
	free((char *)victim);
	free((char *)home);
	tree_close(&tree);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_attacker_gets_root_to_touch_nothing),
	};

	if (argc > 1)
		seconds = (unsigned)strtoul(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
