/* catalog.c, item.c, good.c, conflict.c: files come, change, break, collide and go. */
#include "agent/model/catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "tests/unit/cmocka_all.h"

static char top[64];
static struct host *host;
static struct catalog *catalog;
static struct buf told; /* names of the callbacks of the last look, " NAME" each */
static time_t now;

static void tell(struct entry *entry, void *data)
{
	(void)data;
	buf_printf(&told, " %s%s", entry->name, entry->going ? "!" : "");
}

static const char *path_of(const char *dir, const char *name)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s/%s", top, dir, name);
	return path;
}

static void file(const char *name, const char *text)
{
	int fd = open(path_of("conf", name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void gone(const char *name)
{
	assert_int_equal(unlink(path_of("conf", name)), 0);
}

static void start(void)
{
	struct err e = { 0 };

	if (catalog_open(host, true, &catalog, &e) < 0)
		fail_msg("%s", e.text);
}

static void restart(void)
{
	catalog_close(catalog);
	start();
}

static const char *look(void)
{
	struct err e = { 0 };

	buf_reset(&told);
	if (catalog_look_all(catalog, now, tell, NULL, &e) < 0)
		return e.text[0] ? "error" : "?";
	return buf_text(&told);
}

static const char *look_one(const char *name)
{
	struct err e = { 0 };

	buf_reset(&told);
	if (catalog_look(catalog, name, now, tell, NULL, &e) < 0)
		fail_msg("%s", e.text);
	return buf_text(&told);
}

static const struct entry *entry(const char *name)
{
	const struct entry *found = catalog_get(catalog, name);

	assert_non_null(found);
	return found;
}

/* "a.org,b.org": all names in force. */
static const char *names(const char *name)
{
	static struct buf text;
	const struct webspace *w = entry(name)->webspace;

	buf_reset(&text);
	for (size_t i = 0; w && i < w->n_sites; i++)
		for (size_t j = 0; j < w->sites[i].names.count; j++)
			buf_printf(&text, "%s%s", text.len ? "," : "", w->sites[i].names.items[j]);
	return buf_text(&text);
}

static void site(const char *name, const char *quoted)
{
	char file_name[80], text[500];

	snprintf(file_name, sizeof(file_name), "%s.conf", name);
	snprintf(text, sizeof(text), "sites = ( { names = [%s]; } );", quoted);
	file(file_name, text);
}

static int setup(void **state)
{
	struct problems p = { 0 };

	(void)state;
	snprintf(top, sizeof(top), "/tmp/catalog_test.XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(mkdir(path_of("conf", ""), 0755), 0);
	assert_int_equal(load_host(NULL, true, &host, &p), 0);
	host->config_dir = strdup(path_of("conf", ""));
	host->state_dir = strdup(path_of("state", ""));
	host->base_domain = "base.org";
	host->name = "web1";
	now = 1000000;
	start();
	return 0;
}

static int teardown(void **state)
{
	struct err e = { 0 };
	autofd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);

	(void)state;
	catalog_close(catalog);
	buf_clear(&told);
	free((char *)host->config_dir);
	free((char *)host->state_dir);
	host_free(host);
	path_remove_tree(tmp, strrchr(top, '/') + 1, &e);
	return 0;
}

static void a_file_that_comes_is_told_once(void **state)
{
	(void)state;
	file("alice.conf", "");
	file("bob.conf", "php = { memory_limit = \"64M\"; };");
	file(".hidden.conf", "");
	file("alice.conf~", "");
	file("README", "");
	assert_string_equal(look(), " alice bob");
	assert_string_equal(look(), "");
	assert_string_equal(names("alice"), "alice.base.org");
	assert_int_equal(entry("bob")->webspace->php.memory_limit, 64 << 20);
	assert_int_equal(catalog_entries(catalog)->count, 2);
}

static void a_change_of_form_alone_is_not_told(void **state)
{
	const struct webspace *before;

	(void)state;
	file("alice.conf", "");
	look();
	before = entry("alice")->webspace;
	file("alice.conf", "# only a comment\n");
	assert_string_equal(look_one("alice"), "");
	assert_ptr_equal(entry("alice")->webspace, before);
	file("alice.conf", "php = { enabled = false; };");
	assert_string_equal(look_one("alice"), " alice");
	assert_false(entry("alice")->webspace->php.enabled);
}

static void a_broken_file_changes_nothing_also_over_a_restart(void **state)
{
	(void)state;
	file("alice.conf", "php = { memory_limit = \"64M\"; };");
	look();
	file("alice.conf", "php = {\n memory_limt = \"1G\"; };");
	assert_string_equal(look(), " alice");
	assert_non_null(
		strstr(entry("alice")->problem, "alice.conf:2: php.memory_limt: unknown key"));
	assert_true(entry("alice")->from_good);
	restart();
	assert_string_equal(look(), " alice");
	assert_int_equal(entry("alice")->webspace->php.memory_limit, 64 << 20);
	assert_true(entry("alice")->from_good);
	assert_non_null(entry("alice")->problem);
	file("alice.conf", "");
	assert_string_equal(look(), " alice");
	assert_null(entry("alice")->problem);
	assert_false(entry("alice")->from_good);
	assert_int_equal(entry("alice")->webspace->php.memory_limit, 32 << 20);
}

static void a_broken_file_that_is_mended_to_what_it_was_is_told(void **state)
{
	(void)state;
	file("alice.conf", "");
	look();
	file("alice.conf", "x");
	look();
	file("alice.conf", "");
	assert_string_equal(look(), " alice");
	assert_null(entry("alice")->problem);
}

static void files_that_are_not_roots_alone_are_problems(void **state)
{
	(void)state;
	file("alice.conf", "");
	chmod(path_of("conf", "alice.conf"), 0666);
	assert_int_equal(symlink("nowhere.conf", path_of("conf", "bob.conf")), 0);
	file("Bad.conf", "");
	look();
	assert_non_null(strstr(entry("alice")->problem, "written by others"));
	assert_non_null(strstr(entry("bob")->problem, "symbolic link"));
	assert_non_null(strstr(entry("Bad")->problem, "lower-case"));
	assert_null(entry("alice")->webspace);
	chmod(path_of("conf", ""), 0777);
	assert_string_equal(look(), "error");
}

static void a_damaged_good_text_is_as_if_it_were_not_there(void **state)
{
	(void)state;
	file("alice.conf", "");
	look();
	assert_int_equal(truncate(path_of("state/good", "alice.conf"), 0), 0);
	gone("alice.conf");
	restart();
	assert_string_equal(look(), "");
	assert_int_equal(catalog_entries(catalog)->count, 0);
}

static void a_removed_file_is_believed_after_its_grace(void **state)
{
	(void)state;
	file("alice.conf", "");
	file("bob.conf", "");
	look();
	gone("alice.conf");
	assert_string_equal(look(), " alice");
	assert_int_equal(entry("alice")->absent_since, now);
	assert_int_equal(catalog_next_look(catalog), now + 30);
	now += 29;
	assert_string_equal(look(), "");
	now += 1;
	assert_string_equal(look(), " alice!");
	catalog_forget(catalog, "alice");
	assert_null(catalog_get(catalog, "alice"));
	assert_int_not_equal(access(path_of("state/good", "alice.conf"), F_OK), 0);
	assert_int_equal(catalog_next_look(catalog), 0);
}

static void a_file_that_comes_back_ends_its_removal(void **state)
{
	(void)state;
	file("alice.conf", "");
	file("bob.conf", "");
	look();
	gone("alice.conf");
	look_one("alice");
	file("alice.conf", "");
	assert_string_equal(look_one("alice"), " alice");
	assert_int_equal(entry("alice")->absent_since, 0);
	gone("alice.conf");
	look();
	now += 30;
	assert_string_equal(look_one("bob"), " alice!");
	file("alice.conf", "");
	assert_string_equal(look_one("alice"), " alice");
	catalog_forget(catalog, "alice");
	assert_string_equal(names("alice"), "alice.base.org");
}

static void the_last_look_is_at_the_file(void **state)
{
	(void)state;
	file("alice.conf", "");
	file("bob.conf", "");
	look();
	gone("alice.conf");
	look();
	now += 40;
	file("alice.conf", "");
	assert_string_equal(look_one("bob"), " alice");
	assert_false(entry("alice")->going);
}

static void an_empty_directory_is_not_believed(void **state)
{
	(void)state;
	file("alice.conf", "");
	look();
	gone("alice.conf");
	look();
	now += 100;
	assert_string_equal(look(), " alice");
	assert_true(entry("alice")->held);
	assert_int_equal(catalog_held(catalog), 1);
	now += 1000000;
	assert_string_equal(look(), "");
	buf_reset(&told);
	assert_int_equal(catalog_confirm(catalog, tell, NULL), 1);
	assert_string_equal(buf_text(&told), " alice!");
	assert_int_equal(catalog_held(catalog), 0);
}

static void many_removals_at_once_are_held_over_a_restart(void **state)
{
	char name[20];

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "u%02d.conf", i);
		file(name, "");
	}
	look();
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "u%02d.conf", i);
		gone(name);
	}
	restart();
	look();
	now += 30;
	look();
	assert_int_equal(catalog_held(catalog), 6);
	restart();
	assert_int_equal(catalog_held(catalog), 6);
	file("u00.conf", "");
	look();
	assert_int_equal(catalog_held(catalog), 5);
	assert_true(entry("u05")->held);
	assert_false(entry("u00")->held);
	file("u01.conf", "");
	assert_string_equal(look(), " u01");
}

