/* trusted.c: a directory is only as good as everything on the way to it. */
#include "agent/model/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "tests/unit/cmocka_all.h"

static char top[40];

static const char *at(const char *name)
{
	static char paths[2][200];
	static int turn;

	turn = !turn;
	snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", top, name);
	return paths[turn];
}

static int opens(const char *name)
{
	autofd int fd = trusted_open_dir(at(name), NULL);

	return fd < 0 ? fd : 0;
}

static int setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/trusted_test.XXXXXX");
	assert_non_null(mkdtemp(top));
	chmod(top, 0755);
	assert_int_equal(mkdir(at("good"), 0755), 0);
	assert_int_equal(mkdir(at("theirs"), 0755), 0);
	assert_int_equal(mkdir(at("theirs/inner"), 0755), 0);
	assert_int_equal(symlink("good", at("link")), 0);
	assert_int_equal(symlink(at("good"), at("absolute")), 0);
	assert_int_equal(symlink("theirs/turn", at("chain")), 0);
	assert_int_equal(symlink("../good", at("theirs/turn")), 0);
	assert_int_equal(symlink("loop", at("loop")), 0);
	return 0;
}

static int teardown(void **state)
{
	autofd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);

	(void)state;
	path_remove_tree(tmp, strrchr(top, '/') + 1, NULL);
	return 0;
}

static void links_of_our_own_may_be_on_the_way(void **state)
{
	(void)state;
	assert_int_equal(opens("good"), 0);
	assert_int_equal(opens("good/"), 0);
	assert_int_equal(opens("link"), 0);
	assert_int_equal(opens("absolute"), 0);
	assert_int_equal(opens("chain"), 0);
	assert_int_equal(opens("good/../good"), 0);
	assert_int_equal(opens("none"), -ENOENT);
	assert_int_equal(opens("loop"), -ELOOP);
}

static void directories_that_others_write_may_not(void **state)
{
	(void)state;
	chmod(at("good"), 0777);
	assert_int_equal(opens("good"), -EPERM);
	assert_int_equal(opens("link"), -EPERM);
	chmod(at("good"), 01777); /* sticky will do on the way only */
	assert_int_equal(opens("good"), -EPERM);
	chmod(at("good"), 0775); /* by root's group */
	assert_int_equal(opens("good"), 0);
}

static void nor_those_that_belong_to_others(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(at("theirs"), 1234, 1234), 0);
	assert_int_equal(opens("theirs"), -EPERM);
	assert_int_equal(opens("theirs/inner"), -EPERM);
	assert_int_equal(opens("chain"), -EPERM);
	assert_int_equal(lchown(at("link"), 1234, 1234), 0);
	assert_int_equal(opens("link"), -EPERM);
}

/* What opening top/NAME by way of its link says. */
static const char *refusal(const char *name)
{
	autofd int dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	static struct err e;
	autofd int fd = -1;

	e = (struct err){ 0 };
	fd = trusted_open_link(dir, name, &e);
	assert_int_equal(fd >= 0, e.code == 0);
	return e.text;
}

static void f15_a_link_is_followed_where_every_step_is_ours(void **state)
{
	int fd = open(at("good/file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	(void)state;
	close(fd);
	assert_int_equal(mkdir(at("good/sub"), 0755), 0);
	assert_int_equal(symlink("good/file", at("f.conf")), 0);
	assert_int_equal(symlink(at("link/file"), at("g.conf")), 0);
	assert_int_equal(symlink("theirs/../f.conf", at("h.conf")), 0);
	assert_int_equal(symlink("nowhere", at("dangling.conf")), 0);
	assert_int_equal(symlink("good/sub", at("dir.conf")), 0);
	assert_string_equal(refusal("f.conf"), "");
	assert_string_equal(refusal("g.conf"), "");
	assert_string_equal(refusal("h.conf"), "");
	assert_non_null(strstr(refusal("dangling.conf"), "/nowhere: No such file"));
	assert_non_null(strstr(refusal("dir.conf"), "good/sub is not a regular file"));
	assert_non_null(strstr(refusal("loop"), "links"));
	chmod(at("good"), 0777);
	assert_non_null(strstr(refusal("f.conf"), "/good may be written by others"));
	assert_non_null(strstr(refusal("g.conf"), "/good may be written by others"));
	chmod(at("good"), 0755);
	if (geteuid() != 0)
		return;
	assert_int_equal(lchown(at("link"), 1234, 1234), 0);
	assert_non_null(strstr(refusal("g.conf"), "/link belongs to uid 1234"));
	assert_int_equal(chown(at("theirs"), 1234, 1234), 0);
	assert_non_null(strstr(refusal("h.conf"), "/theirs belongs to uid 1234"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(links_of_our_own_may_be_on_the_way),
		TEST(directories_that_others_write_may_not),
		TEST(nor_those_that_belong_to_others),
		TEST(f15_a_link_is_followed_where_every_step_is_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
