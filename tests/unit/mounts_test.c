/* Mounts: those whose mounts somebody else changed are marked, and only those. Needs root. */
#include "watchers/mounts.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "watchers/inotify.h"

static struct homes homes;
static struct mounts mounts;
static char told[4096];

static void tell(const char *name, void *data)
{
	size_t len = strlen(told);

	(void)data;
	snprintf(told + len, sizeof told - len, "%s ", name ? name : "*");
}

static bool woken(void)
{
	struct pollfd p = { .fd = mounts.fd, .events = POLLPRI };

	return poll(&p, 1, 0) == 1;
}

static const char *marked(void)
{
	told[0] = '\0';
	assert_int_equal(mounts_read(&mounts, &homes, NULL), 0);
	homes_tell(&homes, 0, tell, NULL);
	return told;
}

/* A home tree with a blank in its name, on a tmpfs of our own. */
static int set_up(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("t", "/mnt", "tmpfs", 0, "size=1m") < 0 || chdir("/mnt") < 0 ||
	    mkdir("home www", 0755) < 0 || mkdir("home www/alice", 0755) < 0 ||
	    mkdir("home www/alice/in", 0755) < 0 || mkdir("home www/bob", 0755) < 0 ||
	    mkdir("home www/bob/in", 0755) < 0 || mkdir("else", 0755) < 0)
		return -1;
	if (inotify_open(NULL) < 0)
		return -1;
	homes_open(&homes, "/mnt/home www");
	if (mounts_open(&mounts, "/mnt/home www", NULL) < 0)
		return -1;
	marked();
	homes_watch(&homes, "alice", NULL);
	homes_watch(&homes, "bob", NULL);
	mounts_seen(&mounts);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	homes_close(&homes);
	mounts_close(&mounts);
	inotify_close();
	return chdir("/") < 0 || umount2("/mnt", MNT_DETACH) < 0 ? -1 : 0;
}

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void bind(const char *at)
{
	assert_int_equal(mount("else", at, NULL, MS_BIND, NULL), 0);
}

static void unknown_homes_are_marked_once(void **state)
{
	(void)state;
	need_root();
	assert_true(strstr(marked(), "alice ") != NULL);
	assert_string_equal(marked(), "");
}

static void a_foreign_mount_marks_the_home_it_is_in(void **state)
{
	(void)state;
	need_root();
	marked();
	bind("home www/alice/in");
	assert_true(woken());
	assert_string_equal(marked(), "alice ");
	assert_int_equal(umount("home www/alice/in"), 0);
	assert_true(woken());
	assert_string_equal(marked(), "alice ");
	assert_false(woken());
}

static void a_remount_with_other_options_is_seen(void **state)
{
	(void)state;
	need_root();
	bind("home www/bob/in");
	marked();
	assert_int_equal(mount(NULL, "home www/bob/in", NULL,
			       MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL),
			 0);
	assert_string_equal(marked(), "bob ");
}

static void a_mount_elsewhere_marks_nobody(void **state)
{
	(void)state;
	need_root();
	marked();
	assert_int_equal(mkdir("home www/alicex", 0755), 0);
	bind("home www/alicex");
	assert_int_equal(mount("t", "else", "tmpfs", 0, NULL), 0);
	assert_true(woken());
	assert_string_equal(marked(), "");
}

static void a_mount_over_the_home_root_is_anybody(void **state)
{
	(void)state;
	need_root();
	marked();
	bind("home www");
	assert_string_equal(marked(), "* ");
}

static void our_own_mounts_do_not_wake_us(void **state)
{
	(void)state;
	need_root();
	marked();
	bind("home www/alice/in");
	mounts_seen(&mounts);
	assert_false(woken());
}

#define with_place(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_place(unknown_homes_are_marked_once),
		with_place(a_foreign_mount_marks_the_home_it_is_in),
		with_place(a_remount_with_other_options_is_seen),
		with_place(a_mount_elsewhere_marks_nobody),
		with_place(a_mount_over_the_home_root_is_anybody),
		with_place(our_own_mounts_do_not_wake_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