static void two_looks_may_be_of_two_processes(void **state)
{
	(void)state;
	file("alice.conf", "");
	file("bob.conf", "");
	look();
	gone("alice.conf");
	restart();
	look();
	assert_false(entry("alice")->going);
	now += 29;
	restart();
	look();
	assert_false(entry("alice")->going);
	now += 1;
	restart();
	look();
	assert_true(entry("alice")->going);
	restart(); /* as if killed before it was done */
	look();
	assert_true(entry("alice")->going);
	catalog_forget(catalog, "alice");
	file("alice.conf", "");
	restart();
	look();
	gone("alice.conf");
	look();
	now += 29;
	assert_string_equal(look(), "");
}

static void a_file_that_came_back_unseen_was_not_absent(void **state)
{
	(void)state;
	file("alice.conf", "");
	file("bob.conf", "");
	look();
	gone("alice.conf");
	restart();
	look();
	now += 40;
	file("alice.conf", "");
	restart();
	look();
	assert_int_equal(entry("alice")->absent_since, 0);
	gone("alice.conf");
	restart();
	look();
	assert_false(entry("alice")->going);
	assert_int_equal(entry("alice")->absent_since, now);
}

static void what_is_approved_goes_at_the_next_start(void **state)
{
	(void)state;
	file("alice.conf", "");
	look();
	gone("alice.conf");
	look();
	now += 30;
	look();
	assert_int_equal(catalog_approve(catalog, NULL), 1);
	restart();
	look();
	assert_true(entry("alice")->going);
}

