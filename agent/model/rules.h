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
	struct problems *problems;
};

void rules_host(const struct rules *r, const struct host *h);
void rules_webspace(const struct rules *r, const struct host *h, const struct webspace *w);
