/*
 * Why is this site not up? A row of steps from the file to the served page, each
 * looking at the machine itself; the first that finds something wrong ends the
 * walk, since what comes after only follows from it.
 */
#pragma once

#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/base/json.h"
#include "agent/model/catalog.h"
#include "agent/model/host.h"
#include "reconcile/resource.h"

struct patient {
	const struct host *host;
	const char *name;
	struct catalog *catalog;
	const struct entry *entry;       /* NULL: no such file */
	const struct webspace *webspace; /* in force, or NULL */
	struct world *world;             /* dry */
	const struct json *status,
		*agent; /* what the last agent saw of it, and of the host; or NULL */
	int door;       /* 0: an agent runs and answers; else -errno of asking it */
};

enum found {
	FOUND_WELL,
	FOUND_NOTHING, /* does not apply */
	FOUND_HINT,    /* may be wrong, may be meant */
	FOUND_WRONG,
};

/* said: what was found; cure: what to do, if anything is wrong. */
typedef enum found step_fn(struct patient *p, struct buf *said, struct buf *cure);

struct step {
	const char *name;
	step_fn *look;
	bool goes_on; /* what comes after does not follow from it */
};

/* A condition of what the last agent saw; NULL: it is not known. */
const struct json *patient_condition(const struct patient *p, const char *type);
/* True and its message said, if that is what the last agent saw. */
bool patient_has(const struct patient *p, const char *type, const char *reason, struct buf *said);

/* How many .htaccess files lie in its sites' directories and one level below, as far as that is seen. */
size_t doctor_htaccess_count(const struct patient *p);

/* doctor_file.c */
step_fn step_agent, step_file, step_loads, step_state;
/* doctor_tree.c */
step_fn step_account, step_ancestors, step_directories, step_mounts, step_certificate;
/* doctor_daemons.c */
step_fn step_php, step_nginx, step_site;
/* doctor_page.c */
step_fn step_names, step_http, step_https;
