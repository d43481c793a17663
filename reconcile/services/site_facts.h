/* What renderers need to know of a webspace's sites that is not in its file: their certificates, as they are now. */
#pragma once

#include <stdint.h>
#include <time.h>

#include "acme/acme.h"
#include "agent/base/arena.h"
#include "agent/model/host.h"
#include "renderers/renderers.h"

/* One for each of webspace->sites, in the arena. */
struct site_facts *site_facts_gather(struct store *store, const struct host *host,
				     const struct webspace *webspace, time_t wall, struct arena *a);
/* The same number for the same webspace with the same facts. */
uint64_t site_facts_hash(const struct webspace *webspace, const struct site_facts *facts);
