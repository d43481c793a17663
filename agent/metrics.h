/*
 * Figures for Prometheus: a text file that node-exporter collects (metrics.file), replaced by
 * rename at the end of a pass, at most every few seconds. Names and units are one table,
 * from which the file and `webspaces metrics` come.
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/base/loop.h"
#include "agent/model/host.h"
#include "reconcile/reconcile.h"

struct metrics;

/* Nothing is ever written where metrics.file is empty or its directory is not there. */
struct metrics *metrics_open(const struct host *host, struct loop *loop,
			     const struct reconcile *reconcile);
void metrics_close(struct metrics *m);
/* Counts what the report tells; REPORT_IDLE: the file is due. */
void metrics_report(struct metrics *m, const struct report *r);
/* How many removals wait for `webspaces confirm`. */
void metrics_held(struct metrics *m, size_t held);

/* Every metric: man: items of an mdoc(7) list, else lines for people. */
void metrics_describe(bool man, struct buf *ret);
