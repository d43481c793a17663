/*
 * A unit from generation to generation, with a daemon that is a few variables
 * and a check command that is awk: a line with BAD does not pass, and one with
 * CRASH passes but keeps the daemon from coming up.
 */
#include "reconcile/service.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "tests/unit/cmocka_all.h"

/* The daemon, and what was told about the unit. */
static struct {
	char state[64];
	struct host host;
	struct loop *loop;
	struct unit *unit;
	uint64_t serves; /* the daemon, 0: dead */
	uint64_t wants;
	int activate_fails; /* errno */
	bool commit_fails;
	bool silent;      /* the daemon is not up yet */
	bool mute;        /* the check command says no file and line */
	bool host_broken; /* the check fails whatever it checks */
	int checks, activations, stops, settled, left;
	int counts[REPORT_IDLE + 1];
	char fault[500], planned[2000], drift[300], planned_part[64];
	size_t composed;
} t;

static void fake_compose(const struct unit *u, const char *dir,
			 const struct fragment *const *fragments, const char *const *names,
			 size_t n, struct unit_file files[UNIT_FILES])
{
	(void)u;
	(void)names;
	files[0].name = "conf";
	files[1].name = "dir.conf";
	buf_adds(&files[0].text, "# all\n");
	for (size_t i = 0; i < n; i++) {
		size_t len;
		const char *text = fragment_section(fragments[i], 0, &len);

		buf_add(&files[0].text, text, len);
		buf_addc(&files[0].text, '\n');
	}
	buf_printf(&files[1].text, "%s\n", dir);
	t.composed = n;
}

static int fake_check(const struct unit *u, const char *dir, struct arena *a,
		      const char *const **ret_argv, const char *const **ret_env, struct err *e)
{
	const char **argv = arena_new(a, 4 * sizeof(*argv));

	(void)u;
	(void)ret_env;
	(void)e;
	t.checks++;
	argv[0] = "/usr/bin/awk";
	argv[1] = t.host_broken ? "BEGIN { print \"disk on fire\"; exit 1 }"
		  : t.mute      ? "/BAD/ { exit 1 }"
				: "/BAD/ { print FILENAME \":\" FNR \": bad line\"; exit 1 }";
	argv[2] = arena_printf(a, "%s/conf", dir);
	*ret_argv = argv;
	return 0;
}

static char *conf_of(uint64_t generation)
{
	autofree char *path = memory_printf("%s/nginx/%" PRIu64 "/conf", t.state, generation);
	autofd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *text;
	size_t len;

	assert_true(path_read(root, path + 1, 16 << 20, &text, &len, NULL) >= 0);
	return text;
}

static int fake_activate(struct unit *u, uint64_t generation, struct err *e)
{
	(void)u;
	t.activations++;
	if (t.activate_fails)
		return err_set(e, t.activate_fails, "the daemon does not start");
	t.wants = generation;
	return 0;
}

static int fake_probe(struct unit *u, uint64_t generation, struct err *e)
{
	autofree char *text = conf_of(generation);

	(void)u;
	if (t.silent)
		return 0;
	if (t.activate_fails == 0 && strstr(text, "CRASH"))
		return err_set(e, EINVAL, "crashed");
	t.serves = t.wants;
	return t.serves == generation;
}

static int fake_commit(struct unit *u, uint64_t generation, struct err *e)
{
	(void)u;
	(void)generation;
	return t.commit_fails ? err_set(e, EACCES, "the link cannot be put") : 0;
}

static void fake_revert(struct unit *u, uint64_t generation)
{
	(void)u;
	t.serves = generation;
}

static void fake_stop(struct unit *u)
{
	(void)u;
	t.stops++;
	t.serves = 0;
}

static bool fake_alive(struct unit *u, uint64_t generation)
{
	(void)u;
	return t.serves == generation;
}

