/* What `webspaces certs renew` does: asks the agent, and says of each certificate how it went. */
#pragma once

#include <stdbool.h>

#include "agent/model/host.h"

/* Returns the exit code. name: a webspace's, or ".host". waits: until it is known. */
int renewal_run(const struct host *host, const char *name, bool waits);
