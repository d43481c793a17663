/* What must hold between values that are each right by themselves. */
#pragma once

#include "agent/model/host.h"
#include "agent/model/load.h"
#include "agent/model/setting.h"
#include "agent/model/webspace.h"

/* Where messages point to. */
struct rules {
	const char *file;
	const struct setting *root; /* of the file, for lines */
	const char *shown;          /* before each key: "defaults.", "" */
	struct problems *problems;
};

void rules_host(const struct rules *r, const struct host *h);
/* Of `defaults`: follow() has been there, so what does not fit stands there itself. w has one site. */
void rules_defaults(const struct rules *r, const struct host *h, const struct webspace *w);
void rules_webspace(const struct rules *r, const struct host *h, const struct webspace *w);
/* … what of it is PHP's: php_rules.c. */
void rules_php(const struct rules *r, const struct host *h, const struct webspace *w);

__attribute__((format(printf, 3, 4))) void rule_broken(const struct rules *r, const char *key,
						       const char *format, ...);
