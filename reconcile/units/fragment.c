/*
 * A fragment is one webspace's rendered part of a daemon's configuration: all
 * its sections in one allocation, so that ten thousand of them cost little more
 * than their text. Immutable and counted: what is being validated stays as it
 * was, also when its webspace has changed again meanwhile.
 */
#include "reconcile/service.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"

struct fragment *fragment_new(const struct buf sections[static FRAGMENT_SECTIONS])
{
	struct fragment *f;
	size_t total = 0;

	for (size_t s = 0; s < FRAGMENT_SECTIONS; s++)
		total += sections[s].len;

	f = memory_new(sizeof(*f) + total);
	f->refs = 1;
	for (size_t s = 0, at = 0; s < FRAGMENT_SECTIONS; s++) {
		f->len[s] = sections[s].len;
		if (sections[s].len > 0)
			memcpy(f->text + at, sections[s].data, sections[s].len);
		at += sections[s].len;
	}
	return f;
}

struct fragment *fragment_keep(struct fragment *f)
{
	if (f)
		f->refs++;
	return f;
}

void fragment_free(struct fragment *f)
{
	if (f && --f->refs == 0)
		free(f);
}

static size_t fragment_size(const struct fragment *f)
{
	size_t total = 0;

	for (size_t s = 0; s < FRAGMENT_SECTIONS; s++)
		total += f->len[s];
	return total;
}

bool fragment_same(const struct fragment *a, const struct fragment *b)
{
	if (a == b)
		return true;
	if (!a || !b || memcmp(a->len, b->len, sizeof(a->len)) != 0)
		return false;
	return memcmp(a->text, b->text, fragment_size(a)) == 0;
}

bool fragment_contains(const struct fragment *f, const char *text, size_t len)
{
	return len > 0 && memmem(f->text, fragment_size(f), text, len) != NULL;
}

const char *fragment_section(const struct fragment *f, size_t section, size_t *ret_len)
{
	size_t at = 0;

	for (size_t s = 0; s < section; s++)
		at += f->len[s];
	*ret_len = f->len[section];
	return f->text + at;
}
