/* The pass over a machine that is two small tables: what types find, and what services serve. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/pass/pass.h"
#include "tests/unit/cmocka_all.h"

/* "type/webspace/item" → what is there: a letter, 'y' is right. */
static struct table machine;
static struct buf told;     /* what was reported, a line each */
static struct buf did;      /* what was applied, removed, served … */
static struct table served; /* name → anything */
static bool publishing;     /* withdrawn ones go only with a publish */
static unsigned n_publish, n_look, n_observe;
static char fails[64]; /* "type/webspace/item" whose apply fails */
static bool undo;      /* what is applied does not stay */
static struct reconcile *r;
static struct loop *loop;
static bool idle;
static struct host host;

static char *key(const char *type, const char *name, const char *item)
{
	return memory_printf("%s/%s/%s", type, name, item);
}

static void machine_set(const char *k, char what)
{
	static char letters[128];

	letters[(int)what] = what;
	if (what)
		(void)table_set(&machine, k, &letters[(int)what]);
	else
		(void)table_take(&machine, k);
}

static void desire_two(struct world *w, void *state, const struct webspace *webspace,
		       struct item_list *ret)
{
	(void)state;
	(void)webspace;
	item_add(w, ret, "one", NULL);
	item_add(w, ret, "two", NULL);
}

static void observe(const char *type, const struct webspace *webspace, const struct item *item,
		    struct finding *ret)
{
	autofree char *k = key(type, webspace->name, item->name);
	const char *there = table_get(&machine, k);

	n_observe++;
	switch (there ? *there : ' ') {
	case 'y':
		ret->state = OBSERVED_IN_SYNC;
		break;
	case 'p':
		ret->state = OBSERVED_PLACEHOLDER;
		ret->reason = "Pending";
		(void)snprintf(ret->text, sizeof ret->text, "waits for the CA");
		break;
	case 'f':
		ret->state = OBSERVED_FOREIGN;
		(void)snprintf(ret->text, sizeof ret->text, "is a file");
		break;
	case 'n':
		ret->state = OBSERVED_NOT_READY;
		ret->reason = "NoAccount";
		break;
	case ' ':
		ret->state = OBSERVED_MISSING;
		break;
	default:
		ret->state = OBSERVED_DIFFERS;
		ret->what = "mode";
		(void)snprintf(ret->old_value, sizeof ret->old_value, "0777");
	}
	(void)snprintf(ret->new_value, sizeof ret->new_value, "0750");
}

static int apply(const char *type, const struct webspace *webspace, const struct item *item,
		 struct err *e)
{
	autofree char *k = key(type, webspace->name, item->name);

	if (strcmp(k, fails) == 0)
		return err_set(e, EACCES, "mkdir: Permission denied");
	buf_printf(&did, "%s ", k);
	if (!undo)
		machine_set(k, 'y');
	return 0;
}

static int flush(struct world *w, void *state, struct err *e)
{
	(void)w;
	(void)state;
	(void)e;
	buf_adds(&did, "flush ");
	return 0;
}

static int remove_of(const char *type, const char *name)
{
	buf_printf(&did, "-%s/%s ", type, name);
	return 0;
}

static int list_b(struct world *w, void *state, struct table *ret, struct err *e)
{
	(void)w;
	(void)state;
	(void)e;
	(void)table_set(ret, "ghost", ret);
	(void)table_set(ret, "alice", ret);
	return 0;
}

