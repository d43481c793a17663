/* A plan on a host where nothing is yet: all is told, nothing is touched. */
#include "reconcile/reconcile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/own.h"
#include "agent/base/put.h"
#include "agent/model/load.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/machine.h"

static struct buf told;
static bool idle;

static struct host *host;
static struct webspace *alice;

static void load(void)
{
	static const char text[] = "home_root = \"" ROOT "/w/home\"; state_dir = \"" ROOT
				   "/w/state\"; run_dir = \"" ROOT "/w/run\"; log_root = \"" ROOT
				   "/w/log\"; manager = \"direct\"; base_domain = \"test\"; "
				   "acme = { issuer = \"internal\"; };\n";
	struct problems problems = { 0 };
	int dir = open(ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(put_file(dir, "host.conf", 0644, text, strlen(text), PUT_BATCH, NULL), 1);
	close(dir);
	if (load_host(ROOT "/host.conf", false, &host, &problems) < 0 ||
	    load_webspace(host, "alice", "alice.conf", "", 0, &alice, &problems) < 0)
		fail_msg("%s", problems.items[0].text);
	problems_clear(&problems);
}

static void on_report(const struct report *report, void *data)
{
	(void)data;
	if (report->kind == REPORT_IDLE)
		idle = true;
	if (report->kind == REPORT_PLANNED)
		buf_printf(&told, "+ %s %s %s\n", report->subject ? report->subject->name : "-",
			   report->resource, report->item ? report->item : "");
	if (report->kind == REPORT_FAILED || report->kind == REPORT_HOST_FAULT)
		buf_printf(&told, "! %s %s\n", report->subject ? report->subject->name : "-",
			   report->text);
}

static void a_plan_for_a_fresh_host_touches_nothing(void **state)
{
	struct reconcile *r;
	struct loop *loop;
	struct err e;

	(void)state;
	load();
	assert_int_equal(loop_open(&loop, &e), 0);
	if (reconcile_open(
		    &(struct reconcile_config){
			    .host = host, .loop = loop, .dry = true, .report = on_report },
		    &r, &e) < 0)
		fail_msg("%s", e.text);
	reconcile_set(r, "alice", alice, NULL, NULL);
	reconcile_loaded(r);
	while (!idle)
		assert_int_equal(loop_step(loop, 5 * USEC_PER_SEC), 1);
	print_message("%s", buf_text(&told));
	assert_null(strchr(told.data, '!'));
	assert_non_null(strstr(told.data, "+ alice account alice\n"));
	assert_non_null(strstr(told.data, "+ alice directory chroot/data\n"));
	assert_non_null(strstr(told.data, "+ alice mount .base\n"));
	assert_non_null(strstr(told.data, "+ alice certificate alice.test\n"));
	assert_int_equal(access(ROOT "/w", F_OK), -1);
	reconcile_close(r);
	loop_close(loop);
	webspace_free(alice);
	host_free(host);
	buf_clear(&told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_for_a_fresh_host_touches_nothing),
	};

	if (!machine_make())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
