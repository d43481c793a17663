/* Accounts of webspaces: who may be one, and how new ones are made. */
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <shadow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/put.h"
#include "reconcile/ownership.h"
#include "reconcile/resource.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/machine.h"

static struct host host;
static struct arena arena;
static struct world w;
static void *state;

static void append(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(put_all(fd, text, strlen(text), NULL), 0);
	close(fd);
}

static void close_type(void)
{
	account_type.close(state);
	state = NULL;
}

static void open_type(void)
{
	if (state)
		close_type();
	assert_int_equal(account_type.open(&w, &state, NULL), 0);
}

static int set_up(void **unused)
{
	(void)unused;
	assert_int_equal(mount("tmpfs", ROOT, "tmpfs", 0, "mode=0755"), 0);
	RUN("/bin/cp", "-a", "/etc", ROOT "/etc");
	assert_int_equal(mount(ROOT "/etc", "/etc", NULL, MS_BIND, NULL), 0);
	host = (struct host){ .home_root = ROOT "/home",
			      .state_dir = ROOT "/state",
			      .web_user = "www-data",
			      .accounts = { .create = true, .uid_min = 20000, .uid_max = 59999 },
			      .web_uid = 33,
			      .web_gid = 33 };
	machine_mkdirs(host.state_dir);
	w = (struct world){ .host = &host, .home_root = -1, .arena = &arena };
	assert_int_equal(accounts_open(&w.accounts, NULL), 0);
	accounts_web_user(w.accounts, "www-data");
	assert_int_equal(ownership_open(host.state_dir, true, &w.ownership, NULL), 0);
	open_type();
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	close_type();
	if (w.home_root >= 0)
		close(w.home_root);
	ownership_close(w.ownership);
	accounts_close(w.accounts);
	arena_clear(&arena);
	assert_int_equal(umount2("/etc", MNT_DETACH), 0);
	assert_int_equal(umount2(ROOT, MNT_DETACH), 0);
	return 0;
}

static struct item_list desire(const struct webspace *webspace)
{
	struct item_list items = { 0 };

	account_type.desire(&w, state, webspace, &items);
	assert_int_equal(items.count, 1);
	return items;
}

static struct finding look(const struct webspace *webspace)
{
	struct item_list items = desire(webspace);
	struct finding f = { 0 };

	account_type.observe(&w, state, webspace, &items.items[0], &f);
	return f;
}

static struct webspace named(const char *name)
{
	return (struct webspace){ .name = name, .account = { ID_UNSET, ID_UNSET } };
}

/* Applies a slice of missing ones; the result of the flush. */
static int make(const struct webspace *const *slice, size_t n, struct err *e)
{
	assert_int_equal(account_type.prepare(&w, state, slice, n, e), 0);
	for (size_t i = 0; i < n; i++) {
		struct item_list items = desire(slice[i]);
		struct finding f = look(slice[i]);
		int r;

		assert_int_equal(f.state, OBSERVED_MISSING);
		r = account_type.apply(&w, state, slice[i], &items.items[0], &f, e);
		if (r < 0)
			return r;
	}
	return account_type.flush(&w, state, e);
}

/* Refused before anything is made, and nothing is. */
static void expect_refused(const struct webspace *webspace, const char *reason, const char *says)
{
	struct finding f;

	assert_int_equal(account_type.prepare(&w, state, &webspace, 1, NULL), 0);
	f = look(webspace);
	if (f.state != OBSERVED_FOREIGN || strcmp(f.reason, reason) != 0 || !strstr(f.text, says))
		fail_msg("%s: %d %s: %s", webspace->name, f.state, f.reason, f.text);
	assert_null(getpwnam(webspace->name));
}

static uid_t uid_of(const char *name)
{
	struct account a;

	assert_int_equal(accounts_get(w.accounts, name, &a, NULL), 0);
	assert_int_equal(a.uid, a.gid);
	return a.uid;
}

