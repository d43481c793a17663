/* The directories in which nginx has sockets, challenges and temporary files, and passes through. */
#pragma once

#include "agent/base/err.h"
#include "agent/model/host.h"

int nginx_places_make(const struct host *host, struct err *e);
