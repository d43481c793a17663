/* What we made is on record, and only that. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/ownership.h"
#include "tests/unit/cmocka_all.h"

static char state_dir[64];
static struct arena arena;
static struct world w;

static void open_record(bool writable)
{
	ownership_close(w.ownership);
	w.ownership = NULL;
	assert_int_equal(ownership_open(state_dir, writable, &w.ownership, NULL), 0);
}

static int set_up(void **state)
{
	(void)state;
	strncpy(state_dir, "/tmp/ownership.XXXXXX", sizeof state_dir - 1);
	assert_non_null(mkdtemp(state_dir));
	w = (struct world){ .arena = &arena };
	open_record(true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ownership_close(w.ownership);
	arena_clear(&arena);
	(void)path_remove_tree(AT_FDCWD, state_dir, NULL);
	return 0;
}

static void what_is_noted_is_ours_until_forgotten(void **state)
{
	(void)state;
	assert_false(ownership_has(&w, "alice", "dir", "chroot"));
	assert_int_equal(ownership_note(&w, "alice", "dir", "chroot", NULL), 1);
	assert_int_equal(ownership_note(&w, "alice", "dir", "chroot", NULL), 0);
	assert_int_equal(ownership_note(&w, "alice", "account", "20001", NULL), 1);
	assert_int_equal(ownership_note(&w, "bob", "dir", "a b", NULL), 1);
	open_record(true);
	assert_true(ownership_has(&w, "alice", "dir", "chroot"));
	assert_true(ownership_has(&w, "alice", "account", NULL));
	assert_true(ownership_has(&w, "bob", "dir", "a b"));
	assert_false(ownership_has(&w, "bob", "dir", "a"));
	assert_false(ownership_has(&w, "alice", "dir", "chroot/etc"));
	assert_false(ownership_has(&w, "alice", "mountpoint", "chroot"));
	assert_int_equal(ownership_forget(&w, "alice", "dir", "chroot", NULL), 1);
	assert_int_equal(ownership_forget(&w, "alice", "dir", "chroot", NULL), 0);
	assert_true(ownership_has(&w, "alice", "account", "20001"));
	assert_int_equal(ownership_forget(&w, "alice", "account", NULL, NULL), 1);
	assert_false(ownership_has(&w, "alice", "account", NULL));
	assert_int_equal(ownership_note(&w, "alice", "dir", "two\nlines", NULL), -EINVAL);
}

static void items_and_names_are_listed(void **state)
{
	struct table names = { 0 };
	struct text_list items;

	(void)state;
	assert_int_equal(ownership_note(&w, "alice", "mountpoint", "chroot/etc/ldap", NULL), 1);
	assert_int_equal(ownership_note(&w, "alice", "dir", "chroot", NULL), 1);
	assert_int_equal(ownership_note(&w, "alice", "mountpoint", "chroot/.base", NULL), 1);
	assert_int_equal(ownership_note(&w, "bob", "dir", "chroot", NULL), 1);
	assert_int_equal(ownership_items(&w, "alice", "mountpoint", &arena, &items, NULL), 0);
	assert_int_equal(items.count, 2);
	assert_string_equal(items.items[0], "chroot/etc/ldap");
	assert_string_equal(items.items[1], "chroot/.base");
	assert_int_equal(ownership_names(&w, "mountpoint", &names, NULL), 0);
	assert_int_equal(names.count, 1);
	assert_non_null(table_get(&names, "alice"));
	table_clear(&names);
}

static void half_a_line_does_not_count(void **state)
{
	autofree char *path = memory_printf("%s/made/alice", state_dir);
	int fd;

	(void)state;
	assert_int_equal(ownership_note(&w, "alice", "dir", "chroot", NULL), 1);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "dir chroot/da", 13), 13);
	close(fd);
	open_record(true);
	assert_false(ownership_has(&w, "alice", "dir", "chroot/da"));
	assert_int_equal(ownership_note(&w, "alice", "dir", "chroot/data", NULL), 1);
	open_record(true);
	assert_true(ownership_has(&w, "alice", "dir", "chroot/data"));
	assert_true(ownership_has(&w, "alice", "dir", "chroot"));
	assert_false(ownership_has(&w, "alice", "dir", "chroot/da"));
}

static void a_plan_notes_nothing(void **state)
{
	(void)state;
	open_record(false);
	assert_int_equal(ownership_note(&w, "alice", "dir", "chroot", NULL), 0);
	open_record(true);
	assert_false(ownership_has(&w, "alice", "dir", "chroot"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_noted_is_ours_until_forgotten, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(items_and_names_are_listed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(half_a_line_does_not_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_plan_notes_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
