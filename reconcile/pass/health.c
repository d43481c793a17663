/*
 * Whether passes get through. The loop may turn and still no webspace be looked
 * at: slices run when nothing else is to be done, so what never leaves the loop
 * alone starves them, and a timer that is lost ends the looks at everything.
 * Both can only be seen from outside of them; who asks is the watchdog's beat.
 *
 * What a pass finds is no part of it: a full disk or a broken file is told, and
 * an agent that begins anew would find the same. Nor is a daemon that is slow to
 * come up: each step of its way to another generation has its own end.
 */
#include <errno.h>

#include "agent/base/clock.h"
#include "reconcile/pass/pass.h"

#define SLICE_PATIENCE (30 * USEC_PER_SEC)

static unsigned seconds(uint64_t usec)
{
	return (unsigned)(usec / USEC_PER_SEC);
}

int reconcile_health(const struct reconcile *r, uint64_t now_usec, struct err *e)
{
	uint64_t full_usec = r->config.host->reconcile.full_pass_s * USEC_PER_SEC;
	uint64_t waited = r->due_usec && now_usec > r->due_usec ? now_usec - r->due_usec : 0;
	uint64_t unseen = now_usec > r->seen_usec ? now_usec - r->seen_usec : 0;

	if (waited > SLICE_PATIENCE)
		return err_set(e, ETIMEDOUT, "webspaces wait to be checked, for %u s by now",
			       seconds(waited));
	if (!r->due_usec && full_usec && unseen > 2 * full_usec + SLICE_PATIENCE)
		return err_set(e, ETIMEDOUT, "the last look at everything was %u s ago",
			       seconds(unseen));
	return 0;
}