static const struct unit_type fake = {
	.service = "nginx",
	.compose = fake_compose,
	.check = fake_check,
	.activate = fake_activate,
	.probe = fake_probe,
	.commit = fake_commit,
	.revert = fake_revert,
	.stop = fake_stop,
	.alive = fake_alive,
};

static void hear(const struct report *r, void *data)
{
	(void)data;
	t.counts[r->kind]++;
	if (r->kind == REPORT_HOST_FAULT)
		snprintf(t.fault, sizeof(t.fault), "%s", r->text);
	if (r->kind == REPORT_PLANNED && strcmp(r->item, "alice") == 0)
		snprintf(t.planned_part, sizeof(t.planned_part), "%s|%s", r->old_text, r->new_text);
	else if (r->kind == REPORT_PLANNED)
		snprintf(t.planned, sizeof(t.planned), "%s|%s", r->old_text, r->new_text);
	if (r->kind == REPORT_CHANGED)
		snprintf(t.drift, sizeof(t.drift), "%s: %s -> %s", r->item, r->old_value,
			 r->new_value);
}

static void settled(struct unit *u, struct member *m, void *data)
{
	(void)u;
	(void)data;
	t.settled++;
	t.left += m->want == NULL;
}

static void open_unit(bool dry, bool need_members)
{
	struct unit_config config = {
		.type = &fake,
		.name = "nginx",
		.dir = "nginx",
		.host = &t.host,
		.loop = t.loop,
		.dry = dry,
		.need_members = need_members,
		.check_usec = 10 * USEC_PER_SEC,
		.probe_usec = 50 * USEC_PER_MSEC,
		.report = hear,
		.settled = settled,
	};
	struct err e;

	assert_int_equal(unit_open(&config, &t.unit, &e), 0);
}

static int setup(void **state)
{
	struct err e;

	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.state, sizeof(t.state), "/tmp/unit_test.XXXXXX");
	assert_non_null(mkdtemp(t.state));
	t.host.state_dir = t.state;
	assert_int_equal(loop_open(&t.loop, &e), 0);
	open_unit(false, false);
	return 0;
}

static int teardown(void **state)
{
	autofd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	unit_close(t.unit);
	loop_close(t.loop);
	assert_int_equal(path_remove_tree(tmp, t.state + strlen("/tmp/"), NULL), 1);
	return 0;
}

static void settle(void)
{
	for (int i = 0; i < 100000 && !unit_idle(t.unit); i++)
		assert_true(loop_step(t.loop, USEC_PER_SEC) >= 0);
	assert_true(unit_idle(t.unit));
}

static void set(const char *name, const char *text)
{
	struct buf sections[FRAGMENT_SECTIONS] = { 0 };

	if (text) {
		buf_printf(&sections[0], "%s %s", name, text);
		unit_set(t.unit, name, fragment_new(sections));
	} else {
		unit_set(t.unit, name, NULL);
	}
	buf_clear(&sections[0]);
}

static void publish(void)
{
	unit_publish(t.unit);
	settle();
}

/* Counts are of what happened since the last reset. */
static void reset(void)
{
	t.checks = t.activations = t.settled = t.left = 0;
	memset(t.counts, 0, sizeof(t.counts));
}

static void assert_conf(const char *want)
{
	autofree char *text = conf_of(unit_generation(t.unit));

	assert_string_equal(text, want);
	assert_int_equal(t.serves, unit_generation(t.unit));
}

static bool exists(const char *name)
{
	autofree char *path = memory_printf("%s/nginx/%s", t.state, name);

	return access(path, F_OK) == 0;
}

static void the_first_generation_comes_into_force(void **state)
{
	(void)state;
	set("alice", "a1");
	set("bob", "b1");
	publish();
	assert_conf("# all\nalice a1\nbob b1\n");
	assert_int_equal(unit_generation(t.unit), 1);
	assert_int_equal(t.counts[REPORT_PUBLISHED], 1);
	assert_int_equal(t.settled, 2);
	assert_int_equal(t.checks, 1);
}

