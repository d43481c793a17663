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

static void expect(struct ledger *l, int home_root, const char *name, int result, id_t id)
{
	id_t got = 0;

	assert_int_equal(ledger_choose(l, accounts, home_root, name, &got, NULL), result);
	assert_int_equal(got, id);
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

static void an_own_id_that_is_taken_now_is_not_insisted_on(void **state)
{
	struct ledger *l = ledger_new(dir, 20000, 20005);

	(void)state;
	write_file("ids", "alice 20001\nold 20000\nalice 20003\nhalf 2000");
	expect(l, -1, "alice", 0, 20002);
	assert_int_equal(ledger_write(l, NULL), 0);
	ledger_free(l);
	l = ledger_new(dir, 20000, 20005);
	expect(l, -1, "alice", 0, 20002);
	expect(l, -1, "old", 0, 20000);
	expect(l, -1, "half", 0, 20004);
	ledger_free(l);
}

static void ids_that_a_file_fixes_are_given_too(void **state)
{
	struct ledger *l = ledger_new(dir, 20000, 20005);

	(void)state;
	assert_int_equal(ledger_note(l, -1, "fixed", 20000, NULL), 0);
	assert_int_equal(ledger_note(l, -1, "outside", 70000, NULL), 0);
	expect(l, -1, "alice", 0, 20002);
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
	expect(l, home, "alice", 0, 20002);
	expect(l, home, "bob", 0, 20000);
	close(home);
	ledger_free(l);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(free_ids_are_given_once),
		T(an_own_id_that_is_taken_now_is_not_insisted_on),
		T(ids_that_a_file_fixes_are_given_too),
		T(home_directories_of_an_old_volume_keep_their_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
