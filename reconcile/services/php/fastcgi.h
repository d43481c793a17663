/*
 * A question to a FastCGI server over its unix socket, asked in steps that
 * never block: does the master behind it answer, and what does it say? Only
 * GET without a body, only short answers.
 */
#pragma once

#include <stddef.h>

#include "agent/base/err.h"

struct fastcgi_ask {
	int fd; /* -1: not connected yet */
	size_t len;
	unsigned char answer[2048];
};

void fastcgi_ask_init(struct fastcgi_ask *a);
void fastcgi_ask_clear(struct fastcgi_ask *a);

/*
 * Goes on as far as it can. 1: *ret_body (in a, NUL-terminated) is what the
 * server said; 0: not yet, call again; -errno: it refused, hung up or spoke
 * something else. After an error the next step begins anew. path: what is
 * asked for, "/ping", at most 100 characters.
 */
int fastcgi_ask_step(struct fastcgi_ask *a, const char *socket_path, const char *path,
		     const char **ret_body, struct err *e);
