/*
 * A configuration key. options.c has one row for each; parser, preset, range,
 * `webspaces options`, manual and sample all come from that row.
 *
 * A preset is written as one would write it in a file and goes through the same
 * parser. To add a key: a row in options.c and a field in host.h or webspace.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/arena.h"
#include "agent/base/err.h"
#include "agent/model/setting.h"

enum option_scope { SCOPE_HOST, SCOPE_WEBSPACE, SCOPE_SITE, SCOPES };
extern const char *const option_scope_names[SCOPES];

#define OPTION_TEXT_MAX  1024
#define OPTION_LIST_MAX  200
#define OPTION_PAIRS_MAX 100
#define OPTION_NOWHERE   ((size_t)-1)

/* Is the text a good value? *ret is the text as it shall be kept: itself or a new one in the arena. */
typedef int value_check(struct arena *a, const char *text, const char **ret, struct err *e);
typedef int pair_check(const char *key, const char *value, struct err *e);

struct option;

struct option_kind {
	const char *name;      /* "number": in tables and manuals */
	const char *expects;   /* "a whole number": in messages */
	const char *json_type; /* "integer" */
	/* Sets the field. NULL: a nested kind, which fill.c takes apart. */
	int (*parse)(const struct option *o, const struct setting *s, struct arena *a, void *field,
		     struct err *e);
	uint64_t (*hash)(const void *field, uint64_t h);
};
extern const struct option_kind kind_flag, kind_number, kind_size, kind_duration, kind_word,
	kind_text, kind_list, kind_pairs, kind_binds, kind_sites, kind_defaults;

struct option {
	const char *path; /* "php.memory_limit" */
	enum option_scope scope;
	const struct option_kind *kind;
	size_t offset; /* of the field in the scope's struct; OPTION_NOWHERE: read and dropped */
	const char *preset; /* as in a file; NULL: nothing to preset */
	const char *meaning;
	const char *sample; /* another value worth showing; NULL: the preset will do */
	long long min, max; /* numbers, sizes, durations */
	long long step;     /* … in steps from min; 0: every one */
	const char *const *
		words; /* of kind_word, in the order of the enum; NULL-ended. Of pairs: false, true */
	value_check *check; /* of a text or of each element */
	pair_check *check_pair;
	const char *form; /* of a text or element, for manuals: "host name" */
};

extern const struct option options[];
extern const size_t n_options;

/* NULL: no such key. */
const struct option *option_find(enum option_scope scope, const char *path);
/* Do keys begin with "path."? */
bool option_is_group(enum option_scope scope, const char *path);
/* The key that was probably meant, or NULL. */
const char *option_nearest(enum option_scope scope, const char *path);

/* How many letters differ; b has at most 48. */
size_t option_distance(const char *a, const char *b);

/* Sets the option's field in the scope's struct. Everything it needs is copied into the arena. */
int option_parse(const struct option *o, const struct setting *s, struct arena *a, void *target,
		 struct err *e);

/* A hash over all fields of the scope's struct, going on from h. */
uint64_t option_hash_all(enum option_scope scope, const void *target, uint64_t h);
