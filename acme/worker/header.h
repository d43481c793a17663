/* Values of HTTP headers, and the times in them and in JSON. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RETRY_AFTER_MAX (INT64_C(30) * 86400)

/* Seconds since 1970; 0: not readable, or not between 1970 and 9999. */
int64_t header_date(const char *text);    /* RFC 9110, 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT" */
int64_t header_rfc3339(const char *text); /* "1994-11-06T08:49:37.5Z", "…+01:00" */

/* Retry-After (RFC 9110, 10.2.3) as seconds from now, at most RETRY_AFTER_MAX; -1: not readable. */
int64_t header_retry_after(const char *text, int64_t now);

/* RFC 8555, 6.5.1 and 8.1: nonces and tokens. */
bool header_is_base64url(const char *text, size_t max);

/*
 * The next target of this relation in the value of a Link header (RFC 8288) at *at, which moves on.
 * false: there is none. Targets that do not fit into ret are passed over.
 */
bool header_link(const char **at, const char *relation, char *ret, size_t size);
