/*
 * What whoever started the agent is told of it (sd_notify(3)): ready, reloading,
 * how things stand, and, as long as passes get through, that all is well.
 */
#pragma once

#include "agent/base/loop.h"
#include "reconcile/reconcile.h"

struct notify;

/* The reconcile is borrowed; close it after this. */
struct notify *notify_open(struct loop *loop, const struct reconcile *r);
void notify_close(struct notify *n);

/* A look at everything begins on request; it is over with the next notify_idle. */
void notify_reloading(struct notify *n);
/* Nothing is left to do: ready, if that was not told yet, and how many webspaces there are. */
void notify_idle(struct notify *n);
void notify_stopping(void);
