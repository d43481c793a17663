/*
 * A wildcard stands for one whole label, the first, and for nothing else; a
 * wanted wildcard is covered by itself alone.
 */
#include "acme/cover.h"

#include <string.h>
#include <strings.h>

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

void cover_names(const char *const *listed, size_t n_listed, const char *const *wanted,
		 size_t n_wanted, struct certificate *ret, const char **uncovered)
{
	size_t by_itself = 0;

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
