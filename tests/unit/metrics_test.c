/* The file for Prometheus over a host of ten thousand webspaces that is only a table. */
#include "agent/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/pass/pass.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define N       10000
#define BEGIN   1800000000
#define EARLIER 5000 /* this one's ends first */

static struct reconcile *r;
static struct webspace *webspaces;
static size_t n_certificates;
static struct metrics *metrics;
static struct loop *loop;
static struct host host;
static struct acme_figures acme = { .requests = 7, .connections = 2, .issued = 1, .deaths = 3 };

/* One a webspace, in another order than that of the names, and two at a time. */
static void served(const void *state, const struct webspace *webspace, served_certificate_fn *fn,
		   void *data)
{
	size_t i = (size_t)(webspace - webspaces);

	(void)state;
	if (i < n_certificates)
		fn(
			&(struct served_certificate){
				.webspace = webspace->name,
				.site = webspace->name,
				.not_after = BEGIN + (time_t)((i + N - EARLIER) % N / 2),
				.source = i % 2 ? CERTIFICATE_CA : CERTIFICATE_STAND_IN,
			},
			data);
}

static void measure(const void *service, struct reconcile_figures *ret)
{
	(void)service;
	ret->acme = acme;
}

static uint64_t generation(void *of)
{
	(void)of;
	return 12;
}

static const struct resource_type type = { .name = "certificate", .served = served };
static const struct service_type service = { .name = "acme",
					     .generation = generation,
					     .measure = measure };
static const struct resource_type *const types[] = { &type };
static const struct service_type *const services[] = { &service };

static void add_subjects(void)
{
	for (size_t i = 0; i < N; i++) {
		struct progress *p = memory_new(sizeof *p);

		webspaces[i].name = memory_printf("w%05zu", i);
		p->subject.name = webspaces[i].name;
		p->subject.webspace = &webspaces[i];
		for (enum condition_type c = 0; c < CONDITIONS; c++)
			p->subject.conditions[c] =
				(struct condition){ .status = CONDITION_TRUE, .reason = "Ready" };
		(void)table_set(&r->subjects, webspaces[i].name, p);
	}
}

static int open_all(void **state)
{
	struct err e;

	if (make_root(state) != 0 || loop_open(&loop, &e) < 0)
		return -1;
	r = memory_new(sizeof *r);
	r->parts = (struct parts){ types, 1, services, 1 };
	r->n_open_types = r->n_open_services = 1;
	webspaces = memory_new(N * sizeof *webspaces);
	add_subjects();
	host.metrics.file = memory_printf("%s/webspaces.prom", root);
	return 0;
}

static int close_all(void **state)
{
	struct table_entry *it;

	table_each (&r->subjects, it)
		free(it->value);
	table_clear(&r->subjects);
	for (size_t i = 0; i < N; i++)
		free((char *)webspaces[i].name);
	free(webspaces);
	free(r);
	free((char *)host.metrics.file);
	loop_close(loop);
	return remove_root(state);
}

/* What is written when a pass has ended. The caller's. */
static char *written(void)
{
	char *text = NULL;
	size_t len;
	struct err e;

	metrics = metrics_open(&host, loop, r);
	metrics_report(metrics, &(struct report){ .kind = REPORT_IDLE });
	assert_int_equal(loop_step(loop, USEC_PER_SEC), 1);
	metrics_close(metrics);
	if (path_read(dir, "webspaces.prom", 1 << 22, &text, &len, &e) < 0)
		fail_msg("%s", e.text);
	return text;
}

static void assert_line(const char *text, const char *line)
{
	autofree char *whole = memory_printf("\n%s\n", line);

	if (!strstr(text, whole))
		fail_msg("there is no line '%s'", line);
}

static size_t n_lines(const char *text, const char *begin)
{
	autofree char *line = memory_printf("\n%s", begin);
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, line)); at++)
		n++;
	return n;
}

#define NOT_AFTER "webspaces_certificate_not_after_timestamp_seconds"

static void of_many_certificates_those_are_told_that_end_first(void **state)
{
	(void)state;
	n_certificates = N;
	autofree char *text = written();

	assert_int_equal(n_lines(text, NOT_AFTER "{"), 2000);
	assert_line(text, "# TYPE " NOT_AFTER " gauge\n" NOT_AFTER
			  "{webspace=\"w05000\",site=\"w05000\"} 1800000000\n" NOT_AFTER
			  "{webspace=\"w05001\",site=\"w05001\"} 1800000000\n" NOT_AFTER
			  "{webspace=\"w05002\",site=\"w05002\"} 1800000001");
	assert_line(text, NOT_AFTER "{webspace=\"w06999\",site=\"w06999\"} 1800000999");
	assert_line(text, "webspaces_certificate_earliest_not_after_timestamp_seconds 1800000000");
	assert_line(text, "webspaces_certificates{source=\"ca\"} 5000");
	assert_line(text, "webspaces_certificates{source=\"stand_in\"} 5000");
	assert_line(text, "webspaces_certificates{source=\"files\"} 0");
	assert_line(text, "webspaces_certificates_left_out 8000");
	assert_line(text, "webspaces_webspaces_ready 10000");
}

static void of_few_certificates_each_is_told(void **state)
{
	(void)state;
	n_certificates = 3;
	autofree char *text = written();

	assert_int_equal(n_lines(text, NOT_AFTER "{"), 3);
	assert_line(text, "webspaces_certificates_left_out 0");
}

static void without_certificates_no_end_is_told(void **state)
{
	(void)state;
	n_certificates = 0;
	autofree char *text = written();

	assert_int_equal(n_lines(text, NOT_AFTER "{"), 0);
	assert_int_equal(n_lines(text, "webspaces_certificate_earliest"), 0);
	assert_line(text, "webspaces_certificates{source=\"ca\"} 0");
}

static void the_client_of_cas_is_counted_by_itself(void **state)
{
	(void)state;
	autofree char *text = written();

	assert_line(text, "webspaces_acme_requests_total 7");
	assert_line(text, "webspaces_acme_connections_total 2");
	assert_line(text, "webspaces_acme_certificates_issued_total 1");
	assert_line(text, "webspaces_acme_worker_deaths_total 3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_many_certificates_those_are_told_that_end_first),
		cmocka_unit_test(of_few_certificates_each_is_told),
		cmocka_unit_test(without_certificates_no_end_is_told),
		cmocka_unit_test(the_client_of_cas_is_counted_by_itself),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
