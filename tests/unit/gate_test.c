/* Who may take off, and who is let in next. Units are no more than what the gate knows of them. */
#include "reconcile/units/gate.h"

#include <string.h>

#include "agent/base/clock.h"
#include "reconcile/units/unit.h"
#include "tests/unit/cmocka_all.h"

#define UNITS 4

static struct {
	struct loop *loop;
	struct gate gate;
	struct unit units[UNITS];
	struct unit *woken; /* last */
	int emptied;
} t;

static void wake(void *data)
{
	t.woken = data;
}

static void emptied(void *data)
{
	assert_ptr_equal(data, &t);
	t.emptied++;
}

static int setup(void **state)
{
	struct err e;

	(void)state;
	memset(&t, 0, sizeof(t));
	t.gate = (struct gate){ .max = 2, .empty = emptied, .data = &t };
	assert_int_equal(loop_open(&t.loop, &e), 0);
	for (size_t i = 0; i < UNITS; i++) {
		t.units[i].config.gate = &t.gate;
		t.units[i].served = true;
		t.units[i].retry = loop_timer(t.loop, UINT64_MAX, wake, &t.units[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < UNITS; i++)
		loop_drop(t.units[i].retry);
	loop_close(t.loop);
	return 0;
}

/* The one whose timer went off. */
static struct unit *next_woken(void)
{
	t.woken = NULL;
	for (int i = 0; i < 10 && !t.woken; i++)
		assert_true(loop_step(t.loop, 10 * USEC_PER_MSEC) >= 0);
	return t.woken;
}

static void only_so_many_enter(void **state)
{
	(void)state;
	assert_true(gate_enter(&t.units[0]));
	assert_true(gate_enter(&t.units[1]));
	assert_false(gate_enter(&t.units[2]));
	assert_true(gate_enter(&t.units[1])); /* it is in already */
	assert_null(next_woken());
}

static void who_waits_enters_in_turn(void **state)
{
	(void)state;
	for (size_t i = 0; i < UNITS; i++)
		(void)gate_enter(&t.units[i]);
	(void)gate_enter(&t.units[2]); /* asking again changes nothing */
	gate_leave(&t.units[1]);
	assert_ptr_equal(next_woken(), &t.units[2]);
	assert_false(gate_enter(&t.units[1])); /* the place is taken, and it is last now */
	assert_true(gate_enter(&t.units[2]));
	gate_leave(&t.units[0]);
	assert_ptr_equal(next_woken(), &t.units[3]);
}

static void who_is_not_served_enters_first(void **state)
{
	(void)state;
	for (size_t i = 0; i < UNITS; i++)
		(void)gate_enter(&t.units[i]);
	t.units[3].served = false;
	gate_leave(&t.units[0]);
	assert_ptr_equal(next_woken(), &t.units[3]);
}

static void who_closes_waits_no_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < UNITS; i++)
		(void)gate_enter(&t.units[i]);
	gate_leave(&t.units[2]);
	gate_leave(&t.units[0]);
	assert_ptr_equal(next_woken(), &t.units[3]);
}

static void its_owner_hears_when_all_have_landed(void **state)
{
	(void)state;
	for (size_t i = 0; i < UNITS; i++)
		(void)gate_enter(&t.units[i]);
	for (size_t i = 0; i < UNITS - 1; i++)
		gate_leave(&t.units[i]);
	assert_int_equal(t.emptied, 0);
	gate_leave(&t.units[UNITS - 1]);
	assert_int_equal(t.emptied, 1);
	gate_leave(&t.units[0]); /* it is not in */
	assert_int_equal(t.emptied, 1);
}

static void without_a_gate_nobody_waits(void **state)
{
	(void)state;
	t.units[0].config.gate = NULL;
	assert_true(gate_enter(&t.units[0]));
	gate_leave(&t.units[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(only_so_many_enter),
		TEST(who_waits_enters_in_turn),
		TEST(who_is_not_served_enters_first),
		TEST(who_closes_waits_no_more),
		TEST(its_owner_hears_when_all_have_landed),
		TEST(without_a_gate_nobody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