#define FAKE_TYPE(letter)                                                                       \
	static void observe_##letter(struct world *w, void *s, const struct webspace *webspace, \
				     const struct item *item, struct finding *ret)              \
	{                                                                                       \
		(void)w, (void)s;                                                               \
		observe(#letter, webspace, item, ret);                                          \
	}                                                                                       \
	static int apply_##letter(struct world *w, void *s, const struct webspace *webspace,    \
				  const struct item *item, const struct finding *found,         \
				  struct err *e)                                                \
	{                                                                                       \
		(void)w, (void)s, (void)found;                                                  \
		return apply(#letter, webspace, item, e);                                       \
	}                                                                                       \
	static int remove_##letter(struct world *w, void *s, const char *name, struct err *e)   \
	{                                                                                       \
		(void)w, (void)s, (void)e;                                                      \
		return remove_of(#letter, name);                                                \
	}

FAKE_TYPE(a)
FAKE_TYPE(b)

static const struct resource_type type_a = { .name = "a",
					     .condition = CONDITION_ACCOUNT,
					     .desire = desire_two,
					     .observe = observe_a,
					     .apply = apply_a,
					     .flush = flush,
					     .remove = remove_a };
static const struct resource_type type_b = { .name = "b",
					     .condition = CONDITION_DIRECTORIES,
					     .desire = desire_two,
					     .observe = observe_b,
					     .apply = apply_b,
					     .remove = remove_b,
					     .list = list_b };
static const struct resource_type *const types[] = { &type_a, &type_b };

static struct service_config service_config;

static int service_open(const struct service_config *config, void **ret, struct err *e)
{
	(void)ret;
	(void)e;
	service_config = *config;
	return 0;
}

static void service_close(void *service)
{
	(void)service;
}

static void service_serve(void *service, const struct webspace *webspace)
{
	(void)service;
	if (!table_set(&served, webspace->name, &served))
		buf_printf(&did, "serve/%s ", webspace->name);
	service_config.condition(webspace->name, CONDITION_SITES, CONDITION_TRUE, "Ready", NULL,
				 service_config.data);
}

static void service_withdraw(void *service, const char *name)
{
	(void)service;
	buf_printf(&did, "withdraw/%s ", name);
	(void)table_set(&served, name, &n_publish);
}

static bool service_withdrawn(void *service, const char *name)
{
	(void)service;
	return !table_get(&served, name);
}

static void service_publish(void *service)
{
	struct table_entry *it;

	(void)service;
	n_publish++;
	table_each (&served, it)
		if (it->value == &n_publish)
			(void)table_take(&served, it->key);
}

static void service_look(void *service)
{
	(void)service;
	n_look++;
}

static bool service_idle(void *service)
{
	(void)service;
	return !publishing;
}

static uint64_t service_generation(void *service)
{
	(void)service;
	return n_publish;
}

static const struct service_type service = {
	.name = "web",
	.open = service_open,
	.close = service_close,
	.serve = service_serve,
	.withdraw = service_withdraw,
	.withdrawn = service_withdrawn,
	.publish = service_publish,
	.look = service_look,
	.idle = service_idle,
	.generation = service_generation,
};
static const struct service_type *const services[] = { &service };

static void on_report(const struct report *report, void *data)
{
	static const char *const names[] = {
		[REPORT_CHANGED] = "changed",
		[REPORT_PLANNED] = "planned",
		[REPORT_FAILED] = "failed",
		[REPORT_FIGHT] = "fight",
		[REPORT_QUARANTINED] = "quarantined",
		[REPORT_HOST_FAULT] = "fault",
		[REPORT_PUBLISHED] = "published",
		[REPORT_ROLLED_BACK] = "rolled back",
		[REPORT_DIED] = "died",
		[REPORT_STATUS] = "status",
		[REPORT_CERTIFIED] = "certified",
		[REPORT_EXPIRING] = "expiring",
		[REPORT_REMOVED] = "removed",
		[REPORT_IDLE] = "idle",
	};

	(void)data;
	if (report->kind == REPORT_STATUS)
		return;
	buf_adds(&told, names[report->kind]);
	if (report->kind == REPORT_IDLE) {
		buf_addc(&told, '\n');
		idle = true;
		return;
	}
	buf_printf(&told, " %s", report->subject ? report->subject->name : "-");
	if (report->resource)
		buf_printf(&told, " %s", report->resource);
	if (report->item)
		buf_printf(&told, "/%s", report->item);
	if (report->kind == REPORT_CHANGED)
		buf_adds(&told, report->change == CHANGE_INTENT ? " intent" : " drift");
	if (report->kind == REPORT_CHANGED || report->kind == REPORT_PLANNED)
		buf_printf(&told, " %s>%s", report->old_value ? report->old_value : "",
			   report->new_value ? report->new_value : "");
	if (report->text)
		buf_printf(&told, ": %s", report->text);
	buf_addc(&told, '\n');
}

static void start(bool dry, bool one_shot)
{
	r = memory_new(sizeof *r);
	r->config = (struct reconcile_config){
		.host = &host, .loop = loop, .dry = dry, .one_shot = one_shot, .report = on_report
	};
	r->parts = (struct parts){ types, ELEMENTS(types), services, ELEMENTS(services) };
	r->world = (struct world){ .host = &host, .dry = dry, .home_root = -1 };
	assert_int_equal(parts_open(r, NULL), 0);
}

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(loop_open(&loop, NULL), 0);
	buf_reset(&told);
	buf_reset(&did);
	n_publish = n_look = n_observe = 0;
	fails[0] = '\0';
	undo = publishing = false;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	parts_close(r);
	free(r);
	table_clear(&machine);
	table_clear(&served);
	machine = served = (struct table){ 0 };
	buf_clear(&told);
	buf_clear(&did);
	loop_close(loop);
	return 0;
}

static void run(void)
{
	buf_reset(&told);
	buf_reset(&did);
	idle = false;
	while (!idle)
		assert_int_equal(loop_step(loop, 5 * USEC_PER_SEC), 1);
}

static const struct webspace alice = { .name = "alice", .fingerprint = 1 };
static const struct webspace bob = { .name = "bob", .fingerprint = 2 };

static void set_both(void)
{
	reconcile_set(r, "alice", &alice, NULL, NULL);
	reconcile_set(r, "bob", &bob, NULL, NULL);
	reconcile_loaded(r);
}

static const struct condition *condition_of(const char *name, enum condition_type type)
{
	return &reconcile_subject(r, name)->conditions[type];
}

/* All in sync, seen so once. */
static void settle(void)
{
	set_both();
	run();
}

static void a_new_webspace_is_made_in_order_then_served(void **state)
{
	(void)state;
	start(false, true);
	settle();
	assert_string_equal(did.data, "a/alice/one a/alice/two a/bob/one a/bob/two flush "
				      "b/alice/one b/alice/two b/bob/one b/bob/two "
				      "serve/alice serve/bob ");
	assert_non_null(strstr(told.data, "changed alice a/one intent >0750\n"));
	assert_non_null(strstr(told.data, "changed bob b/two intent >0750\nidle\n"));
	assert_int_equal(n_publish, 1);
	assert_int_equal(condition_of("bob", CONDITION_DIRECTORIES)->status, CONDITION_TRUE);
	assert_int_equal(condition_of("bob", CONDITION_SITES)->status, CONDITION_TRUE);
	assert_false(subject_ready(reconcile_subject(r, "bob")));
}

static void a_second_pass_does_and_tells_nothing(void **state)
{
	(void)state;
	start(false, false);
	settle();
	reconcile_look(r, NULL);
	run();
	assert_string_equal(buf_text(&did), "");
	assert_string_equal(buf_text(&told), "idle\n");
	assert_int_equal(n_look, 2);
}

static void a_pass_that_does_not_get_through_is_seen(void **state)
{
	struct err e;
	uint64_t now;

	(void)state;
	host.reconcile.full_pass_s = 60;
	start(false, false);
	settle();
	assert_int_equal(reconcile_health(r, clock_usec(), &e), 0);

	/* Somebody waits, and the loop has no time. */
	reconcile_look(r, "alice");
	assert_int_equal(reconcile_health(r, clock_usec(), &e), 0);
	assert_int_equal(reconcile_health(r, clock_usec() + 31 * USEC_PER_SEC, &e), -ETIMEDOUT);
	assert_non_null(strstr(e.text, "wait to be checked, for 3"));
	run();
	assert_int_equal(reconcile_health(r, clock_usec() + 31 * USEC_PER_SEC, &e), 0);

	/* Nobody does, and nobody has looked. */
	now = clock_usec();
	assert_int_equal(reconcile_health(r, now + 140 * USEC_PER_SEC, &e), 0);
	assert_int_equal(reconcile_health(r, now + 152 * USEC_PER_SEC, &e), -ETIMEDOUT);
	assert_non_null(strstr(e.text, "the last look at everything was 15"));
	host.reconcile.full_pass_s = 0;
}

static void drift_is_put_back_and_told_as_drift(void **state)
{
	(void)state;
	start(false, false);
	settle();
	machine_set("b/alice/two", 'd');
	reconcile_look(r, "alice");
	run();
	assert_string_equal(told.data, "changed alice b/two drift 0777>0750\nidle\n");
	assert_string_equal(did.data, "b/alice/two ");
}

static void an_error_ends_one_way_and_not_anothers(void **state)
{
	(void)state;
	start(false, true);
	(void)snprintf(fails, sizeof fails, "a/alice/one");
	settle();
	assert_string_equal(did.data,
			    "a/alice/two a/bob/one a/bob/two flush b/bob/one b/bob/two serve/bob ");
	assert_non_null(strstr(told.data, "failed alice a: one: mkdir: Permission denied\n"));
	assert_string_equal(condition_of("alice", CONDITION_ACCOUNT)->reason, "Failed");
	assert_string_equal(condition_of("alice", CONDITION_ACCOUNT)->message,
			    "one: mkdir: Permission denied");
	assert_int_equal(condition_of("alice", CONDITION_DIRECTORIES)->status, CONDITION_UNKNOWN);
	assert_int_equal(reconcile_subject(r, "alice")->n_failures, 1);

	/* Left alone for a while, then tried again by itself; the same failure is not told twice. */
	reconcile_look(r, "alice");
	run();
	assert_string_equal(buf_text(&told), "idle\n");
	run();
	assert_string_equal(buf_text(&told), "idle\n");
	assert_int_equal(reconcile_subject(r, "alice")->n_failures, 2);
	fails[0] = '\0';
	run();
	assert_string_equal(buf_text(&told), "changed alice a/one intent >0750\n"
					     "changed alice b/one intent >0750\n"
					     "changed alice b/two intent >0750\nidle\n");
	assert_int_equal(reconcile_subject(r, "alice")->n_failures, 0);
}

static void a_new_desired_state_ends_the_back_off(void **state)
{
	struct webspace newer = { .name = "alice", .fingerprint = 9 };

	(void)state;
	start(false, true);
	(void)snprintf(fails, sizeof fails, "a/alice/one");
	settle();
	fails[0] = '\0';
	reconcile_set(r, "alice", &newer, NULL, NULL);
	run();
	assert_non_null(strstr(told.data, "changed alice a/one intent >0750\n"));
}

static void a_change_of_the_host_ends_the_back_off(void **state)
{
	uint64_t begin = clock_usec();

	(void)state;
	start(false, true);
	(void)snprintf(fails, sizeof fails, "a/alice/one");
	settle();
	fails[0] = '\0';
	reconcile_look_host(r, "/etc/resolv.conf");
	run();
	assert_non_null(strstr(told.data, "changed alice a/one intent >0750\n"));
	assert_true(clock_usec() - begin < 700 * USEC_PER_MSEC); /* by itself: after 0.8 s */
}

static void what_fails_later_stays_served(void **state)
{
	(void)state;
	start(false, true);
	settle();
	machine_set("a/alice/one", 'f');
	reconcile_look(r, "alice");
	run();
	assert_string_equal(told.data, "failed alice a: one: is a file\nidle\n");
	assert_non_null(table_get(&served, "alice"));
	assert_int_equal(condition_of("alice", CONDITION_SITES)->status, CONDITION_TRUE);
	assert_string_equal(condition_of("alice", CONDITION_ACCOUNT)->reason, "Foreign");
}

static void what_is_not_ready_waits_without_a_failure(void **state)
{
	(void)state;
	start(false, true);
	machine_set("a/alice/one", 'n');
	settle();
	assert_null(strstr(told.data, "alice a/one"));
	assert_null(strstr(told.data, "failed"));
	assert_null(strstr(did.data, "serve/alice"));
	assert_string_equal(condition_of("alice", CONDITION_ACCOUNT)->reason, "NoAccount");
	machine_set("a/alice/one", 'y');
	reconcile_look(r, NULL);
	run();
	assert_non_null(strstr(did.data, "serve/alice"));
}

static void a_placeholder_is_served_and_said(void **state)
{
	(void)state;
	start(false, true);
	machine_set("b/alice/one", 'p');
	settle();
	assert_non_null(strstr(did.data, "serve/alice"));
	assert_string_equal(condition_of("alice", CONDITION_DIRECTORIES)->reason, "Pending");
	assert_string_equal(condition_of("alice", CONDITION_DIRECTORIES)->message,
			    "waits for the CA");
}

static void what_does_not_stay_as_it_was_put_is_a_failure(void **state)
{
	(void)state;
	start(false, true);
	undo = true;
	settle();
	assert_non_null(strstr(told.data, "failed alice a: one: is missing again"));
	assert_null(strstr(told.data, "changed"));
	assert_null(strstr(did.data, "serve"));
}

static void a_fight_is_told_once_and_left_alone(void **state)
{
	(void)state;
	start(false, true);
	settle();
	for (int i = 1; i <= 8; i++) {
		machine_set("b/alice/two", 'd');
		reconcile_look(r, "alice");
		run();
		if (i < 5)
			assert_string_equal(told.data,
					    "changed alice b/two drift 0777>0750\nidle\n");
		else if (i == 5)
			assert_string_equal(told.data, "changed alice b/two drift 0777>0750\n"
						       "fight alice b/two\nidle\n");
		else
			assert_string_equal(told.data, "idle\n");
	}
	assert_string_equal(condition_of("alice", CONDITION_DIRECTORIES)->reason, "Fight");
	/* Another item of the same webspace does not suffer. */
	machine_set("a/alice/two", 'd');
	reconcile_look(r, "alice");
	run();
	assert_string_equal(told.data, "changed alice a/two drift 0777>0750\nidle\n");
}

static void who_goes_is_let_go_by_the_daemons_first(void **state)
{
	(void)state;
	start(false, true);
	settle();
	reconcile_take(r, "alice");
	assert_null(reconcile_subject(r, "alice")->webspace);
	run();
	assert_string_equal(did.data, "withdraw/alice -b/alice -a/alice ");
	assert_string_equal(told.data, "removed alice\nidle\n");
	assert_null(reconcile_subject(r, "alice"));
	reconcile_take(r, "nobody");
}

static void who_comes_back_in_time_stays(void **state)
{
	(void)state;
	start(false, true);
	settle();
	reconcile_take(r, "alice");
	reconcile_set(r, "alice", &alice, NULL, NULL);
	run();
	assert_string_equal(buf_text(&did), "");
	assert_string_equal(told.data, "idle\n");
}

static void leftovers_go_once_all_files_were_seen(void **state)
{
	(void)state;
	start(false, false);
	reconcile_set(r, "alice", &alice, NULL, NULL);
	reconcile_set(r, "broken", NULL,
		      &(struct file_problem){ "Invalid", "broken.conf:1: what is this" }, NULL);
	reconcile_loaded(r);
	run();
	assert_null(strstr(did.data, "-b/ghost"));
	reconcile_may_prune(r);
	run();
	assert_non_null(strstr(told.data, "changed - b/ghost drift left over>taken away\n"));
	assert_non_null(strstr(did.data, "-b/ghost"));
	assert_null(strstr(did.data, "-b/alice"));
	assert_null(strstr(told.data, "broken"));
	assert_string_equal(condition_of("broken", CONDITION_LOADED)->reason, "Invalid");
}

static void a_plan_tells_all_and_does_nothing(void **state)
{
	(void)state;
	start(true, false);
	machine_set("b/alice/one", 'n'); /* waits for what the plan would make */
	machine_set("b/alice/two", 'd');
	reconcile_set(r, "alice", &alice, NULL, NULL);
	reconcile_set(r, "gone", &bob, NULL, NULL);
	reconcile_take(r, "gone");
	reconcile_loaded(r);
	reconcile_may_prune(r);
	run();
	assert_string_equal(told.data, "planned gone webspace in service>\nremoved gone\n"
				       "planned alice a/one >0750\nplanned alice a/two >0750\n"
				       "planned alice b/one >0750\nplanned alice b/two 0777>0750\n"
				       "planned - b/ghost left over>taken away\nidle\n");
	assert_string_equal(did.data, "serve/alice ");
}

static void names_that_another_has_show_in_sites(void **state)
{
	(void)state;
	start(false, true);
	reconcile_set(r, "alice", &alice, NULL, "bob has www.example.org");
	reconcile_loaded(r);
	run();
	assert_string_equal(condition_of("alice", CONDITION_SITES)->reason, "NameTaken");
	reconcile_set(r, "alice", &alice, NULL, NULL);
	run();
	assert_string_equal(condition_of("alice", CONDITION_SITES)->reason, "Ready");
}

static void a_daemon_that_keeps_failing_is_told_once(void **state)
{
	struct report fault = { .kind = REPORT_HOST_FAULT,
				.resource = "web",
				.text = "port taken" };
	const struct report well = { .kind = REPORT_PUBLISHED, .resource = "web" };

	(void)state;
	start(false, true);
	settle();
	buf_reset(&told);
	service_config.report(&fault, service_config.data);
	service_config.report(&fault, service_config.data);
	assert_string_equal(told.data, "fault - web: port taken\n");
	service_config.report(&well, service_config.data);
	service_config.report(&fault, service_config.data);
	assert_string_equal(told.data, "fault - web: port taken\npublished - web: port taken\n"
				       "fault - web: port taken\n");
}

static void ten_thousand_cost_little_beyond_their_looks(void **state)
{
	static struct webspace many[10000];
	static char names[10000][16];
	uint64_t begin;

	(void)state;
	start(false, true);
	for (size_t i = 0; i < ELEMENTS(many); i++) {
		(void)snprintf(names[i], sizeof names[i], "user%05zu", i);
		many[i] = (struct webspace){ .name = names[i], .fingerprint = i };
		reconcile_set(r, names[i], &many[i], NULL, NULL);
	}
	reconcile_loaded(r);
	run();
	reconcile_look(r, NULL);
	n_observe = 0;
	begin = clock_usec();
	run();
	print_message("full pass over 10,000: %u us, %u looks\n", (unsigned)(clock_usec() - begin),
		      n_observe);
	assert_string_equal(buf_text(&told), "idle\n");
	assert_int_equal(n_observe, 40000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_new_webspace_is_made_in_order_then_served),
		T(a_second_pass_does_and_tells_nothing),
		T(a_pass_that_does_not_get_through_is_seen),
		T(drift_is_put_back_and_told_as_drift),
		T(an_error_ends_one_way_and_not_anothers),
		T(a_new_desired_state_ends_the_back_off),
		T(a_change_of_the_host_ends_the_back_off),
		T(what_fails_later_stays_served),
		T(what_is_not_ready_waits_without_a_failure),
		T(a_placeholder_is_served_and_said),
		T(what_does_not_stay_as_it_was_put_is_a_failure),
		T(a_fight_is_told_once_and_left_alone),
		T(who_goes_is_let_go_by_the_daemons_first),
		T(who_comes_back_in_time_stays),
		T(leftovers_go_once_all_files_were_seen),
		T(a_plan_tells_all_and_does_nothing),
		T(names_that_another_has_show_in_sites),
		T(a_daemon_that_keeps_failing_is_told_once),
		T(ten_thousand_cost_little_beyond_their_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
