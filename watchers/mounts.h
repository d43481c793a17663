/* The mount table: whose mounts may have changed. */
#pragma once

#include <stdint.h>

#include "agent/base/err.h"
#include "watchers/homes.h"

struct mounts {
	int fd;          /* wakes with EPOLLPRI */
	char *home_root; /* as the table writes it */
	uint64_t above;  /* a sum over the mounts that the home root itself lies on */
	bool above_known;
};

/* Belongs to the mount namespace that we are in now. */
int mounts_open(struct mounts *m, const char *home_root, struct err *e);
void mounts_close(struct mounts *m);

/* Takes pending events as seen. */
void mounts_seen(struct mounts *m);
/* Reads the table and marks homes whose mounts are others than we knew, or were not known. */
int mounts_read(struct mounts *m, struct homes *homes, struct err *e);
