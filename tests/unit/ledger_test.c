/* Ids are given to one name only, for ever. */
#include "reconcile/accounts/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "tests/unit/cmocka_all.h"

static char dir[64];
static int fd;
static struct accounts *accounts;

static void write_file(const char *name, const char *text)
{
	assert_true(put_file(fd, name, 0644, text, strlen(text), PUT_BATCH, NULL) >= 0);
}

static int set_up(void **state)
{
	(void)state;
	strncpy(dir, "/tmp/ledger.XXXXXX", sizeof dir - 1);
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_file("passwd", "taken:x:20001:20001::/:/bin/sh\n");
	write_file("group", "taken:x:20001:\nlonely:x:20003:\n");
	return accounts_open_in(dir, &accounts, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	accounts_close(accounts);
	close(fd);
	(void)path_remove_tree(AT_FDCWD, dir, NULL);
	return 0;
}

/* The name's own id, or a free one that it has from now on. */
static void expect(struct ledger *l, int home_root, const char *name, int result, id_t id)
{
	struct ledger_ids ids = { 0 };
	int r = ledger_get(l, home_root, name, &ids, NULL);

	assert_true(r >= 0);
	if (r == 0) {
		assert_int_equal(ledger_choose(l, accounts, home_root, &ids.uid, NULL), result);
		ids.gid = ids.uid;
		if (result == 0)
			assert_int_equal(ledger_note(l, home_root, name, ids, NULL), 0);
	}
	assert_int_equal(ids.uid, id);
}

static void note(struct ledger *l, const char *name, uid_t uid, gid_t gid)
{
	assert_int_equal(ledger_note(l, -1, name, (struct ledger_ids){ uid, gid }, NULL), 0);
}

static void free_ids_are_given_once(void **state)
{
	struct ledger *l = ledger_new(dir, 20000, 20005);

	(void)state;
	expect(l, -1, "alice", 0, 20000);
	expect(l, -1, "bob", 0, 20002); /* 20001 is an account's, 20003 a group's */
	expect(l, -1, "alice", 0, 20000);
	expect(l, -1, "carol", 0, 20004);
	assert_int_equal(ledger_write(l, NULL), 0);
	assert_int_equal(ledger_write(l, NULL), 0);
	ledger_free(l);

	/* Also after a restart, and when their accounts are long gone. */
	l = ledger_new(dir, 20000, 20005);
	expect(l, -1, "dave", 0, 20005);
	expect(l, -1, "bob", 0, 20002);
	expect(l, -1, "erin", -ENOSPC, 0);
	ledger_free(l);
}

static void the_last_whole_line_of_a_name_counts(void **state)
{
	struct ledger *l = ledger_new(dir, 20000, 20005);

	(void)state;
	write_file("ids", "alice 20001\nold 20000\nalice 20003\nnone 0\nbad x\nhalf 2000");
	expect(l, -1, "alice", 0, 20003); /* hers, whoever has it now */
	expect(l, -1, "old", 0, 20000);
	expect(l, -1, "half", 0, 20002);
	expect(l, -1, "none", 0, 20004);
	assert_int_equal(ledger_write(l, NULL), 0);
	ledger_free(l);
	l = ledger_new(dir, 20000, 20005);
	expect(l, -1, "half", 0, 20002);
	expect(l, -1, "bad", 0, 20005);
	ledger_free(l);
}

static void ids_that_others_chose_are_given_too(void **state)
{
	struct ledger *l = ledger_new(dir, 20000, 20005);
	struct ledger_ids ids;

	(void)state;
	note(l, "fixed", 20000, 20000);
	note(l, "outside", 70000, 70000);
	note(l, "two", 20002, 20004);
	expect(l, -1, "alice", 0, 20005);
	assert_int_equal(ledger_write(l, NULL), 0);
	ledger_free(l);
	l = ledger_new(dir, 20000, 20005);
	assert_int_equal(ledger_get(l, -1, "two", &ids, NULL), 1);
	assert_int_equal(ids.uid, 20002);
	assert_int_equal(ids.gid, 20004);
	assert_int_equal(ledger_get(l, -1, "nobody", &ids, NULL), 0);
	expect(l, -1, "outside", 0, 70000);
	ledger_free(l);
}

static void home_directories_of_an_old_volume_keep_their_ids(void **state)
{
	struct ledger *l = ledger_new(dir, 20000, 20005);
	int home;

	(void)state;
	if (geteuid() != 0) {
		ledger_free(l);
		print_message("needs root to make directories of other groups\n");
		skip();
	}
	assert_int_equal(mkdirat(fd, "home", 0755), 0);
	home = openat(fd, "home", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(home, "bob", 0750), 0);
	assert_int_equal(fchownat(home, "bob", 0, 20000, 0), 0);
	assert_int_equal(mkdirat(home, "strange", 0750), 0);
	assert_int_equal(fchownat(home, "strange", 20002, 20002, 0), 0);
	/* An account from outside of the range. */
	assert_int_equal(mkdirat(home, "carol", 0750), 0);
	assert_int_equal(fchownat(home, "carol", 0, 1500, 0), 0);
	expect(l, home, "alice", 0, 20002);
	expect(l, home, "bob", 0, 20000);
	expect(l, home, "carol", 0, 1500);
	close(home);
	ledger_free(l);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(free_ids_are_given_once),
		T(the_last_whole_line_of_a_name_counts),
		T(ids_that_others_chose_are_given_too),
		T(home_directories_of_an_old_volume_keep_their_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
