/* Files of the host that all webspaces share: which of them an agent watches. */
#pragma once

#include "agent/model/host.h"

/* NULL-ended; the list is the caller's, the paths are the host's. */
const char **host_files(const struct host *host);
