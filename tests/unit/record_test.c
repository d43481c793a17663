/* What the client keeps beside a certificate: written and read back, odd files, names that are held back. */
#include "acme/store/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define NOW ((time_t)1800000000)
#define DAY ((time_t)86400)

static struct record record;
static struct order_record order;

static int clear(void **state)
{
	(void)state;
	record_clear(&record);
	order_clear(&order);
	(void)unlinkat(dir, "state.json", 0);
	(void)unlinkat(dir, "order.json", 0);
	return 0;
}

static void put(const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void what_is_written_is_read_back(void **state)
{
	struct record r = { 0 };

	(void)state;
	record_set_text(&r.ca, "https://ca.test/directory");
	record_set_text(&r.ari, "aaa.bbb");
	record_set_problem(&r, "NamesHeld", "\"quoted\"\nand \xc3\xa4");
	r.content = UINT64_MAX;
	r.success = NOW;
	r.next_try = NOW + 1;
	r.chosen = NOW + 2;
	r.failures = 7;
	r.forced = r.new_key = true;
	record_hold(&r, "a.org", NOW + 3, "dead")->failures = 2;
	record_hold(&r, "b.org", NOW + 4, NULL)->tried = NOW - 5;
	assert_int_equal(record_write(dir, &r, NULL), 0);
	record_clear(&r);

	record_read(dir, &record);
	assert_string_equal(record.ca, "https://ca.test/directory");
	assert_string_equal(record.ari, "aaa.bbb");
	assert_string_equal(record.problem, "\"quoted\"\nand \xc3\xa4");
	assert_null(record.serial);
	assert_true(record.content == UINT64_MAX && record.failures == 7 && record.forced &&
		    record.new_key && !record.replaced);
	assert_true(record.success == NOW && record.next_try == NOW + 1 &&
		    record.chosen == NOW + 2 && record.ask_window == 0);
	assert_int_equal(record.n_held, 2);
	assert_true(record.held[0].until == NOW + 3 && record.held[0].failures == 2);
	assert_true(record.held[1].tried == NOW - 5 && record.held[1].failures == 0);
	assert_null(record.held[1].why);
}

static void an_odd_record_is_an_empty_one_and_breaks_nothing(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"null",
		"[]",
		"{",
		"{\"ca\": \"https://x\"",
		"\x01\x02\xff",
		"{\"ca\": 7, \"issuer\": [], \"serial\": {}, \"ari\": null, \"key\": true}",
		"{\"success\": \"today\", \"next_try\": [1], \"failures\": \"many\", \"chosen\": "
		"null}",
		"{\"replaced\": 1, \"forced\": \"yes\", \"new_key\": null}",
		"{\"content\": 7, \"held\": 7}",
		"{\"content\": \"\", \"held\": {\"name\": \"a.org\"}}",
		"{\"held\": [1, null, [], {}, {\"name\": 7}, {\"why\": \"no name\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		put("state.json", texts[i]);
		record_read(dir, &record);
		if (record.ca || record.issuer || record.ari || record.key || record.success ||
		    record.next_try || record.failures || record.replaced || record.forced ||
		    record.content || record.n_held)
			fail_msg("%s", texts[i]);
		record_clear(&record);
	}
}

static void each_truncation_of_a_record_is_survived(void **state)
{
	char text[4096];
	int fd;
	ssize_t len;

	(void)state;
	record_set_text(&record.ca, "https://ca.test/directory");
	record_hold(&record, "a.org", NOW, "why")->failures = 3;
	assert_int_equal(record_write(dir, &record, NULL), 0);
	fd = openat(dir, "state.json", O_RDONLY | O_CLOEXEC);
	len = read(fd, text, sizeof text - 1);
	close(fd);
	for (ssize_t n = 0; n < len; n++) {
		struct record r;
		char save = text[n];

		text[n] = '\0';
		put("state.json", text);
		text[n] = save;
		record_read(dir, &r);
		record_clear(&r);
	}
}

static void of_a_held_row_what_is_odd_is_left_out(void **state)
{
	(void)state;
	put("state.json",
	    "{\"held\": [{\"name\": \"a.org\", \"until\": \"soon\", \"why\": 7, "
	    "\"failures\": {}, \"tried\": []}, {\"name\": \"a.org\", \"until\": 5}]}");
	record_read(dir, &record);
	assert_int_equal(record.n_held, 1);
	assert_true(record.held[0].until == 5 && record.held[0].failures == 0 &&
		    record.held[0].tried == 0);
}