static void not_everybody_may_be_a_webspace(void **unused)
{
	static const struct {
		const char *name, *says; /* NULL: may be */
	} cases[] = {
		{ "root", "is root" },
		{ "toor", "is root" },
		{ "www-data", "web server" },
		{ "daemon", "below 1000" },
		{ "nobody", "65534" },
		{ "webspaces", "of this program" },
		{ "oldgroup", "system group" },
		{ "webgroup", "primary group" },
		{ "fine", NULL },
		{ "sharing1", "shares its primary group" },
		{ "open", "shares its primary group" },
	};

	(void)unused;
	append("/etc/passwd", "toor:x:0:0::/:/bin/sh\nwebspaces:x:30001:30001::/:/bin/sh\n"
			      "oldgroup:x:30002:100::/:/bin/sh\nwebgroup:x:30003:33::/:/bin/sh\n"
			      "fine:x:30004:30004::/:/bin/sh\nsharing1:x:30005:30005::/:/bin/sh\n"
			      "sharing2:x:30006:30005::/:/bin/sh\nopen:x:30007:30007::/:/bin/sh\n");
	append("/etc/group", "fine:x:30004:www-data,fine\nopen:x:30007:fine\n");
	assert_int_equal(accounts_refresh(w.accounts, NULL), 0);
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct webspace webspace = named(cases[i].name);
		struct finding f = look(&webspace);

		if (!cases[i].says) {
			assert_int_equal(f.state, OBSERVED_IN_SYNC);
			continue;
		}
		if (f.state != OBSERVED_FOREIGN || !strstr(f.text, cases[i].says))
			fail_msg("%s: %d %s", cases[i].name, f.state, f.text);
	}
}

static void a_slice_is_made_in_one_run(void **unused)
{
	enum { N = 500 };
	static char names[N][16];
	static struct webspace webspaces[N];
	const struct webspace *slice[N];
	struct err e = { 0 };
	uint64_t begin;

	(void)unused;
	for (size_t i = 0; i < N; i++) {
		(void)snprintf(names[i], sizeof names[i], "many%03zu", i);
		webspaces[i] = named(names[i]);
		slice[i] = &webspaces[i];
	}
	webspaces[7].account.uid = webspaces[7].account.gid = 41234;
	begin = clock_usec();
	if (make(slice, N, &e) < 0)
		fail_msg("%s", e.text);
	print_message("500 accounts: %u us\n", (unsigned)(clock_usec() - begin));
	for (size_t i = 0; i < N; i++)
		assert_int_equal(look(slice[i]).state, OBSERVED_IN_SYNC);
	assert_int_equal(uid_of("many007"), 41234);
	assert_int_equal(uid_of("many000"), 20000);
	assert_string_equal(getpwnam("many123")->pw_dir, ROOT "/home/many123");
	assert_string_equal(getpwnam("many123")->pw_shell, "/usr/sbin/nologin");
	assert_int_equal(*getspnam("many123")->sp_pwdp, '!');
	assert_true(ownership_has(&w, "many000", "account", "20000"));
}

static void a_name_that_returns_gets_its_id_again(void **unused)
{
	struct webspace alice = named("alice"), bob = named("bob");
	const struct webspace *first[] = { &alice }, *second[] = { &bob, &alice };
	struct err e = { 0 };

	(void)unused;
	assert_int_equal(make(first, 1, &e), 0);
	assert_int_equal(uid_of("alice"), 20000);
	RUN("/usr/sbin/userdel", "alice");
	open_type(); /* as after a restart */
	assert_int_equal(accounts_refresh(w.accounts, NULL), 0);
	assert_int_equal(make(second, 2, &e), 0);
	assert_int_equal(uid_of("alice"), 20000);
	assert_int_equal(uid_of("bob"), 20001);
}

