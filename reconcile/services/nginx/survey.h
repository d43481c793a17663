/*
 * What the host's own nginx is told, by itself: `nginx -T`, without what we have
 * it include. From that follows what we may say in its http {}, and whether it
 * can serve webspaces at all without anything of its own becoming another.
 *
 * Of its language no more is known here than words, blocks and include.
 */
#pragma once

#include "agent/model/host.h"
#include "renderers/renderers.h"

struct survey {
	struct nginx_around around;
	char *pid_file; /* NULL: it does not say */
	char *problem;  /* a sentence; NULL: it can serve us */
};

/* dump: what nginx -T printed, with an empty file in the place of host->nginx.include. */
void survey_read(const struct host *host, const char *dump, struct survey *ret);
/* What follows from both is the same. */
bool survey_same(const struct survey *a, const struct survey *b);
void survey_clear(struct survey *s);
