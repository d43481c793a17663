/*
 * See listener.h. Free is what bind(2) says, with the options that nginx uses;
 * the socket is closed again at once and never listens. The holder is found the
 * long way, by inode through /proc, which happens only when there is one.
 */
#include "reconcile/services/nginx/listener.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"

#define LOOKS_MAX 200000 /* descriptors looked at: a host may have a great many */

struct address {
	struct sockaddr_storage sa;
	socklen_t len;
	unsigned port;
};

/* "1.2.3.4:80" or "[::1]:80". */
static bool address_parse(const char *text, struct address *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->sa;
	const char *colon = strrchr(text, ':');
	char host[64];
	size_t len;

	memset(ret, 0, sizeof(*ret));
	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return false;
	len = (size_t)(colon - text);
	memcpy(host, text, len);
	host[len] = '\0';
	ret->port = (unsigned)strtoul(colon + 1, NULL, 10);
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)ret->port);
		ret->len = sizeof(*v6);
		return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)ret->port);
	ret->len = sizeof(*v4);
	return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

/* The inode of a socket that listens on the port, 0: none found. */
static unsigned long inode_in(const char *table, unsigned port)
{
	FILE *f = fopen(table, "re");
	char line[512];
	unsigned long found = 0;

	while (f && !found && fgets(line, sizeof(line), f)) {
		unsigned local, state;
		unsigned long inode;

		if (sscanf(line, " %*d: %*[^:]:%x %*s %x %*s %*s %*s %*u %*u %lu", &local, &state,
			   &inode) == 3 &&
		    local == port && state == 0x0A)
			found = inode;
	}
	if (f)
		fclose(f);
	return found;
}

static bool has_socket(const char *pid, const char *want, int *looks)
{
	char path[64], link[64];
	autodir DIR *fds = NULL;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	fds = opendir(path);
	for (struct dirent *it; fds && *looks > 0 && (it = readdir(fds)) != NULL; (*looks)--) {
		if (path_read_link(dirfd(fds), it->d_name, link, sizeof(link)) &&
		    strcmp(link, want) == 0)
			return true;
	}
	return false;
}

static void name_of(const char *pid, char *ret, size_t size)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "re");
	if (f && fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
	snprintf(ret, size, "%s (process %.20s)", name[0] ? name : "somebody", pid);
}

static void holder(unsigned port, char *ret, size_t size)
{
	unsigned long inode = inode_in("/proc/net/tcp", port);
	autodir DIR *proc = opendir("/proc");
	int looks = LOOKS_MAX;
	char want[40];

	if (!inode)
		inode = inode_in("/proc/net/tcp6", port);
	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	snprintf(ret, size, "another program");
	for (struct dirent *it; inode && proc && (it = readdir(proc)) != NULL;) {
		if (it->d_name[0] < '1' || it->d_name[0] > '9')
			continue;
		if (has_socket(it->d_name, want, &looks)) {
			name_of(it->d_name, ret, size);
			return;
		}
	}
}

static void port_set(struct address *a, uint16_t port)
{
	if (a->sa.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&a->sa)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)&a->sa)->sin_port = htons(port);
}

static int check_address(const char *address, struct err *e)
{
	struct address a;
	autofd int fd = -1;

	if (!address_parse(address, &a))
		return 0;
	port_set(&a, 0); /* any: whose the port is does not matter here */
	fd = socket(a.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a.sa, a.len) == 0 || errno != EADDRNOTAVAIL)
		return 0;
	return err_set(e, EHOSTDOWN,
		       "nginx cannot listen on %s: this host does not have that address (`ip "
		       "address` lists those it has)",
		       address);
}

int listener_check_addresses(const struct host *h, struct err *e)
{
	const struct text_list *lists[] = { &h->nginx.http, &h->nginx.https };
	int r = 0;

	for (size_t i = 0; i < ELEMENTS(lists); i++)
		for (size_t j = 0; j < lists[i]->count && r == 0; j++)
			r = check_address(lists[i]->items[j], e);
	return r;
}

int listener_check(const char *address, struct err *e)
{
	struct address a;
	char who[80];
	int one = 1;
	autofd int fd = -1;

	if (!address_parse(address, &a))
		return 0;
	fd = socket(a.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "listen on %s", address);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (a.sa.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a.sa, a.len) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return err_sys(e, "listen on %s", address);
	holder(a.port, who, sizeof(who));
	return err_set(e, EADDRINUSE, "%s listens on %s, which nginx is to serve", who, address);
}
