/*
 * The process that talks: DNS, TLS, HTTP and JSON, for the agent at the other
 * end of a socket. It has no keys, no rights and no files; it gives those it
 * was started with up before it reads its first message.
 */
#pragma once

#include "agent/base/err.h"

struct worker_config {
	int line;            /* the SOCK_SEQPACKET to the agent */
	const char *version; /* the agent's: both speak alike only if it is ours */
	const char
		*user; /* whom to become; with another user than root as caller: stays who it is */
	const char *ca_file; /* "": the system's CAs */
};

/*
 * Until the line closes: 0. -errno, told by the line too: another version, rights that it could not
 * give up, no network library.
 */
int worker_run(const struct worker_config *config, struct err *e);
