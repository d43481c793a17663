/*
 * A checkout, an rsync or a swapped link takes files away and brings them back,
 * and a mistake takes all of them. So a file must be gone for a while; and an
 * empty directory, or many files gone together, is never believed without a word
 * from a person, even if there was only one webspace.
 */
#include "agent/model/removal.h"

#define MANY         5
#define MANY_PERCENT 2

bool removal_is_many(size_t n_absent, size_t n_in_force)
{
	size_t share = n_in_force * MANY_PERCENT / 100;

	return n_absent > (share > MANY ? share : MANY);
}

static bool looks_like_an_accident(const struct removal_view *v)
{
	return v->n_files == 0 || removal_is_many(v->n_absent, v->n_in_force);
}

enum removal removal_decide(const struct removal_view *v)
{
	if (!v->directory_ok || v->now < v->absent_since ||
	    v->now - v->absent_since < (time_t)v->grace_s)
		return REMOVAL_WAIT;
	if (!v->confirmed && (v->held || looks_like_an_accident(v)))
		return REMOVAL_HELD;
	return REMOVAL_GO;
}
