/* Addresses of the Internet as text (inet_ntop(3)), and which of them this host has. */
#pragma once

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Without its port. False: it is of another family, or NULL. */
bool address_text(const struct sockaddr *s, char ret[static INET6_ADDRSTRLEN]);
/* Is it that of an interface? all: of getifaddrs(3), may be NULL. */
bool address_is_among(const struct ifaddrs *all, const char *text);
