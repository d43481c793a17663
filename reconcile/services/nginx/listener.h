/*
 * Is an address free to listen on, and if not, who has it? Asked before nginx
 * is started: nginx itself would try for 2.5 s and then not say who.
 */
#pragma once

#include "agent/base/err.h"
#include "agent/model/host.h"

/*
 * address: "0.0.0.0:80", "[::]:443". 0: free, or not an address that can be judged here;
 * -EADDRINUSE with a sentence that names the process; -EADDRNOTAVAIL, -EACCES.
 */
int listener_check(const char *address, struct err *e);

/* Does the machine have all addresses of nginx.http and nginx.https, free or not? -EHOSTDOWN with the one it lacks. */
int listener_check_addresses(const struct host *h, struct err *e);