static void a_file_that_is_no_file_or_too_large_is_none(void **state)
{
	char large[70000];

	(void)state;
	memset(large, ' ', sizeof large - 1);
	large[0] = '{';
	large[sizeof large - 2] = '}';
	large[sizeof large - 1] = '\0';
	put("state.json", large);
	record_read(dir, &record);
	assert_null(record.ca);
	(void)unlinkat(dir, "state.json", 0);
	assert_int_equal(mkdirat(dir, "state.json", 0700), 0);
	record_read(dir, &record);
	assert_null(record.ca);
	assert_int_equal(unlinkat(dir, "state.json", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/etc/passwd", dir, "state.json"), 0);
	record_read(dir, &record);
	assert_null(record.ca);
}

static void names_that_are_held_are_left_out_until_their_time(void **state)
{
	static const char *const names[] = { "a.org", "b.org", "c.org" };
	const char *active[3];

	(void)state;
	record_hold(&record, "b.org", NOW + 10, "dead");
	assert_int_equal(record_active(&record, names, 3, NOW, active), 2);
	assert_string_equal(active[1], "c.org");
	assert_int_equal(record_active(&record, names, 3, NOW + 10, active), 3);
	record_hold(&record, "b.org", NOW + 20, "still dead");
	assert_int_equal(record.n_held, 1);
	assert_string_equal(record_held(&record, "b.org")->why, "still dead");
	record_release(&record, "b.org");
	record_release(&record, "b.org");
	assert_null(record_held(&record, "b.org"));
}

static void times_of_a_clock_that_was_ahead_are_over(void **state)
{
	(void)state;
	record.success = record.next_try = record.failed_since = record.ask_window =
		NOW + 365 * DAY;
	record.chosen = record.window_end = NOW + 365 * DAY; /* these are the CA's */
	record_hold(&record, "a.org", NOW + 365 * DAY, "x")->tried = NOW + 365 * DAY;
	record_hold(&record, "b.org", NOW + 7 * DAY, "y");
	record_mend_times(&record, NOW);
	assert_true(record.success == 0 && record.next_try == 0 && record.failed_since == 0 &&
		    record.ask_window == 0);
	assert_true(record.chosen == NOW + 365 * DAY);
	assert_true(record.held[0].until == NOW && record.held[0].tried == NOW);
	assert_true(record.held[1].until == NOW + 7 * DAY);
}

static void an_order_is_written_and_read_back(void **state)
{
	char *names[] = { (char *)"a.org", (char *)"b.org" };
	struct order_record o = { .ca = (char *)"https://ca.test/directory",
				  .url = (char *)"https://ca.test/o/1",
				  .finalize = (char *)"https://ca.test/f/1",
				  .names = names,
				  .n_names = 2,
				  .generation = 3,
				  .replaces = true };

	(void)state;
	assert_int_equal(order_read(dir, &order), -ENOENT);
	assert_int_equal(order_write(dir, &o, NULL), 0);
	assert_int_equal(order_read(dir, &order), 0);
	assert_string_equal(order.finalize, o.finalize);
	assert_true(order.n_names == 2 && order.generation == 3 && order.replaces);
	order_drop(dir);
	order_clear(&order);
	assert_int_equal(order_read(dir, &order), -ENOENT);
}

#define WHOLE(fields) "{\"ca\": \"c\", \"url\": \"u\", \"finalize\": \"f\"" fields "}"

static void an_odd_order_is_none(void **state)
{
	static const char *const texts[] = {
		"",
		"null",
		"[]",
		"{\"ca\":",
		"{}",
		"{\"ca\": \"c\", \"url\": \"u\", \"generation\": 1, \"names\": [\"a\"]}",
		WHOLE(""),
		WHOLE(", \"generation\": 1"),
		WHOLE(", \"generation\": 1, \"names\": []"),
		WHOLE(", \"generation\": 1, \"names\": [7, null]"),
		WHOLE(", \"generation\": 1, \"names\": {\"a\": \"b\"}"),
		WHOLE(", \"generation\": 0, \"names\": [\"a\"]"),
		WHOLE(", \"generation\": \"1\", \"names\": [\"a\"]"),
		"{\"ca\": 1, \"url\": 2, \"finalize\": 3, \"generation\": 1, \"names\": [\"a\"]}",
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		put("order.json", texts[i]);
		if (order_read(dir, &order) != -ENOENT || order.ca || order.names)
			fail_msg("%s", texts[i]);
	}
	put("order.json", WHOLE(", \"generation\": 1, \"names\": [7, \"a.org\"]"));
	assert_int_equal(order_read(dir, &order), 0);
	assert_int_equal(order.n_names, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, clear, clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_is_read_back),
		TEST(an_odd_record_is_an_empty_one_and_breaks_nothing),
		TEST(each_truncation_of_a_record_is_survived),
		TEST(of_a_held_row_what_is_odd_is_left_out),
		TEST(a_file_that_is_no_file_or_too_large_is_none),
		TEST(names_that_are_held_are_left_out_until_their_time),
		TEST(times_of_a_clock_that_was_ahead_are_over),
		TEST(an_order_is_written_and_read_back),
		TEST(an_odd_order_is_none),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