static void a_second_publishing_of_the_same_does_nothing(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	reset();
	set("alice", "a1");
	publish();
	unit_look(t.unit);
	settle();
	assert_int_equal(t.checks + t.activations + t.settled, 0);
	assert_int_equal(unit_generation(t.unit), 1);
}

static void a_change_and_its_undoing_cost_nothing(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	reset();
	set("alice", "a2");
	set("alice", "a1");
	publish();
	assert_int_equal(t.checks, 0);
	assert_false(unit_member(t.unit, "alice")->changed);
}

static void who_leaves_is_left_out_and_forgotten(void **state)
{
	(void)state;
	set("alice", "a1");
	set("bob", "b1");
	publish();
	set("bob", NULL);
	assert_false(unit_has_left(t.unit, "bob"));
	publish();
	assert_conf("# all\nalice a1\n");
	assert_true(unit_has_left(t.unit, "bob"));
	assert_int_equal(t.left, 1);
}

static void who_leaves_and_comes_back_in_flight_is_served_in_the_end(void **state)
{
	(void)state;
	set("alice", "a1");
	set("bob", "b1");
	publish();
	set("bob", NULL);
	unit_publish(t.unit);
	set("bob", "b1");
	publish();
	assert_conf("# all\nalice a1\nbob b1\n");
}

static void changes_in_flight_are_published_after_it(void **state)
{
	(void)state;
	set("alice", "a1");
	unit_publish(t.unit);
	set("alice", "a2");
	set("bob", "b1");
	publish();
	assert_conf("# all\nalice a2\nbob b1\n");
	assert_int_equal(unit_generation(t.unit), 2);
}

static void one_bad_of_many_is_quarantined_and_the_rest_published(void **state)
{
	struct member *m;

	(void)state;
	set("alice", "a1");
	set("bob", "b1");
	publish();
	reset();
	set("alice", "a2");
	set("bob", "BAD");
	set("carol", "c1");
	publish();
	assert_conf("# all\nalice a2\nbob b1\ncarol c1\n");
	m = unit_member(t.unit, "bob");
	assert_non_null(strstr(m->quarantined, "conf:3: bad line"));
	assert_int_equal(t.counts[REPORT_QUARANTINED], 1);
	assert_int_equal(t.checks, 5); /* all, in force, bob, without bob, the rest */
	reset();
	publish();
	unit_look(t.unit);
	settle();
	assert_int_equal(t.checks, 0);
	set("bob", "b2");
	publish();
	assert_conf("# all\nalice a2\nbob b2\ncarol c1\n");
	assert_null(m->quarantined);
}

static void hundred(const char *bad)
{
	char name[16];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "user%02d", i);
		set(name, i == 7 || i == 50 || i == 99 ? bad : "fine");
	}
}

static void three_bad_of_a_hundred_are_found_in_few_checks(void **state)
{
	(void)state;
	for (int mute = 0; mute < 2; mute++) {
		t.mute = mute;
		hundred("ok");
		publish();
		reset();
		hundred("BAD");
		for (int i = 0; i < 30; i++) {
			char name[16];

			snprintf(name, sizeof(name), "user%02d", i * 3);
			set(name, i == 0 ? "changed" : mute ? "other" : "new");
		}
		set("user07", "BAD");
		set("user50", "BAD");
		set("user99", "BAD");
		publish();
		assert_int_equal(t.counts[REPORT_QUARANTINED], 3);
		assert_non_null(unit_member(t.unit, "user50")->quarantined);
		assert_int_equal(t.composed, 100);
		assert_in_range(t.checks, 4, mute ? 26 : 11);
	}
}

