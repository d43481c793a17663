/*
 * A short look at what a server of this host serves: one GET, in the clear or by
 * TLS with SNI, whatever certificate it shows. Waits, a few seconds at most: for
 * commands, not for the agent.
 */
#pragma once

#include <stdbool.h>
#include <time.h>

#include "agent/base/err.h"

struct peek {
	int status;      /* of HTTP; 0: it closed without an answer */
	bool covers;     /* TLS: the certificate that was shown is for the name */
	char issuer[80]; /* … common name of who issued it */
	time_t ends;
};

/* address: "127.0.0.1:80", "[::1]:443". path: as in the request line. */
int peek_ask(const char *address, const char *name, const char *path, bool tls, struct peek *ret,
	     struct err *e);