static void without_systemd_shadow_makes_them(void **unused)
{
	struct webspace alice = named("alice"), bob = named("bob");
	const struct webspace *slice[] = { &alice, &bob };
	struct err e = { 0 };

	(void)unused;
	assert_int_equal(mount("/dev/null", "/usr/bin/systemd-sysusers", NULL, MS_BIND, NULL), 0);
	if (make(slice, 2, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(umount2("/usr/bin/systemd-sysusers", MNT_DETACH), 0);
	assert_int_equal(look(&alice).state, OBSERVED_IN_SYNC);
	assert_int_equal(uid_of("bob"), 20001);
}

static void ids_in_a_file_are_kept_to(void **unused)
{
	struct webspace fine = named("fine"), taken = named("newcomer"), low = named("lowid");
	struct webspace alone = named("alone");
	const struct webspace *only[] = { &alone };
	struct err e = { 0 };

	(void)unused;
	append("/etc/passwd", "fine:x:30004:30004::/:/bin/sh\n");
	assert_int_equal(accounts_refresh(w.accounts, NULL), 0);
	fine.account.uid = 30004;
	assert_int_equal(look(&fine).state, OBSERVED_IN_SYNC);
	fine.account.uid = 20001;
	assert_string_equal(
		look(&fine).text,
		"the user fine has uid 30004, but account.uid is 20001: make them the same");
	taken.account.uid = 30004;
	expect_refused(&taken, "IdTaken", "the user fine");
	low.account.uid = 999;
	expect_refused(&low, "WrongId", "belongs to the system");
	/* The group alone, which a file may fix too. */
	alone.account.gid = 30004;
	expect_refused(&alone, "IdTaken", "account.gid is 30004");
	alone.account.gid = 30500;
	if (make(only, 1, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(look(&alone).state, OBSERVED_IN_SYNC);
	append("/etc/subgid", "somebody:50000:10\n");
	taken.account.uid = 40000;
	taken.account.gid = 50009;
	expect_refused(&taken, "IdTaken", "/etc/subgid");
}

static void what_may_not_be_made_waits_and_says_why(void **unused)
{
	struct webspace alice = named("alice"), odd = named("a.b");

	(void)unused;
	expect_refused(&odd, "NotAllowed", "adduser");
	host.accounts.create = false;
	assert_int_equal(look(&alice).state, OBSERVED_NOT_READY);
	assert_string_equal(look(&alice).reason, "NoAccount");
	append("/etc/passwd", "alice:x:30004:30004::/:/bin/sh\n");
	assert_int_equal(accounts_refresh(w.accounts, NULL), 0);
	assert_int_equal(look(&alice).state, OBSERVED_IN_SYNC);
}

static void a_range_that_containers_use_is_refused(void **unused)
{
	struct webspace alice = named("alice");

	(void)unused;
	append("/etc/subuid", "somebody:59999:65536\n");
	open_type();
	assert_int_equal(look(&alice).state, OBSERVED_NOT_READY);
	assert_string_equal(look(&alice).reason, "RangeRefused");
	assert_non_null(strstr(look(&alice).text, "/etc/subuid"));
}

/* A tree with files of hers, below a home root that the type can see. */
static void make_tree(const char *name, gid_t group)
{
	char path[100];

	(void)snprintf(path, sizeof path, ROOT "/home/%s", name);
	machine_mkdirs(path);
	assert_int_equal(chown(path, 0, group), 0);
	if (w.home_root < 0)
		w.home_root = open(ROOT "/home", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(w.home_root >= 0);
}

static void f2_no_account_gets_into_a_group_of_others(void **unused)
{
	struct webspace docker = named("docker"), empty = named("empty"), alice = named("alice");
	const struct webspace *slice[] = { &docker, &alice };
	struct err e = { 0 };

	(void)unused;
	append("/etc/group", "docker:x:950:root\nempty:x:20007:\n");
	assert_int_equal(accounts_refresh(w.accounts, NULL), 0);
	expect_refused(&docker, "GroupExists", "gid 950");
	expect_refused(&empty, "GroupExists", "groupdel empty");
	/* The file fixes the very id: it is still a group that was not made for it. */
	empty.account.uid = 20400;
	empty.account.gid = 20007;
	expect_refused(&empty, "GroupExists", "groupdel empty");
	RUN("/usr/sbin/groupdel", "docker");
	if (make(slice, 2, &e) < 0)
		fail_msg("%s", e.text);
	(void)uid_of("docker");
}

/* In place of a program: first a group or a user of the name, then the program itself. */
static void come_before(const char *program, const char *line)
{
	char script[300];
	int fd = open(ROOT "/before", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	RUN("/bin/cp", "-a", program, ROOT "/program");
	(void)snprintf(script, sizeof script, "#!/bin/sh\n%s\nexec " ROOT "/program \"$@\"\n",
		       line);
	assert_int_equal(put_all(fd, script, strlen(script), NULL), 0);
	close(fd);
	assert_int_equal(mount(ROOT "/before", program, NULL, MS_BIND, NULL), 0);
}

static void f2_a_group_that_comes_at_the_same_moment_is_left_alone(void **unused)
{
	struct webspace docker = named("docker"), alice = named("alice");
	const struct webspace *slice[] = { &docker, &alice };
	struct err e = { 0 };
	const struct group *group;

	(void)unused;
	come_before("/usr/bin/systemd-sysusers", "echo docker:x:950: >> /etc/group");
	assert_true(make(slice, 2, &e) < 0);
	assert_int_equal(umount2("/usr/bin/systemd-sysusers", MNT_DETACH), 0);
	assert_non_null(strstr(e.text, "at the same time"));
	assert_null(getpwnam("docker"));
	group = getgrnam("docker");
	assert_true(group && group->gr_gid == 950 && !*group->gr_mem);
	assert_int_equal(look(&alice).state, OBSERVED_IN_SYNC);
	expect_refused(&docker, "GroupExists", "gid 950");
}

static void f2_an_id_that_is_taken_at_the_same_moment_leaves_nothing(void **unused)
{
	struct webspace alice = named("alice");
	const struct webspace *slice[] = { &alice };
	struct err e = { 0 };

	(void)unused;
	come_before("/usr/bin/systemd-sysusers",
		    "echo eve:x:20000:30000::/:/bin/sh >> /etc/passwd");
	assert_true(make(slice, 1, &e) < 0);
	assert_int_equal(umount2("/usr/bin/systemd-sysusers", MNT_DETACH), 0);
	assert_null(getpwnam("alice"));
	assert_null(getgrnam("alice"));
	assert_int_equal(make(slice, 1, &e), 0);
	assert_int_equal(uid_of("alice"), 20001);
}

static void f6_a_lost_account_comes_back_with_its_ids_or_not_at_all(void **unused)
{
	struct webspace anna = named("anna");
	const struct webspace *slice[] = { &anna };
	struct err e = { 0 };

	(void)unused;
	assert_int_equal(make(slice, 1, &e), 0);
	make_tree("anna", 20000);
	RUN("/usr/sbin/usermod", "-a", "-G", "anna", "www-data");
	RUN("/usr/sbin/userdel", "anna");
	assert_non_null(getgrnam("anna"));
	open_type(); /* as after a restart */
	assert_int_equal(make(slice, 1, &e), 0);
	assert_int_equal(uid_of("anna"), 20000);

	/* The file wants others now. */
	RUN("/usr/sbin/userdel", "anna");
	anna.account.uid = 20050;
	expect_refused(&anna, "WrongId", "belong to uid 20000");
	anna.account.uid = ID_UNSET;
	/* Somebody else is in her group. */
	RUN("/usr/sbin/usermod", "-a", "-G", "anna", "daemon");
	expect_refused(&anna, "GroupExists", "other members");
	RUN("/usr/sbin/groupdel", "anna");
	/* Somebody has her id. */
	append("/etc/passwd", "other:x:20000:30000::/:/bin/sh\n");
	expect_refused(&anna, "IdTaken", "the user other");
	RUN("/usr/sbin/userdel", "other");
	assert_int_equal(make(slice, 1, &e), 0);
	assert_int_equal(uid_of("anna"), 20000);
}

static void f6_one_that_was_there_before_has_its_ids_for_ever_too(void **unused)
{
	struct webspace fine = named("fine");
	const struct webspace *slice[] = { &fine };
	struct account a;
	struct err e = { 0 };

	(void)unused;
	append("/etc/passwd", "fine:x:1500:1600::/:/bin/sh\n");
	append("/etc/group", "fine:x:1600:\n");
	make_tree("fine", 1600);
	assert_int_equal(account_type.prepare(&w, state, slice, 1, NULL), 0);
	assert_int_equal(look(&fine).state, OBSERVED_IN_SYNC);
	RUN("/usr/sbin/userdel", "fine");
	open_type();
	assert_int_equal(make(slice, 1, &e), 0);
	assert_int_equal(accounts_get(w.accounts, "fine", &a, NULL), 0);
	assert_int_equal(a.uid, 1500);
	assert_int_equal(a.gid, 1600);
	/* Made by hand with another id: her files are not hers then. */
	RUN("/usr/sbin/userdel", "fine");
	append("/etc/passwd", "fine:x:1501:1501::/:/bin/sh\n");
	assert_int_equal(account_type.prepare(&w, state, slice, 1, NULL), 0);
	assert_int_equal(look(&fine).state, OBSERVED_FOREIGN);
	assert_non_null(strstr(look(&fine).text, "belong to 1500:1600"));
	make_tree("fine", 1501);
	assert_int_equal(account_type.prepare(&w, state, slice, 1, NULL), 0);
	assert_int_equal(look(&fine).state, OBSERVED_IN_SYNC);
}

static void f6_many_that_are_lost_at_once_are_held(void **unused)
{
	enum { N = 8 };
	static struct webspace webspaces[N];
	static struct subject subjects[N];
	static char names[N][8];
	const struct webspace *slice[N];
	struct table all = { 0 };
	struct err e = { 0 };

	(void)unused;
	for (size_t i = 0; i < N; i++) {
		(void)snprintf(names[i], sizeof names[i], "lost%zu", i);
		webspaces[i] = named(names[i]);
		slice[i] = &webspaces[i];
		subjects[i] = (struct subject){ .name = names[i], .webspace = slice[i] };
		(void)table_set(&all, names[i], &subjects[i]);
	}
	w.subjects = &all;
	assert_int_equal(make(slice, N, &e), 0);
	for (size_t i = 0; i < N; i++)
		make_tree(names[i], (gid_t)(20000 + i));
	RUN("/bin/cp", "-a", "/etc/passwd", ROOT "/passwd.all");
	RUN("/bin/sed", "-i", "/^lost[0-6]:/d", "/etc/passwd");
	open_type();
	assert_int_equal(account_type.prepare(&w, state, slice, N, NULL), 0);
	assert_int_equal(account_type.held(state), 7);
	assert_string_equal(look(slice[0]).reason, "Held");
	assert_int_equal(look(slice[7]).state, OBSERVED_IN_SYNC);
	/* Three come back: the others wait all the same, also after a restart. */
	RUN("/bin/sh", "-c", "grep '^lost[0-2]:' " ROOT "/passwd.all >> /etc/passwd");
	open_type();
	assert_int_equal(account_type.prepare(&w, state, slice, N, NULL), 0);
	assert_int_equal(account_type.held(state), 4);
	assert_string_equal(look(slice[3]).reason, "Held");
	/* A webspace that goes waits for nothing. */
	assert_int_equal(account_type.remove(&w, state, "lost6", NULL), 0);
	assert_int_equal(account_type.held(state), 3);
	(void)table_take(&all, "lost6");
	assert_int_equal(account_type.confirm(&w, state, NULL), 3);
	open_type();
	assert_int_equal(make(slice + 3, 3, &e), 0);
	assert_int_equal(uid_of("lost3"), 20003);
	assert_int_equal(account_type.prepare(&w, state, slice, N, NULL), 0);
	/* Five may be an admin's doing. */
	RUN("/bin/sed", "-i", "/^lost[0-4]:/d", "/etc/passwd");
	assert_int_equal(make(slice, 5, &e), 0);
	assert_int_equal(uid_of("lost0"), 20000);
	w.subjects = NULL;
	table_clear(&all);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(not_everybody_may_be_a_webspace),
		T(a_slice_is_made_in_one_run),
		T(a_name_that_returns_gets_its_id_again),
		T(without_systemd_shadow_makes_them),
		T(ids_in_a_file_are_kept_to),
		T(what_may_not_be_made_waits_and_says_why),
		T(a_range_that_containers_use_is_refused),
		T(f2_no_account_gets_into_a_group_of_others),
		T(f2_a_group_that_comes_at_the_same_moment_is_left_alone),
		T(f2_an_id_that_is_taken_at_the_same_moment_leaves_nothing),
		T(f6_a_lost_account_comes_back_with_its_ids_or_not_at_all),
		T(f6_one_that_was_there_before_has_its_ids_for_ever_too),
		T(f6_many_that_are_lost_at_once_are_held),
	};

	if (!machine_make())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