static void a_broken_host_quarantines_nobody(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	t.host_broken = true;
	set("alice", "a2");
	set("bob", "BAD");
	publish();
	assert_conf("# all\nalice a1\n");
	assert_string_equal(t.fault, "disk on fire");
	assert_int_equal(t.counts[REPORT_HOST_FAULT], 1);
	assert_int_equal(t.counts[REPORT_QUARANTINED], 0);
	unit_look(t.unit);
	settle();
	assert_int_equal(t.counts[REPORT_HOST_FAULT], 1);
	t.host_broken = false;
	unit_look(t.unit);
	settle();
	assert_conf("# all\nalice a2\n");
}

static void a_broken_host_is_seen_also_before_the_first_generation(void **state)
{
	(void)state;
	t.host_broken = true;
	set("alice", "a1");
	set("bob", "b1");
	publish();
	assert_int_equal(t.counts[REPORT_HOST_FAULT], 1);
	assert_int_equal(t.counts[REPORT_QUARANTINED], 0);
	assert_int_equal(unit_generation(t.unit), 0);
	assert_false(exists("1"));
}

static void a_taken_port_blames_nobody_and_rolls_back(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	t.activate_fails = EADDRINUSE;
	set("alice", "a2");
	publish();
	assert_conf("# all\nalice a1\n");
	assert_int_equal(t.counts[REPORT_ROLLED_BACK], 1);
	assert_string_equal(t.fault, "the daemon does not start");
	assert_null(unit_member(t.unit, "alice")->quarantined);
	assert_false(exists("2"));
}

static void what_cannot_be_taken_over_is_not_told_as_published(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	reset();
	t.commit_fails = true;
	set("alice", "a2");
	publish();
	assert_conf("# all\nalice a1\n");
	assert_int_equal(unit_generation(t.unit), 1);
	assert_int_equal(t.counts[REPORT_PUBLISHED], 0);
	assert_int_equal(t.counts[REPORT_ROLLED_BACK], 1);
	assert_int_equal(t.counts[REPORT_QUARANTINED], 0);
	assert_string_equal(t.fault, "the link cannot be put");
	assert_false(exists("2"));
	t.commit_fails = false;
	unit_look(t.unit);
	settle();
	assert_conf("# all\nalice a2\n");
}

static void what_keeps_the_daemon_from_coming_up_is_found_too(void **state)
{
	(void)state;
	set("alice", "a1");
	set("bob", "b1");
	publish();
	set("alice", "a2");
	set("bob", "CRASH");
	set("carol", "c1");
	set("dave", "CRASH");
	publish();
	assert_conf("# all\nalice a2\nbob b1\ncarol c1\n");
	assert_int_equal(t.counts[REPORT_QUARANTINED], 2);
	assert_non_null(unit_member(t.unit, "dave")->quarantined);
	assert_null(unit_member(t.unit, "dave")->good);
}

static void a_daemon_that_never_answers_blames_nobody(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	t.activate_fails = ECONNREFUSED;
	set("alice", "a2");
	publish();
	assert_int_equal(t.counts[REPORT_QUARANTINED], 0);
	assert_int_equal(t.counts[REPORT_HOST_FAULT], 1);
	assert_conf("# all\nalice a1\n");
}

static void after_a_restart_the_same_members_are_recognised(void **state)
{
	(void)state;
	set("alice", "a1");
	set("bob", "b1");
	publish();
	unit_close(t.unit);
	reset();
	open_unit(false, false);
	assert_false(unit_has_left(t.unit, "carol"));
	set("alice", "a1");
	set("bob", "b1");
	publish();
	assert_int_equal(t.checks + t.activations, 0);
	assert_int_equal(t.settled, 2);
	assert_int_equal(unit_generation(t.unit), 1);
	assert_true(unit_has_left(t.unit, "carol"));
}

static void after_a_restart_what_differs_is_published(void **state)
{
	(void)state;
	set("alice", "a1");
	set("bob", "b1");
	publish();
	unit_close(t.unit);
	open_unit(false, false);
	set("bob", "b2");
	publish();
	assert_conf("# all\nalice a1\nbob b2\n");
	set("alice", NULL);
	publish();
	assert_conf("# all\nbob b2\n");
}

