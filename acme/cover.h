/* Which names a certificate's names are good for (RFC 6125, 6.4.3). */
#pragma once

#include <stddef.h>

#include "acme/acme.h"

/*
 * Sets ret->listed, ret->covers, ret->covers_some and ret->exact. listed: the certificate's, NULL for one that is no DNS name.
 * uncovered: if not NULL, the first wanted name that is not covered; untouched if all are.
 */
void cover_names(const char *const *listed, size_t n_listed, const char *const *wanted,
		 size_t n_wanted, struct certificate *ret, const char **uncovered);
/* By ret->listed alone. False: some of these are certainly not covered. */
bool cover_may(uint64_t listed, const char *const *wanted, size_t n);
