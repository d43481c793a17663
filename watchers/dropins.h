/* The directory of webspaces' files: which of them may have changed. */
#pragma once

#include "agent/base/table.h"
#include "watchers/trail.h"

/* name: the file's, without ".conf"; NULL: any of them. */
typedef void dropins_fn(const char *name, void *data);

struct dropins {
	struct trail trail;
	struct table links; /* name → struct dropin_link: files that are symbolic links */
	dropins_fn *changed;
	void *data;
	bool lost_way;
};

int dropins_open(struct dropins *d, const char *config_dir, dropins_fn *changed, void *data,
		 struct err *e);
void dropins_close(struct dropins *d);

void dropins_event(struct dropins *d, int wd, uint32_t mask, const char *name);
/* After a run of events: sets watches anew where the way to the directory, or to a link's file, changed. */
int dropins_follow(struct dropins *d, struct err *e);