static void who_was_in_force_before_a_restart_stays_until_another_word(void **state)
{
	(void)state;
	set("alice", "a1");
	set("bob", "b1");
	publish();
	unit_close(t.unit);
	reset();
	open_unit(false, false);
	publish(); /* neither can be had at the moment, say */
	assert_conf("# all\nalice a1\nbob b1\n");
	assert_int_equal(t.checks + t.activations, 0);
	set("bob", "BAD");
	publish();
	assert_string_equal(unit_member(t.unit, "bob")->quarantined ? "yes" : "no", "yes");
	assert_conf("# all\nalice a1\nbob b1\n");
	unit_close(t.unit);
	open_unit(false, false);
	set("bob", "BAD");
	set("carol", "c1");
	publish();
	assert_conf("# all\nalice a1\nbob b1\ncarol c1\n");
}

static void a_crash_in_any_step_leaves_a_generation_in_force(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	set("alice", "a2");
	unit_publish(t.unit); /* its check is under way */
	assert_true(exists("2"));
	unit_close(t.unit);
	open_unit(false, false);
	assert_false(exists("2"));
	set("alice", "a2");
	publish();
	assert_conf("# all\nalice a2\n");
}

/* The agent ends after `current` moved and before the daemon came up or did not. */
static void end_in_probe(void)
{
	uint64_t begun = clock_usec();

	t.silent = true;
	t.activations = 0;
	unit_publish(t.unit);
	while (t.activations == 0 && clock_usec() - begun < 20 * USEC_PER_SEC)
		(void)loop_step(t.loop, USEC_PER_SEC);
	assert_int_equal(t.activations, 1);
	unit_close(t.unit);
	t.silent = false;
	reset();
}

static void what_nobody_saw_come_up_is_not_believed_after_a_restart(void **state)
{
	(void)state;
	set("alice", "a1");
	set("bob", "b1");
	set("dave", "d1");
	publish();
	set("bob", "CRASH");
	set("dave", NULL);
	end_in_probe();
	assert_true(exists("2/conf"));
	t.serves = 0; /* it crashed */
	open_unit(false, false);
	set("alice", "a2");
	set("bob", "CRASH");
	set("carol", "c1");
	publish();
	assert_non_null(unit_member(t.unit, "bob")->quarantined);
	assert_int_equal(t.counts[REPORT_QUARANTINED], 1);
	assert_int_equal(t.counts[REPORT_HOST_FAULT], 0);
	assert_conf("# all\nalice a2\nbob b1\ncarol c1\n");
	assert_true(unit_has_left(t.unit, "dave"));
	assert_false(exists("2"));
}

static void of_a_first_generation_that_nobody_saw_all_are_suspects(void **state)
{
	(void)state;
	set("alice", "a1");
	set("bob", "CRASH");
	end_in_probe();
	open_unit(false, false);
	publish(); /* neither has been set again */
	assert_non_null(unit_member(t.unit, "bob")->quarantined);
	assert_null(unit_member(t.unit, "alice")->quarantined);
	assert_conf("# all\nalice a1\n");
}

static void what_came_up_while_the_agent_was_away_is_believed(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	set("alice", "a2");
	end_in_probe();
	t.serves = t.wants;
	for (int i = 0; i < 2; i++) {
		open_unit(false, false);
		set("alice", "a2");
		publish();
		assert_int_equal(t.checks + t.activations, i);
		assert_conf("# all\nalice a2\n");
		assert_int_equal(unit_generation(t.unit), 2);
		unit_close(t.unit);
		t.serves = 0; /* once seen, it is only started again */
	}
	open_unit(false, false);
}

static void a_daemon_that_serves_another_generation_is_told_again(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	unit_close(t.unit);
	t.serves = 77;
	reset();
	open_unit(false, false);
	set("alice", "a1");
	publish();
	assert_int_equal(t.activations, 1);
	assert_int_equal(t.checks, 0);
	assert_int_equal(t.serves, 1);
}

