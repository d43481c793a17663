/*
 * Values in configuration files that look like secrets, for a warning where others may read the
 * file. By their names: a guess, so never more than a warning.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "agent/model/host.h"

/* The key of the first: "php.env.DB_PASSWORD", in the arena; NULL: none. */
const char *secrets_of_webspace(const struct webspace *w, struct arena *a);
const char *secrets_of_host(const struct host *host, struct arena *a);

/* May others than root and the file's group read it? Of root's files alone: a checkout is no host's. */
bool secrets_are_open(const struct stat *st);
/* What is said then of that key, in the arena. */
const char *secrets_warning(const char *key, const struct stat *st, struct arena *a);
