/*
 * One walk over a source of the shared base: makes its signature, and copies it
 * if asked to. Regular files that everybody may read are copied, links that stay
 * inside the base are kept, others are replaced by what they lead to; all else
 * is left out, so that nothing comes into jails that any user could not read.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/arena.h"
#include "agent/base/err.h"
#include "agent/model/webspace.h"

struct base_walk {
	const struct text_list *sources; /* all of the base's: absolute, normal paths */
	size_t bytes_max, bytes;         /* how much may be copied, is copied; over all walks */
	struct arena *arena;
	uint64_t signature; /* of what was found, whatever its order */
	/* Directories (and link targets) that were seen: while they are as they are, so is the source. */
	const char **seen;
	size_t n_seen, room_seen;
};

/*
 * Walks source; if to >= 0, copies it to to/name, which must not exist. 0, or
 * -errno; a source that is not there is -ENOENT.
 */
int base_walk(struct base_walk *w, const char *source, int to, const char *name, struct err *e);

/* A number that is another one when the file or directory at path has changed. 0: it is not there. */
uint64_t base_signature_of(const char *path);