static void a_dead_daemon_is_started_again(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	t.serves = 0;
	unit_died(t.unit, "killed by signal 9");
	for (int i = 0; i < 200 && t.serves == 0; i++) {
		(void)loop_step(t.loop, 10000);
	}
	settle();
	assert_int_equal(t.serves, 1);
	assert_int_equal(t.counts[REPORT_DIED], 1);
}

static void a_dead_daemon_is_started_also_by_a_bad_change(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	t.serves = 0;
	t.activate_fails = EADDRINUSE;
	unit_died(t.unit, "killed by signal 9");
	for (int i = 0; i < 200 && t.counts[REPORT_HOST_FAULT] == 0; i++)
		(void)loop_step(t.loop, 10000);
	settle();
	assert_int_equal(t.serves, 0);
	t.activate_fails = 0;
	set("alice", "BAD");
	publish();
	assert_int_equal(t.counts[REPORT_QUARANTINED], 1);
	assert_conf("# all\nalice a1\n");
	assert_int_equal(t.serves, 1);
	assert_false(exists("2"));
}

static void edits_on_disk_are_put_back(void **state)
{
	autofree char *path = memory_printf("%s/nginx/1/conf", t.state);
	FILE *f;

	(void)state;
	set("alice", "a1");
	publish();
	f = fopen(path, "a");
	fputs("mine\n", f);
	fclose(f);
	unit_look(t.unit);
	settle();
	assert_string_equal(t.drift, "conf: mine -> ");
	assert_conf("# all\nalice a1\n");
	assert_int_equal(unit_generation(t.unit), 2);
	reset();
	unit_look(t.unit);
	settle();
	assert_int_equal(t.checks + t.counts[REPORT_CHANGED], 0);
}

static void five_generations_stay(void **state)
{
	char text[16];

	(void)state;
	for (int i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "a%d", i);
		set("alice", text);
		publish();
	}
	assert_false(exists("3"));
	assert_true(exists("4"));
	assert_true(exists("8"));
}

static void a_plan_shows_texts_and_touches_nothing(void **state)
{
	(void)state;
	set("alice", "a1");
	publish();
	unit_close(t.unit);
	reset();
	open_unit(true, false);
	set("alice", "a2");
	unit_publish(t.unit);
	assert_int_equal(t.counts[REPORT_PLANNED], 2);
	assert_string_equal(t.planned_part, "alice a1|alice a2");
	assert_string_equal(t.planned, "# all\nalice a1\n|# all\nalice a2\n");
	assert_int_equal(t.checks + t.activations, 0);
	assert_false(exists("2"));
}

static void a_unit_that_needs_members_stops_without_them(void **state)
{
	(void)state;
	unit_close(t.unit);
	open_unit(false, true);
	publish();
	assert_int_equal(t.checks + t.stops, 0);
	set("alice", "BAD");
	publish();
	assert_int_equal(t.counts[REPORT_QUARANTINED], 1);
	assert_int_equal(t.activations, 0);
	set("alice", "a1");
	publish();
	assert_conf("# all\nalice a1\n");
	set("alice", NULL);
	publish();
	assert_int_equal(t.stops, 1);
	assert_false(exists("current"));
	assert_true(unit_has_left(t.unit, "alice"));
}

/* What the generation in force must hold, kept by hand beside a unit that is tossed about. */
#define TOSSED 12
static struct {
	char want[16], good[16]; /* "": none */
} tossed[TOSSED];

static void toss(int i)
{
	static const char *const kinds[] = { "fine", "fine", "fine", "BAD", "CRASH", "" };
	const char *kind = kinds[rand() % (int)ELEMENTS(kinds)];
	char name[16];

	snprintf(name, sizeof(name), "user%02d", i);
	snprintf(tossed[i].want, sizeof(tossed[i].want), *kind ? "%s%d" : "%s", kind, rand() % 3);
	set(name, tossed[i].want[0] ? tossed[i].want : NULL);
}

