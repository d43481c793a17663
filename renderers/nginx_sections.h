/* What a fragment of nginx's consists of, between who renders it (nginx.c) and who joins many (nginx_compose.c). */
#pragma once

#include "renderers/renderers.h"

/* Rows of maps, but for the first: lines "=SHAPE", each with the server_name lines of that shape. */
enum nginx_section {
	SECTION_SHAPES,
	SECTION_SITES,
	SECTION_USERS,
	SECTION_SUBDIRS,
	SECTION_HSTS,
	SECTION_TLS,
	SECTION_RSA,
	SECTION_HOLDS,  /* how many connections to us the webspace's own processes can hold */
	SECTION_DROPIN, /* of the admin's; then all others are empty */
	SECTIONS,
};

#define NGINX_HOLDS_MAX 61440 /* a worker that has room for them has 131072 connections */

_Static_assert(SECTIONS <= RENDER_SECTIONS, "a fragment has room for them");

/* What a webspace alone and all together begin with. */
int nginx_common(const struct host *host, const struct nginx_facts *facts, struct buf *ret,
		 struct err *e);
