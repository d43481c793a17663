/*
 * From one instance of nginx (nginx_instance.h) to the other, when nginx.instance
 * has been changed: one that is ours goes on serving until the host's is about to
 * take over, and the host's is told to let go before ours is started. Both can
 * not have the same ports, so between the two nobody serves, for a moment.
 */
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"
#include "reconcile/manager.h"
#include "reconcile/resource.h"
#include "reconcile/services/nginx/nginx_instance.h"

/* Takes us out of the host's nginx, where we are in it, and tells it. 1: we were. */
int handover_from_system(struct world *world, const struct host *host, struct manager *m,
			 struct err *e);
/* Tells one of ours that runs to end when its requests have. */
void handover_from_own(const struct host *host, struct manager *m);
/* The other instance has served its time: its generations go. */
void handover_done(const struct host *host);