static void assert_tossed(void)
{
	struct table_entry *it;
	size_t expected = 0;
	autofree char *text = conf_of(unit_generation(t.unit));

	for (int i = 0; i < TOSSED; i++) {
		char line[40];

		if (!tossed[i].want[0] || strncmp(tossed[i].want, "fine", 4) == 0)
			memcpy(tossed[i].good, tossed[i].want, sizeof(tossed[i].good));
		snprintf(line, sizeof(line), "user%02d %s\n", i, tossed[i].good);
		if (tossed[i].good[0] && !strstr(text, line))
			fail_msg("no %s in %s", line, text);
		expected += tossed[i].good[0] != '\0';
	}
	assert_int_equal(t.composed, expected);
	assert_null(strstr(text, "BAD"));
	assert_null(strstr(text, "CRASH"));
	table_each (unit_members(t.unit), it)
		assert_false(((struct member *)it->value)->changed);
}

static void whatever_comes_the_rest_is_served_as_wanted(void **state)
{
	(void)state;
	srand(1);
	memset(tossed, 0, sizeof(tossed));
	for (int round = 0; round < 60; round++) {
		for (int n = rand() % 5; n >= 0; n--)
			toss(rand() % TOSSED);
		t.mute = rand() % 2;
		publish();
		assert_tossed();
	}
}

static void a_change_of_one_of_ten_thousand_is_cheap(void **state)
{
	char text[400];
	clock_t begun;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 10000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "user%05d", i);
		set(name, text);
	}
	publish();
	begun = clock();
	text[0] = 'y';
	set("user05000", text);
	publish();
	printf("a change of one of 10,000: %.1f ms of CPU\n",
	       (double)(clock() - begun) * 1000 / CLOCKS_PER_SEC);
	assert_int_equal(unit_generation(t.unit), 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_first_generation_comes_into_force),
		CASE(a_second_publishing_of_the_same_does_nothing),
		CASE(a_change_and_its_undoing_cost_nothing),
		CASE(who_leaves_is_left_out_and_forgotten),
		CASE(who_leaves_and_comes_back_in_flight_is_served_in_the_end),
		CASE(changes_in_flight_are_published_after_it),
		CASE(one_bad_of_many_is_quarantined_and_the_rest_published),
		CASE(three_bad_of_a_hundred_are_found_in_few_checks),
		CASE(a_broken_host_quarantines_nobody),
		CASE(a_broken_host_is_seen_also_before_the_first_generation),
		CASE(a_taken_port_blames_nobody_and_rolls_back),
		CASE(what_cannot_be_taken_over_is_not_told_as_published),
		CASE(what_keeps_the_daemon_from_coming_up_is_found_too),
		CASE(a_daemon_that_never_answers_blames_nobody),
		CASE(after_a_restart_the_same_members_are_recognised),
		CASE(after_a_restart_what_differs_is_published),
		CASE(who_was_in_force_before_a_restart_stays_until_another_word),
		CASE(a_crash_in_any_step_leaves_a_generation_in_force),
		CASE(what_nobody_saw_come_up_is_not_believed_after_a_restart),
		CASE(of_a_first_generation_that_nobody_saw_all_are_suspects),
		CASE(what_came_up_while_the_agent_was_away_is_believed),
		CASE(a_daemon_that_serves_another_generation_is_told_again),
		CASE(a_dead_daemon_is_started_again),
		CASE(a_dead_daemon_is_started_also_by_a_bad_change),
		CASE(edits_on_disk_are_put_back),
		CASE(five_generations_stay),
		CASE(a_plan_shows_texts_and_touches_nothing),
		CASE(a_unit_that_needs_members_stops_without_them),
		CASE(whatever_comes_the_rest_is_served_as_wanted),
		CASE(a_change_of_one_of_ten_thousand_is_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
