/* IPv4 and IPv6, each with a structure of its own around the bytes. */
#include "agent/base/address.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <strings.h>

bool address_text(const struct sockaddr *s, char ret[static INET6_ADDRSTRLEN])
{
	const void *raw = NULL;

	if (s && s->sa_family == AF_INET)
		raw = &((const struct sockaddr_in *)s)->sin_addr;
	if (s && s->sa_family == AF_INET6)
		raw = &((const struct sockaddr_in6 *)s)->sin6_addr;
	return raw && inet_ntop(s->sa_family, raw, ret, INET6_ADDRSTRLEN);
}

bool address_is_among(const struct ifaddrs *all, const char *text)
{
	char own[INET6_ADDRSTRLEN];

	for (const struct ifaddrs *i = all; i; i = i->ifa_next)
		if (address_text(i->ifa_addr, own) && strcasecmp(own, text) == 0)
			return true;
	return false;
}
