/* The directories in which nginx has sockets, challenges and temporary files, and passes through. */
#pragma once

#include "agent/base/err.h"
#include "agent/model/host.h"

/* In LOG_ROOT. */
#define NGINX_LOG "nginx-error.log"

int nginx_places_make(const struct host *host, struct err *e);
