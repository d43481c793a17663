/*
 * A wildcard stands for one whole label, the first, and for nothing else; a
 * wanted wildcard is covered by itself alone.
 */
#include "acme/store/cover.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "acme/store/seen.h"
#include "agent/base/hash.h"

static bool lists(const char *const *listed, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (listed[i] && strcasecmp(listed[i], name) == 0)
			return true;
	return false;
}

static bool lists_by_wildcard(const char *const *listed, size_t n, const char *name)
{
	const char *rest = name[0] == '*' ? NULL : strchr(name, '.');

	for (size_t i = 0; i < n && rest; i++)
		if (listed[i] && listed[i][0] == '*' && strcasecmp(listed[i] + 1, rest) == 0)
			return true;
	return false;
}

/* Two of 64 bits, whatever the case. head: goes before the name. */
static uint64_t bits_of(const char *head, const char *name)
{
	uint64_t hash = hash_bytes(HASH_START, head, strlen(head));

	for (; *name; name++) {
		const char c = (char)tolower((unsigned char)*name);

		hash = hash_bytes(hash, &c, 1);
	}
	return UINT64_C(1) << (hash >> 58) | UINT64_C(1) << (hash >> 52 & 63);
}

bool cover_may(uint64_t listed, const char *const *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *rest = strchr(wanted[i], '.');
		uint64_t itself = bits_of("", wanted[i]), wild = bits_of("*", rest ? rest : "");

		if ((itself & ~listed) && (wild & ~listed))
			return false;
	}
	return true;
}

void cover_names(const char *const *listed, size_t n_listed, const char *const *wanted,
		 size_t n_wanted, struct certificate *ret, const char **uncovered)
{
	size_t by_itself = 0;

	ret->listed = 0;
	for (size_t i = 0; i < n_listed; i++)
		ret->listed |= listed[i] ? bits_of("", listed[i]) : 0;
	ret->covers = n_wanted > 0;
	ret->covers_some = false;
	for (size_t i = 0; i < n_wanted; i++) {
		if (lists(listed, n_listed, wanted[i])) {
			by_itself++;
			ret->covers_some = true;
			continue;
		}
		if (lists_by_wildcard(listed, n_listed, wanted[i])) {
			ret->covers_some = true;
			continue;
		}
		if (ret->covers && uncovered)
			*uncovered = wanted[i];
		ret->covers = false;
	}
	ret->exact = ret->covers && by_itself == n_wanted && n_listed == n_wanted;
}
