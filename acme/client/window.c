/*
 * The CA's own word on when to renew (RFC 9773). The moment is chosen once for a
 * window, and kept; a CA that does not answer, or says nonsense, changes nothing.
 */
#include <stdlib.h>

#include "acme/client/job.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/random.h"

static void take_window(struct record *r, const struct reply *reply)
{
	time_t start = (time_t)reply->window_start, end = (time_t)reply->window_end;
	time_t chosen = renew_in_window(start, end, random_number());

	if (!chosen || (start == r->window_start && end == r->window_end && r->chosen))
		return;
	r->window_start = start;
	r->window_end = end;
	r->chosen = chosen;
}

static void on_window(const struct reply *reply, void *data)
{
	struct cert *c = data;
	struct record *r = cert_record(c);

	c->window = NULL;
	c->a->n_asked_windows--;
	r->ask_window = clock_wall() + renew_ask_after(reply->retry_after);
	if (!reply_is_bad(reply))
		take_window(r, reply);
	/* Of a CA that has no windows nothing is written. */
	if (c->ca->resources[RESOURCE_RENEWAL_INFO])
		cert_save(c);
	cert_look(c);
}

void window_ask(struct cert *c)
{
	autofree char *below = memory_printf("/%s", cert_record(c)->ari);

	c->a->n_asked_windows++;
	c->window = ca_call(c->ca, &(struct call_spec){ .kind = REQUEST_RENEWAL_INFO,
							.resource = RESOURCE_RENEWAL_INFO,
							.url = below,
							.unsigned_get = true,
							.fn = on_window,
							.data = c });
}
