/* When what is known of a webspace comes onto disk: settled, failed, or asked for. */
#include "agent/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "tests/unit/cmocka_all.h"

static char run_dir[] = "/tmp/status-test.XXXXXX";
static struct host host = { .run_dir = run_dir };
static struct webspace webspace = { .name = "alice", .fingerprint = 1 };
static struct subject subject;
static struct status *status;
static struct err e;

static void set_all(enum condition_status truth, const char *reason)
{
	for (enum condition_type t = 0; t < CONDITIONS; t++)
		subject.conditions[t] =
			(struct condition){ .status = truth, .reason = reason, .since = 1000 };
}

static int set_up(void **state)
{
	(void)state;
	memcpy(strrchr(run_dir, '.'), ".XXXXXX", 7);
	if (!mkdtemp(run_dir))
		return -1;
	subject = (struct subject){ .name = (char *)"alice", .webspace = &webspace };
	set_all(CONDITION_TRUE, "Ready");
	return status_open(&host, &status, &e);
}

static int tear_down(void **state)
{
	autofd int tmp = path_open_dir("/tmp", &e);

	(void)state;
	status_close(status);
	return path_remove_tree(tmp, strrchr(run_dir, '/') + 1, &e) == 1 ? 0 : -1;
}

/* The reason of the first condition on disk; "": there is no file. */
static const char *on_disk(void)
{
	static char reason[64];
	autojson struct json *j = NULL;
	const struct json *first;

	assert_int_equal(status_read(&host, "alice", &j, &e), 0);
	first = json_at(json_get(json_at(json_get(j, "webspaces"), 0), "conditions"), 0);
	snprintf(reason, sizeof(reason), "%s", first ? json_text(first, "reason") : "");
	return reason;
}

static void what_is_settled_is_written_at_once(void **state)
{
	(void)state;
	assert_int_equal(status_write(status, &subject, NULL, &e), 0);
	assert_string_equal(on_disk(), "Ready");
}

static void what_is_pending_waits_for_its_end(void **state)
{
	(void)state;
	subject.conditions[CONDITION_PHP] =
		(struct condition){ .status = CONDITION_UNKNOWN, .reason = "Pending" };
	assert_int_equal(status_write(status, &subject, NULL, &e), 1);
	assert_string_equal(on_disk(), "");
	set_all(CONDITION_TRUE, "Ready");
	assert_true(status_write(status, &subject, NULL, &e) >= 0);
	assert_string_equal(on_disk(), "Ready");
}

static void what_stays_pending_is_written_when_asked_for(void **state)
{
	(void)state;
	subject.conditions[CONDITION_PHP] =
		(struct condition){ .status = CONDITION_UNKNOWN, .reason = "Pending" };
	assert_int_equal(status_write(status, &subject, NULL, &e), 1);
	assert_int_equal(status_flush(status, &e), 0);
	assert_string_equal(on_disk(), "Ready");
}

static void a_failure_is_written_though_the_rest_is_pending(void **state)
{
	(void)state;
	set_all(CONDITION_UNKNOWN, "Pending");
	subject.conditions[CONDITION_LOADED] =
		(struct condition){ .status = CONDITION_FALSE, .reason = "Invalid" };
	assert_true(status_write(status, &subject, NULL, &e) >= 0);
	assert_string_equal(on_disk(), "Invalid");
}

static void what_is_forgotten_is_not_written_later(void **state)
{
	(void)state;
	set_all(CONDITION_UNKNOWN, "Pending");
	assert_int_equal(status_write(status, &subject, NULL, &e), 1);
	assert_int_equal(status_forget(status, "alice", &e), 0);
	assert_int_equal(status_flush(status, &e), 0);
	assert_string_equal(on_disk(), "");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_settled_is_written_at_once),
		TEST(what_is_pending_waits_for_its_end),
		TEST(what_stays_pending_is_written_when_asked_for),
		TEST(a_failure_is_written_though_the_rest_is_pending),
		TEST(what_is_forgotten_is_not_written_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
