/*
 * More names than one certificate takes are several parts. A name's part hangs on its hash, so that
 * one more name, or another order of them, leaves all others where they are.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/model/webspace.h"

struct partition_item {
	size_t index;  /* of the caller's */
	size_t weight; /* names */
	uint64_t hash, part;
};

/* How many names a certificate of this site may have. */
size_t partition_room(const struct site *site);

/* Whatever the order of its names. */
uint64_t partition_hash(const struct text_list *names);

/*
 * Sets each item's part, and leaves the items in the order of their parts. The first part is 0, and the
 * number of a part stays when others are divided. One item alone may weigh more than room.
 */
void partition_divide(struct partition_item *items, size_t n, size_t room);

/* Sites of more names than a certificate takes become several, with the same settings. */
void partition_sites(struct webspace *w);
