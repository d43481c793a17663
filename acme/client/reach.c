/* A listener of all addresses answers on the loopback's. */
#include "acme/client/reach.h"

#include <stdio.h>
#include <string.h>

void reach_of(const char *listen, char ret[static REACH_MAX])
{
	const char *port = strrchr(listen, ':');

	if (port && (strncmp(listen, "0.0.0.0:", 8) == 0 || strncmp(listen, "*:", 2) == 0))
		snprintf(ret, REACH_MAX, "127.0.0.1%s", port);
	else if (strncmp(listen, "[::]:", 5) == 0)
		snprintf(ret, REACH_MAX, "[::1]%s", port);
	else
		snprintf(ret, REACH_MAX, "%s", listen);
}