static void a_host_of_another_name_removes_by_the_same_rules(void **state)
{
	const char *before = host->name;

	(void)state;
	file("alice.conf", "hosts = [\"web1\"];");
	file("bob.conf", "");
	look();
	host->name = "web2";
	restart();
	look();
	assert_non_null(entry("alice")->webspace);
	assert_false(entry("alice")->going);
	now += 30;
	look();
	assert_true(entry("alice")->going);
	host->name = before;
	look_one("alice");
	assert_false(entry("alice")->going);
	assert_string_equal(names("alice"), "alice.base.org");
}

static void without_the_directory_nothing_is_removed(void **state)
{
	(void)state;
	file("alice.conf", "");
	look();
	assert_int_equal(rename(path_of("conf", ""), "/tmp/catalog_test.moved"), 0);
	now += 100;
	assert_string_equal(look(), "error");
	restart();
	assert_string_equal(look(), "error");
	assert_string_equal(buf_text(&told), " alice");
	assert_string_equal(names("alice"), "alice.base.org");
	assert_int_equal(catalog_confirm(catalog, tell, NULL), 0);
	assert_int_equal(rename("/tmp/catalog_test.moved", path_of("conf", "")), 0);
	look();
	assert_int_equal(entry("alice")->absent_since, 0);
}

