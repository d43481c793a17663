/*
 * The way to one webspace's tree: descriptors of the directories that its items
 * lie in, each opened once from the one above it, never through a link or (below
 * HOME_ROOT/NAME) across a mount. They are kept for the webspace at hand and no
 * longer, since what is observed must be what is there now.
 */
#pragma once

#include <stdbool.h>

#include "reconcile/resource.h"

#define HOME_HELD 8

struct home {
	char name[WEBSPACE_NAME_MAX + 1]; /* "": none at hand */
	struct {
		char *path; /* "": HOME_ROOT/NAME itself */
		int fd;
	} held[HOME_HELD];
	size_t n_held;
	int account_result; /* of accounts_get */
	struct account account;
};

/* Makes name the webspace at hand; what is held of another goes. */
void home_use(struct home *h, struct world *w, const char *name);

/*
 * The directory that path lies in and the last component of path (of "." it is
 * HOME_ROOT and the name). The descriptor stays h's. safe: it and all above it
 * have to be root's and writable by nobody else, as anything that is to be
 * changed in it needs.
 */
int home_parent(struct home *h, struct world *w, const char *path, bool safe, const char **ret_leaf,
		struct err *e);

/* Hands the directory at path over to be used for what lies in it; closes fd if there is no room. */
void home_keep(struct home *h, const char *path, int fd);

void home_close(struct home *h);

/* Every directory above and including HOME_ROOT is root's and writable by nobody else (sticky ones apart). */
int home_check_root(const char *home_root, struct err *e);
