/* What one desired state asks for and another does not, key by key, as one would write it in a file. Pure. */
#pragma once

#include "agent/base/buf.h"
#include "agent/model/webspace.h"

/*
 * sentence: 'php.memory_limit "32M" → "48M"; site wiki.example.org is new', long values cut short.
 * was, is: each key that differs with its value then and now: 'php.memory_limit = "32M";'. Of pairs
 * (environment, php.ini) only the keys are named: their values may be secrets. Empty where
 * nothing differs that has a key.
 */
struct difference {
	struct buf sentence, was, is;
	size_t count;
};

void difference_find(const struct webspace *before, const struct webspace *now,
		     struct difference *ret);
void difference_clear(struct difference *d);
/* "alice.example.org, www.alice.example.org": all names of all sites; a long list is cut. */
void difference_names(const struct webspace *w, struct buf *ret);
