/*
 * HTTP and TLS: exchanges with a CA, looks at our own listeners. The only file
 * that knows curl is behind this; it makes one attempt and tells what came.
 */
#pragma once

#include <poll.h>
#include <stddef.h>

#include "acme/wire.h"
#include "agent/base/err.h"

#define HTTP_BODY_MAX 1048576

/* Ends with the call it is given to. */
struct http_answer {
	enum reply_error error;
	const char *text; /* what went wrong; "": nothing */
	unsigned status, connections;
	/* Headers as they came, NULL if they did not; location and alternates are absolute. */
	const char *nonce, *location, *retry_after, *date;
	struct text_array alternates;
	const char *body;
	size_t body_len;
	const char *certificate; /* REQUEST_HANDSHAKE: PEM of the leaf; NULL: none */
};

struct http;
typedef void http_fn(const struct http_answer *answer, void *data);

/* Once in the process, and before it has gone into its sandbox. */
int http_init(struct err *e);
/* ca_file: "": the system's. */
int http_open(const char *ca_file, struct http **ret, struct err *e);
void http_close(struct http *h);

/* Begins what r asks for: one of a CA or of our listeners. r lives until fn was called, by http_run. */
void http_start(struct http *h, const struct request *r, http_fn *fn, void *data);

/*
 * Waits for its own connections and for these, or timeout_msec (-1: for ever). Of what poll(2) says
 * curl passes POLLIN and POLLOUT on in revents: a socket that has but an error has none of them.
 */
void http_wait(struct http *h, struct pollfd *others, size_t n_others, int timeout_msec);
void http_run(struct http *h);
