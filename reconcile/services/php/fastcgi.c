/*
 * The question, by the FastCGI specification 1.0 (§3.3 records, §6.2
 * responder): begin, parameters, end of parameters, end of input, in one write
 * of under 600 bytes, which a fresh socket always takes; then records are read
 * until the end of the request.
 *
 * The server is asked as a web server would ask it. That a socket exists or a
 * process runs says less than an answer.
 */
#include "reconcile/services/php/fastcgi.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/own.h"

enum record_type {
	RECORD_BEGIN = 1,
	RECORD_END = 3,
	RECORD_PARAMS = 4,
	RECORD_STDIN = 5,
	RECORD_STDOUT = 6
};

#define HEADER_BYTES   8
#define ROLE_RESPONDER 1
#define REQUEST_ID     1

struct request {
	size_t len;
	unsigned char bytes[600];
};

void fastcgi_ask_init(struct fastcgi_ask *a)
{
	a->fd = -1;
	a->len = 0;
}

void fastcgi_ask_clear(struct fastcgi_ask *a)
{
	if (a->fd >= 0)
		close(a->fd);
	fastcgi_ask_init(a);
}

static void add(struct request *r, const void *bytes, size_t len)
{
	memcpy(r->bytes + r->len, bytes, len);
	r->len += len;
}

static void add_header(struct request *r, enum record_type type, size_t len)
{
	unsigned char header[HEADER_BYTES] = {
		1, (unsigned char)type, 0, REQUEST_ID, (unsigned char)(len >> 8), (unsigned char)len
	};

	add(r, header, sizeof(header));
}

static void add_param(struct request *r, const char *name, const char *value)
{
	unsigned char lengths[2] = { (unsigned char)strlen(name), (unsigned char)strlen(value) };

	add(r, lengths, sizeof(lengths));
	add(r, name, lengths[0]);
	add(r, value, lengths[1]);
}

static void request_make(struct request *r, const char *path)
{
	const unsigned char begin[8] = { 0, ROLE_RESPONDER };
	struct request params = { 0 };

	add_param(&params, "REQUEST_METHOD", "GET");
	add_param(&params, "SCRIPT_NAME", path);
	add_param(&params, "SCRIPT_FILENAME", path);
	add_param(&params, "REQUEST_URI", path);
	add_param(&params, "QUERY_STRING", "");
	add_header(r, RECORD_BEGIN, sizeof(begin));
	add(r, begin, sizeof(begin));
	add_header(r, RECORD_PARAMS, params.len);
	add(r, params.bytes, params.len);
	add_header(r, RECORD_PARAMS, 0);
	add_header(r, RECORD_STDIN, 0);
}

static int connect_and_send(struct fastcgi_ask *a, const char *socket_path, const char *path,
			    struct err *e)
{
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct request r = { 0 };

	if (fd < 0)
		return err_sys(e, "socket");
	if (strlen(socket_path) >= sizeof(to.sun_path) || strlen(path) > 100)
		return err_set(e, ENAMETOOLONG, "%s: path is too long for a socket", socket_path);
	memcpy(to.sun_path, socket_path, strlen(socket_path) + 1);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return err_sys(e, "connect %s", socket_path);
	request_make(&r, path);
	if (send(fd, r.bytes, r.len, MSG_NOSIGNAL) != (ssize_t)r.len)
		return err_set(e, EIO, "%s does not take a request", socket_path);
	a->fd = take_fd(fd);
	return 0;
}

/* Joins the STDOUT records in place. 1: the request has ended, 0: more is to come. */
static int join_stdout(struct fastcgi_ask *a, size_t *ret_len)
{
	size_t at = 0, len = 0;

	while (at + HEADER_BYTES <= a->len) {
		const unsigned char *h = a->answer + at;
		size_t content = ((size_t)h[4] << 8) + h[5];
		unsigned char type = h[1];

		if (at + HEADER_BYTES + content + h[6] > a->len)
			return 0;
		if (type == RECORD_END) {
			*ret_len = len;
			return 1;
		}
		at += HEADER_BYTES + h[6];
		if (type == RECORD_STDOUT)
			len += content;
		at += content;
	}
	return 0;
}

static const char *body_of(struct fastcgi_ask *a, size_t len)
{
	unsigned char joined[sizeof(a->answer)];
	const char *end;
	size_t at = 0, n = 0;

	while (n < len) {
		const unsigned char *h = a->answer + at;
		size_t content = ((size_t)h[4] << 8) + h[5];

		if (h[1] == RECORD_STDOUT) {
			memcpy(joined + n, h + HEADER_BYTES, content);
			n += content;
		}
		at += HEADER_BYTES + content + h[6];
	}
	memcpy(a->answer, joined, n);
	a->answer[n] = '\0';
	end = strstr((const char *)a->answer, "\r\n\r\n");
	return end ? end + 4 : (const char *)a->answer;
}

static int read_more(struct fastcgi_ask *a, struct err *e)
{
	ssize_t n = recv(a->fd, a->answer + a->len, sizeof(a->answer) - 1 - a->len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return err_sys(e, "read the answer");
	if (n == 0)
		return err_set(e, EPROTO, "hung up before it answered, or says too much");
	a->len += (size_t)n;
	return 1;
}

int fastcgi_ask_step(struct fastcgi_ask *a, const char *socket_path, const char *path,
		     const char **ret_body, struct err *e)
{
	size_t len;
	int r = 0;

	if (a->fd < 0)
		r = connect_and_send(a, socket_path, path, e);
	if (r < 0)
		return r;
	while ((r = read_more(a, e)) > 0) {
		if (!join_stdout(a, &len))
			continue;
		close(a->fd);
		a->fd = -1;
		a->len = 0;
		*ret_body = body_of(a, len);
		return 1;
	}
	if (r < 0)
		fastcgi_ask_clear(a);
	return r;
}