static void a_webspace_for_other_hosts_is_as_if_absent(void **state)
{
	(void)state;
	file("alice.conf", "hosts = [\"web2\"];");
	file("bob.conf", "hosts = [\"web*\"];");
	file("carol.conf", "");
	assert_string_equal(look(), " bob carol");
	assert_true(entry("alice")->elsewhere);
	assert_null(entry("alice")->webspace);
	assert_false(entry("bob")->elsewhere);
	file("carol.conf", "hosts = [\"web2\"];");
	assert_string_equal(look(), " carol");
	assert_string_equal(names("carol"), "carol.base.org");
	now += 30;
	assert_string_equal(look(), " carol!");
	catalog_forget(catalog, "carol");
	assert_string_equal(look(), "");
	assert_true(entry("carol")->elsewhere);
	file("dave.conf", "nonsense");
	assert_string_equal(look(), " dave");
	file("dave.conf", "hosts = [\"web2\"];");
	assert_string_equal(look(), " dave!");
	catalog_forget(catalog, "dave");
	file("dave.conf", "");
	assert_string_equal(look(), " dave");
	assert_string_equal(names("dave"), "dave.base.org");
}

static void the_first_holder_keeps_a_name(void **state)
{
	(void)state;
	site("bob", "\"x.org\", \"bob.org\"");
	look();
	site("alice", "\"x.org\", \"alice.org\"");
	assert_string_equal(look_one("alice"), " alice");
	assert_string_equal(names("alice"), "alice.org");
	assert_string_equal(entry("alice")->lost, "x.org belongs to bob");
	site("bob", "\"x.org\", \"other.org\"");
	look();
	restart();
	look();
	assert_string_equal(names("alice"), "alice.org");
	assert_string_equal(names("bob"), "x.org,other.org");
	site("bob", "\"other.org\"");
	look();
	assert_string_equal(names("alice"), "x.org,alice.org");
	assert_null(entry("alice")->lost);
}

static void of_two_new_ones_the_first_by_name_wins(void **state)
{
	(void)state;
	site("bob", "\"x.org\"");
	site("alice", "\"x.org\"");
	look();
	assert_string_equal(names("alice"), "x.org");
	assert_string_equal(names("bob"), "");
	assert_int_equal(entry("bob")->webspace->n_sites, 0);
}

static void a_removed_winner_leaves_its_name_to_the_loser(void **state)
{
	uint64_t before;

	(void)state;
	site("alice", "\"x.org\"");
	site("bob", "\"x.org\", \"b.org\"");
	look();
	before = entry("bob")->webspace->fingerprint;
	gone("alice.conf");
	look();
	assert_string_equal(names("bob"), "b.org");
	now += 30;
	assert_string_equal(look(), " alice! bob");
	assert_string_equal(names("bob"), "x.org,b.org");
	assert_true(entry("bob")->webspace->fingerprint != before);
}

