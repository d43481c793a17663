/* The search behind bisect.h: a binary search for the shortest row that fails, then a control. */
#include "reconcile/units/bisect.h"

static enum bisect_verdict attempt(struct bisect *b, int phase, size_t n)
{
	b->phase = phase;
	b->attempt = n;
	return BISECT_TRY;
}

static enum bisect_verdict narrow(struct bisect *b)
{
	if (b->high - b->low == 1)
		return attempt(b, BISECT_CONTROL, b->low);
	return attempt(b, BISECT_HALF, b->low + (b->high - b->low) / 2);
}

static enum bisect_verdict told_all(struct bisect *b, bool passed, bool guess)
{
	if (passed) {
		b->accepted = b->count;
		return BISECT_GOOD;
	}
	if (b->accepted == b->count)
		return BISECT_NOBODY;
	b->low = b->accepted;
	b->high = b->count;
	if (guess && b->high - b->low > 1)
		return attempt(b, BISECT_GUESS, b->low + 1);
	return narrow(b);
}

void bisect_start(struct bisect *b, size_t count)
{
	*b = (struct bisect){ .count = count };
	(void)attempt(b, BISECT_ALL, count);
}

enum bisect_verdict bisect_told(struct bisect *b, bool passed, bool guess)
{
	if (b->phase == BISECT_ALL)
		return told_all(b, passed, guess);
	if (b->phase == BISECT_CONTROL) {
		b->culprit = b->low;
		return passed ? BISECT_CULPRIT : BISECT_NOBODY;
	}
	if (passed)
		b->low = b->accepted = b->attempt;
	else
		b->high = b->attempt;
	return narrow(b);
}

enum bisect_verdict bisect_remove(struct bisect *b)
{
	b->accepted = b->low;
	b->count--;
	if (b->accepted == b->count)
		return BISECT_GOOD;
	return attempt(b, BISECT_ALL, b->count);
}
