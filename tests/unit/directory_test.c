/* Directories and the jail's skeleton on a real file system. */
#include "tests/unit/tree_fixture.h"

#include <sys/xattr.h>

static struct tree tree;
static void *type_state;
static const struct webspace alice = { .name = "w0", .fingerprint = 7 };
static struct finding last;

static int pass_of(const struct webspace *w)
{
	return tree_pass(&tree, &directory_type, type_state, w, &last);
}

static const char *home(const char *rest)
{
	return tree_path(&tree, arena_printf(&tree.arena, "home/www/w0/%s", rest));
}

static int set_up(void **state)
{
	struct err e = { 0 };

	(void)state;
	if (!tree_open(&tree, 3))
		return 0;
	if (directory_type.open(&tree.w, &type_state, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(pass_of(&alice) > 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	directory_type.close(type_state);
	type_state = NULL;
	tree_close(&tree);
	return 0;
}

#define NEEDS_ROOT()     \
	(void)state;     \
	if (!type_state) \
	skip()

static void rights_of(const char *path, char *ret, size_t room)
{
	struct acl_rights r;
	bool is_odd;
	autofd int fd = open(home(path), O_PATH | O_NOFOLLOW);

	assert_true(fd >= 0);
	assert_int_equal(acl_read(fd, &r, &is_odd, NULL), 0);
	assert_false(is_odd);
	snprintf(ret, room, "%s", acl_text(&r).text);
}

static void the_skeleton_has_the_rights_it_has_to_have(void **state)
{
	static const struct {
		const char *path, *rights;
	} cases[] = {
		{ ".", "0:20001 0750 u:33:--x" },
		{ "logs", "0:20001 0750 u:33:--x" },
		{ "logs/access.log", "33:20001 0640" },
		{ "logs/php-access.log", "0:20001 0640" },
		{ "logs/php-slow.log", "0:20001 0640" },
		{ "logs/error.log", "33:20001 0640" },
		{ "chroot", "0:20001 0010 u:33:--x" },
		{ "chroot/data", "0:20001 0070 u:33:r-x default 0750 u:33:r-x" },
		{ "chroot/log", "0:20001 0030" },
		{ "chroot/.passwd", "0:0 0644" },
		{ "chroot/.group", "0:0 0644" },
		{ "chroot/tmp", "0:20001 1030 default 0750 u:33:r-x" },
		{ "chroot/tmp/misc", "0:20001 0030 default 0750 u:33:r-x" },
		{ "chroot/tmp/upload", "0:20001 0030 default 0750 u:33:r-x" },
		{ "chroot/tmp/wsdl", "0:20001 0030" },
		{ "chroot/tmp/session", "0:20001 0070" },
	};
	char rights[200];

	NEEDS_ROOT();
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		rights_of(cases[i].path, rights, sizeof rights);
		assert_string_equal(rights, cases[i].rights);
	}
}

static void a_second_pass_changes_nothing(void **state)
{
	NEEDS_ROOT();
	assert_int_equal(pass_of(&alice), 0);
}

static void what_drifts_is_named_and_put_back(void **state)
{
	struct item_list items = { 0 };
	static const struct {
		const char *path;
		int damage; /* 'm'ode, 'o'wner, 'a'cl, 'd'elete, 'l'ink elsewhere, mas'k' */
		const char *what;
	} cases[] = {
		{ ".", 'm', "mode" },
		{ "chroot/tmp/wsdl", 'm', "mode" },
		{ "chroot/log", 'o', "owner" },
		{ "logs/access.log", 'o', "owner" },
		{ "chroot/data", 'a', "acl" },
		{ "chroot/data", 'k', "acl" },
		{ "chroot/tmp/session", 'a', "acl" },
		{ "logs/error.log", 'd', NULL },
		{ "chroot/tmp/misc", 'd', NULL },
		{ "chroot/etc", 'd', NULL },
		{ "chroot/etc", 'l', "target" },
	};

	NEEDS_ROOT();
	directory_type.desire(&tree.w, type_state, &alice, &items);
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		const char *path = home(cases[i].path);
		struct acl_rights r = { .gid = 20001, .mode = 0070, .n_named = 1 };
		struct finding f = { 0 };

		r.named[0] = (struct acl_named){ .id = 4711, .perm = 7 };
		if (cases[i].damage == 'm') {
			assert_int_equal(chmod(path, 0755), 0);
		} else if (cases[i].damage == 'o') {
			assert_int_equal(chown(path, 20002, 20002), 0);
		} else if (cases[i].damage == 'k') {
			assert_int_equal(chmod(path, 0000), 0);
		} else if (cases[i].damage == 'a') {
			autofd int fd = open(path, O_PATH);

			assert_int_equal(acl_write(fd, &r, NULL), 0);
		} else {
			assert_int_equal(remove(path), 0);
			if (cases[i].damage == 'l')
				assert_int_equal(symlink("/etc", path), 0);
		}
		directory_type.prepare(&tree.w, type_state, NULL, 0, NULL);
		for (size_t k = 0; k < items.count; k++)
			if (strcmp(items.items[k].name, cases[i].path) == 0)
				directory_type.observe(&tree.w, type_state, &alice, &items.items[k],
						       &f);
		assert_int_equal(f.state, cases[i].what ? OBSERVED_DIFFERS : OBSERVED_MISSING);
		if (cases[i].what)
			assert_string_equal(f.what, cases[i].what);
		assert_int_equal(pass_of(&alice), 1);
		assert_int_equal(pass_of(&alice), 0);
	}
}

static void a_wrong_type_is_reported_and_left_alone(void **state)
{
	static const char *const paths[] = { "chroot/log", "logs/error.log", "chroot/dev" };

	NEEDS_ROOT();
	for (size_t i = 0; i < ELEMENTS(paths); i++) {
		const char *path = home(paths[i]);
		bool was_dir = i == 0;
		struct stat st;

		assert_int_equal(remove(path), 0);
		if (was_dir)
			assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
		else
			assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(pass_of(&alice), -1);
		assert_int_equal(last.state, OBSERVED_FOREIGN);
		assert_string_equal(last.reason, "WrongType");
		assert_int_equal(lstat(path, &st), 0);
		assert_int_equal(S_ISREG(st.st_mode), was_dir);
		assert_int_equal(remove(path), 0);
		assert_true(pass_of(&alice) > 0);
	}
}

static void a_link_in_place_of_a_directory_is_never_followed(void **state)
{
	struct stat st;

	NEEDS_ROOT();
	assert_int_equal(mkdir(tree_path(&tree, "victim"), 0711), 0);
	assert_int_equal(rmdir(home("chroot/log")), 0);
	assert_int_equal(symlink(tree_path(&tree, "victim"), home("chroot/log")), 0);
	assert_int_equal(pass_of(&alice), -1);
	assert_string_equal(last.reason, "WrongType");
	assert_int_equal(stat(tree_path(&tree, "victim"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(st.st_gid, 0);
}

static void a_log_with_a_second_name_is_not_touched(void **state)
{
	NEEDS_ROOT();
	assert_int_equal(link(home("logs/access.log"), home("logs/other")), 0);
	assert_int_equal(pass_of(&alice), -1);
	assert_string_equal(last.reason, "Linked");
}

static void a_home_that_useradd_made_is_taken_over(void **state)
{
	static const struct webspace bob = { .name = "w1" };
	const char *path;
	struct stat st;

	NEEDS_ROOT();
	path = tree_path(&tree, "home/www/w1");
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chown(path, TREE_UID(1), TREE_UID(1)), 0);
	assert_true(pass_of(&bob) > 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(pass_of(&bob), 0);
}

static void an_account_that_is_not_there_is_waited_for(void **state)
{
	static const struct webspace nobody = { .name = "nobody-yet" };

	NEEDS_ROOT();
	assert_int_equal(pass_of(&nobody), -1);
	assert_int_equal(last.state, OBSERVED_NOT_READY);
}

static void what_a_bind_needed_goes_with_it(void **state)
{
	const struct bind binds[] = {
		{ .source = "/etc/t/resolv.conf", .target = "etc/ldap/ldap.conf" },
		{ .source = "/etc/t/zone", .target = "media" },
	};
	struct webspace with = { .name = "w0", .fingerprint = 8, .binds = binds, .n_binds = 2 };
	char target[100] = "";
	struct stat st;

	NEEDS_ROOT();
	assert_true(pass_of(&with) > 0);
	assert_int_equal(pass_of(&with), 0);
	assert_int_equal(stat(home("chroot/etc/ldap/ldap.conf"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(stat(home("chroot/media"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));

	assert_true(pass_of(&alice) > 0);
	assert_int_equal(pass_of(&alice), 0);
	assert_true(readlink(home("chroot/etc"), target, sizeof target - 1) > 0);
	assert_string_equal(target, ".base/etc");
	assert_int_equal(lstat(home("chroot/media"), &st), -1);

	assert_true(pass_of(&with) > 0);
	assert_int_equal(mknod(home("chroot/etc/ldap/kept"), S_IFREG | 0600, 0), 0);
	assert_int_equal(pass_of(&alice), -1); /* etc has to be a link, and is somebody's */
	assert_int_equal(stat(home("chroot/etc/ldap/kept"), &st), 0);
}

static void what_users_do_in_their_own_is_not_looked_at(void **state)
{
	NEEDS_ROOT();
	assert_int_equal(mkdir(home("chroot/data/x"), 0777), 0);
	assert_int_equal(symlink("/", home("chroot/tmp/misc/y")), 0);
	assert_int_equal(pass_of(&alice), 0);
}

/* In the namespace that this process was in before, as the host would. */
static void mount_outside(const char *path)
{
	autofd int ours = open("/proc/self/ns/mnt", O_RDONLY);

	assert_int_equal(setns(tree.outside, CLONE_NEWNS), 0);
	assert_int_equal(mount("later", path, "tmpfs", 0, NULL), 0);
	assert_int_equal(setns(ours, CLONE_NEWNS), 0);
}

static void a_file_system_that_the_host_mounts_later_is_named(void **state)
{
	static const char *const places[] = { "home/www/w0/chroot/data", "home/www/w0",
					      "home/www" };

	NEEDS_ROOT();
	for (size_t i = 0; i < ELEMENTS(places); i++) {
		mount_outside(tree_path(&tree, places[i]));
		assert_int_equal(mkdir(home("own"), 0700), i == 0 ? 0 : -1);
		assert_int_equal(pass_of(&alice), -1);
		assert_int_equal(last.state, OBSERVED_FOREIGN);
		assert_string_equal(last.reason, "HostMount");
		assert_non_null(strstr(last.text, places[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		ROW(the_skeleton_has_the_rights_it_has_to_have),
		ROW(a_second_pass_changes_nothing),
		ROW(what_drifts_is_named_and_put_back),
		ROW(a_wrong_type_is_reported_and_left_alone),
		ROW(a_link_in_place_of_a_directory_is_never_followed),
		ROW(a_log_with_a_second_name_is_not_touched),
		ROW(a_home_that_useradd_made_is_taken_over),
		ROW(an_account_that_is_not_there_is_waited_for),
		ROW(what_a_bind_needed_goes_with_it),
		ROW(what_users_do_in_their_own_is_not_looked_at),
		ROW(a_file_system_that_the_host_mounts_later_is_named),
#undef ROW
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
