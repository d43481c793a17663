/*
 * What we ask of systemd over D-Bus, asynchronously, on our loop. bus.c is the
 * only file that knows sd-bus.
 *
 * As root the manager's own socket is used (/run/systemd/private, as systemctl
 * does), which also works where no bus daemon runs; else the system bus.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/err.h"
#include "agent/base/loop.h"

struct bus;
struct bus_task; /* something asked, and not answered yet */

int bus_open(struct loop *loop, struct bus **ret, struct err *e);
/* Tasks end without being told. */
void bus_close(struct bus *b);

/*
 * The job has ended. how: systemd's word, "done" when all is well ("failed",
 * "timeout", "canceled", "dependency", "skipped"), or the sentence of an error.
 * Never called from within the asking call.
 */
typedef void bus_job_fn(const char *how, void *data);

/*
 * method: "StartUnit", "StopUnit", "RestartUnit" or "ReloadUnit". fn may be NULL, then *ret is not set.
 * A job that contradicts one under way is refused (systemd's mode "fail"): somebody who stops what a
 * unit needs would else find that cancelled by our starting the unit.
 */
int bus_unit_job(struct bus *b, const char *method, const char *unit, bus_job_fn *fn, void *data,
		 struct bus_task **ret, struct err *e);

/* The unit's main process; 0: it has none. error: a sentence, or NULL. */
typedef void bus_pid_fn(pid_t pid, const char *error, void *data);
int bus_main_pid(struct bus *b, const char *unit, bus_pid_fn *fn, void *data, struct bus_task **ret,
		 struct err *e);

/* whom: "main", "control" or "all" of the unit's processes. What becomes of it is not told. */
int bus_kill_unit(struct bus *b, const char *unit, const char *whom, int signo, struct err *e);

/* "MemoryMax", "CPUQuotaPerSecUSec", "TasksMax" (systemd.resource-control(5)); UINT64_MAX: none. */
struct bus_limit {
	const char *property;
	uint64_t value;
};

/* Limits of a unit, which need not run yet, until the next boot. What becomes of it is not told. */
int bus_limit_unit(struct bus *b, const char *unit, const struct bus_limit *limits, size_t n,
		   struct err *e);
/* Forgets what was set so: systemd keeps it in a file for each unit, also of one that has ended. */
int bus_revert_unit(struct bus *b, const char *unit, struct err *e);

/* Its fn is not called any more; the job itself goes on. */
void bus_forget(struct bus_task *t);