static void what_lies_beneath_anothers_wildcard_cannot_be_had(void **state)
{
	(void)state;
	site("alice", "\"*.x.org\"");
	look();
	site("bob", "\"a.x.org\", \"x.org\", \"*.b.x.org\"");
	look();
	assert_string_equal(names("bob"), "x.org");
	assert_non_null(
		strstr(entry("bob")->lost, "a.x.org lies beneath *.x.org, which belongs to alice"));
	site("alice", "\"y.org\"");
	look();
	assert_string_equal(names("bob"), "a.x.org,x.org,*.b.x.org");
	site("alice", "\"*.x.org\"");
	look();
	restart();
	look();
	assert_string_equal(names("bob"), "a.x.org,x.org,*.b.x.org");
	assert_string_equal(names("alice"), "*.x.org");
}

static void name_and_base_domain_belong_to_the_webspace_alone(void **state)
{
	(void)state;
	site("bob", "\"alice.base.org\", \"w.alice.base.org\", \"shop.base.org\", \"*.base.org\"");
	look();
	assert_string_equal(names("bob"),
			    "alice.base.org,w.alice.base.org,shop.base.org,*.base.org");
	file("alice.conf", "");
	assert_string_equal(look(), " bob alice");
	assert_string_equal(names("alice"), "alice.base.org");
	assert_string_equal(names("bob"), "shop.base.org,*.base.org");
	assert_non_null(strstr(entry("bob")->lost, "w.alice.base.org belongs to alice"));
	gone("alice.conf");
	look();
	now += 30;
	look();
	assert_string_equal(names("bob"),
			    "alice.base.org,w.alice.base.org,shop.base.org,*.base.org");
}

static void the_revision_is_that_of_git(void **state)
{
	static const char hash[] = "0123456789abcdef0123456789abcdef01234567";
	char text[100];

	(void)state;
	assert_int_equal(mkdir(path_of("conf", ".git"), 0755), 0);
	file(".git/HEAD", "ref: refs/heads/main\n");
	snprintf(text, sizeof(text), "# pack-refs\n%s refs/heads/main\n", hash);
	file(".git/packed-refs", text);
	look();
	assert_string_equal(catalog_revision(catalog), hash);
	file(".git/HEAD", "fedcba9876543210fedcba9876543210fedcba98\n");
	look();
	assert_string_equal(catalog_revision(catalog), "fedcba9876543210fedcba9876543210fedcba98");
	file(".git/HEAD", "ref: refs/../../etc/passwd\n");
	look();
	assert_null(catalog_revision(catalog));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_that_comes_is_told_once),
		TEST(a_change_of_form_alone_is_not_told),
		TEST(a_broken_file_changes_nothing_also_over_a_restart),
		TEST(a_broken_file_that_is_mended_to_what_it_was_is_told),
		TEST(files_that_are_not_roots_alone_are_problems),
		TEST(a_damaged_good_text_is_as_if_it_were_not_there),
		TEST(a_removed_file_is_believed_after_its_grace),
		TEST(a_file_that_comes_back_ends_its_removal),
		TEST(the_last_look_is_at_the_file),
		TEST(an_empty_directory_is_not_believed),
		TEST(many_removals_at_once_are_held_over_a_restart),
		TEST(two_looks_may_be_of_two_processes),
		TEST(a_file_that_came_back_unseen_was_not_absent),
		TEST(what_is_approved_goes_at_the_next_start),
		TEST(a_host_of_another_name_removes_by_the_same_rules),
		TEST(without_the_directory_nothing_is_removed),
		TEST(a_webspace_for_other_hosts_is_as_if_absent),
		TEST(the_first_holder_keeps_a_name),
		TEST(of_two_new_ones_the_first_by_name_wins),
		TEST(a_removed_winner_leaves_its_name_to_the_loser),
		TEST(what_lies_beneath_anothers_wildcard_cannot_be_had),
		TEST(name_and_base_domain_belong_to_the_webspace_alone),
		TEST(the_revision_is_that_of_git),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
