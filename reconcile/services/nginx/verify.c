/*
 * See verify.h. Connecting to a unix socket and sending some bytes to it are
 * done at once or not at all, so only the answer is waited for, in the loop.
 */
#include "reconcile/services/nginx/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define ANSWER_MAX 1024
#define PATIENCE   (2 * USEC_PER_SEC)

static const char question[] = "GET / HTTP/1.0\r\nHost: verify\r\n\r\n";

struct verify {
	int fd;
	struct loop_source *readable, *deadline;
	verify_fn *fn;
	void *data;
	size_t len;
	char answer[ANSWER_MAX + 1];
};

uint64_t verify_parse(const char *answer)
{
	const char *body = strstr(answer, "\r\n\r\n");
	char *end;
	unsigned long long n;

	if (!body || strncmp(answer, "HTTP/1.", 7) != 0 || strncmp(answer + 7, "1 200", 5) != 0)
		return 0;
	body += 4;
	if (*body < '1' || *body > '9')
		return 0;
	n = strtoull(body, &end, 10);
	return strcmp(end, "\n") == 0 ? n : 0;
}

void verify_drop(struct verify *v)
{
	if (!v)
		return;
	loop_drop(v->readable);
	loop_drop(v->deadline);
	close(v->fd);
	free(v);
}

pid_t verify_holder(const struct verify *v)
{
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);

	return getsockopt(v->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ? 0 : who.pid;
}

static void done(struct verify *v, uint64_t generation)
{
	verify_fn *fn = v->fn;
	void *data = v->data;

	verify_drop(v);
	fn(generation, data);
}

static void readable(int fd, uint32_t events, void *data)
{
	struct verify *v = data;
	ssize_t n = recv(fd, v->answer + v->len, ANSWER_MAX - v->len, 0);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		v->len += (size_t)n;
	if (n > 0 && v->len < ANSWER_MAX)
		return;
	v->answer[v->len] = '\0';
	done(v, n == 0 ? verify_parse(v->answer) : 0);
}

static void too_late(void *data)
{
	done(data, 0);
}

int verify_ask(struct loop *l, const char *socket_path, verify_fn *fn, void *data,
	       struct verify **ret, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct verify *v;

	if (fd < 0)
		return err_sys(e, "socket");
	if (strlen(socket_path) >= sizeof(a.sun_path))
		return err_set(e, ENAMETOOLONG, "%s is too long for a socket", socket_path);
	memcpy(a.sun_path, socket_path, strlen(socket_path));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) < 0)
		return err_sys(e, "ask %s", socket_path);

	v = memory_new(sizeof(*v));
	v->fn = fn;
	v->data = data;
	v->readable = loop_fd(l, fd, EPOLLIN, readable, v);
	v->deadline = loop_timer(l, clock_usec() + PATIENCE, too_late, v);
	v->fd = take_fd(fd);
	*ret = v;
	return 0;
}
