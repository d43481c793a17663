/*
 * A checkout, an rsync or a swapped link takes files away and brings them back,
 * and a mistake takes all of them. So a file must be gone for a while; and an
 * empty directory, or many files gone together, is never believed without a word
 * from a person, even if there was only one webspace.
 */
#include "agent/model/removal.h"

#define MANY         5
#define MANY_PERCENT 2

static bool looks_like_an_accident(const struct removal_view *v)
{
	size_t share = v->n_in_force * MANY_PERCENT / 100;

	return v->n_files == 0 || v->n_absent > (share > MANY ? share : MANY);
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
