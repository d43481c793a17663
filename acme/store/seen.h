/*
 * What was read from a site's files, so that they are not read again while they
 * are the same. 64 bytes a site: names and paths are kept as hashes only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "acme/acme.h"

struct seen_entry {
	uint64_t site;  /* hash of what it is about; 0: free */
	uint64_t files; /* hash of the files' stat */
	uint64_t names; /* hash of the names it was compared with */
	uint64_t content, listed;
	uint32_t not_before, not_after; /* to 2106 */
	uint32_t says;
};

struct seen {
	struct seen_entry *entries;
	size_t count, room; /* room is a power of two, or 0 */
};

uint64_t seen_names(const char *const *names, size_t n);
/* Any write or replacement makes another value: device, inode, change time, size, owner, mode. */
uint64_t seen_stat(uint64_t hash, const struct stat *st);

/* These files cannot be of use for other names than they were compared with, whatever those were. */
bool seen_excludes(const struct seen *s, const struct seen_entry *key, const char *const *names,
		   size_t n);
/* What key says: true if it is still about these files and names. */
bool seen_get(const struct seen *s, const struct seen_entry *key, struct certificate *ret);
void seen_put(struct seen *s, const struct seen_entry *key, const struct certificate *what);
void seen_clear(struct seen *s);
