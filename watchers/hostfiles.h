/* Files of the host that all webspaces share: which of them may have changed. */
#pragma once

#include "watchers/trail.h"

typedef void hostfiles_fn(const char *path, void *data);

struct hostfiles {
	struct trail *trails;
	bool *lost_way;
	size_t count;
	hostfiles_fn *changed;
	void *data;
};

/* paths: NULL-ended, borrowed. */
int hostfiles_open(struct hostfiles *h, const char *const *paths, hostfiles_fn *changed, void *data,
		   struct err *e);
void hostfiles_close(struct hostfiles *h);

void hostfiles_event(struct hostfiles *h, int wd, uint32_t mask, const char *name);
/* Events were lost: each way is walked again, and any may have changed (path NULL). */
void hostfiles_lost(struct hostfiles *h);
int hostfiles_follow(struct hostfiles *h, struct err *e);
