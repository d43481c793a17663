/*
 * A configuration file as a tree of our own, without libconfig: what load.c
 * hands to those who give it a meaning. One arena owns a whole tree.
 */
#pragma once

#include <stddef.h>

enum setting_type {
	SETTING_BOOL,   /* number is 0 or 1 */
	SETTING_NUMBER, /* whole */
	SETTING_REAL,   /* with a point: no key takes one */
	SETTING_TEXT,
	SETTING_LIST,
	SETTING_GROUP,
};

struct setting {
	enum setting_type type;
	unsigned line;
	const char *name; /* NULL: an element of a list */
	long long number;
	const char *text;
	struct setting *items; /* of a list or group */
	size_t count;
};
