/*
 * The agent's end of the line to its worker: starts it when there is something
 * to ask, gives each exchange its reply, and answers for it when it dies
 * (REPLY_BROKEN for all that were under way; the next question starts another,
 * with a growing pause between deaths). Nothing here blocks.
 */
#pragma once

#include <sys/types.h>

#include "acme/wire.h"
#include "agent/base/loop.h"

struct link_config {
	struct loop *loop;
	const char *user;        /* as whom the worker runs: a name of passwd(5); copied */
	const char *ca_file;     /* by which CAs' servers are known; "": the system's; copied */
	const char *const *argv; /* another program as worker, for tests; NULL: our own */
};

struct link;
/* Called once for each exchange, from the loop; reply and its texts end with the call. It may ask and drop. */
typedef void link_fn(const struct reply *reply, void *data);

void link_open(const struct link_config *config, struct link **ret);
/* Ends the worker; exchanges under way are dropped without a reply. Not from within a link_fn. */
void link_close(struct link *l);

/* Copies the request; its id is chosen here and returned, never 0. */
uint32_t link_ask(struct link *l, const struct request *request, link_fn *fn, void *data);
/* The reply is not wanted any more: fn is not called. */
void link_drop(struct link *l, uint32_t id);

struct link_figures {
	uint64_t requests, connections, deaths; /* to CAs, since link_open */
};
struct link_figures link_figures(const struct link *l);
