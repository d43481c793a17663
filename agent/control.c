/*
 * Each connection gets one packet in and one out and is closed by whoever
 * comes first, so there is no state to keep about a client, and a silent one
 * holds nothing up.
 */
#include "agent/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define PACKET_MAX     4096
#define CLIENTS_MAX    16
#define ANSWER_SECONDS 5

struct client {
	struct control *control;
	struct loop_source *source;
	int fd;
};

struct control {
	struct loop *loop;
	struct loop_source *source;
	int fd;
	control_fn *fn;
	void *data;
	struct client clients[CLIENTS_MAX]; /* fd 0: free */
};

static int socket_address(const struct host *host, struct sockaddr_un *ret, struct err *e)
{
	int len;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	len = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/agent.sock", host->run_dir);
	if (len < 0 || (size_t)len >= sizeof(ret->sun_path))
		return err_set(e, ENAMETOOLONG, "%s/agent.sock: too long for a socket",
			       host->run_dir);
	return 0;
}

static void client_end(struct client *client)
{
	loop_drop(client->source);
	close(client->fd);
	*client = (struct client){ 0 };
}

static void send_answer(int fd, bool ok, const char *message)
{
	autojson struct json *j = json_new_object();
	autofree char *text = NULL;

	json_put_bool(j, "ok", ok);
	json_put_text(j, "message", message);
	text = json_write(j, false);
	(void)send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void answer(struct control *c, int fd, const char *packet, size_t len)
{
	autobuf struct buf message = { 0 };
	autojson struct json *j = NULL;
	struct err e = { 0 };
	bool ok = false;

	if (json_parse(packet, len, &j, &e) < 0)
		buf_printf(&message, "not a request: %s", e.text);
	else if (!json_text(j, "verb"))
		buf_adds(&message, "not a request: no verb");
	else
		c->fn(json_text(j, "verb"), json_text(j, "word"), &ok, &message, c->data);
	send_answer(fd, ok, buf_text(&message));
}

static void on_packet(int fd, uint32_t events, void *data)
{
	struct client *client = data;
	char packet[PACKET_MAX];
	ssize_t len = recv(fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_TRUNC);

	(void)events;
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len > 0 && (size_t)len <= sizeof(packet))
		answer(client->control, fd, packet, (size_t)len);
	client_end(client);
}

static bool peer_is_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

static void on_connection(int listener, uint32_t events, void *data)
{
	struct control *c = data;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	for (size_t i = 0; i < CLIENTS_MAX && peer_is_allowed(fd); i++) {
		struct client *client = &c->clients[i];

		if (client->source)
			continue;
		*client = (struct client){ .control = c, .fd = fd };
		client->source = loop_fd(c->loop, fd, EPOLLIN, on_packet, client);
		return;
	}
	close(fd);
}

int control_open(const struct host *host, struct loop *loop, control_fn *fn, void *data,
		 struct control **ret, struct err *e)
{
	struct sockaddr_un address;
	autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct control *c;
	mode_t before;
	int r = socket_address(host, &address, e);

	if (r < 0)
		return r;
	if (fd < 0)
		return err_sys(e, "socket");
	(void)unlink(address.sun_path);
	before = umask(0177);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(before);
	if (r < 0 || listen(fd, CLIENTS_MAX) < 0)
		return err_sys(e, "listen on %s", address.sun_path);
	c = memory_new(sizeof(*c));
	*c = (struct control){ .loop = loop, .fn = fn, .data = data, .fd = take_fd(fd) };
	c->source = loop_fd(loop, c->fd, EPOLLIN, on_connection, c);
	*ret = c;
	return 0;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i].source)
			client_end(&c->clients[i]);
	loop_drop(c->source);
	close(c->fd);
	free(c);
}

static int door_connect(const struct host *host, struct err *e)
{
	const struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	struct sockaddr_un address;
	autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int r = socket_address(host, &address, e);

	if (r < 0)
		return r;
	if (fd < 0)
		return err_sys(e, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(e, "%s", address.sun_path);
	return take_fd(fd);
}

int control_ask(const struct host *host, const char *verb, const char *word, bool *ret_ok,
		struct buf *ret_message, struct err *e)
{
	autofd int fd = door_connect(host, e);
	autojson struct json *question = json_new_object(), *reply = NULL;
	autofree char *text = NULL;
	char packet[PACKET_MAX];
	ssize_t len;
	int r;

	if (fd < 0)
		return fd;
	json_put_text(question, "verb", verb);
	if (word)
		json_put_text(question, "word", word);
	text = json_write(question, false);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return err_sys(e, "ask the agent");
	len = recv(fd, packet, sizeof(packet), 0);
	if (len <= 0)
		return len < 0 ? err_sys(e, "the agent does not answer")
			       : err_set(e, EPROTO, "the agent closed the door");
	r = json_parse(packet, (size_t)len, &reply, e);
	if (r < 0)
		return err_in(e, "answer of the agent");
	*ret_ok = json_bool(reply, "ok", false);
	buf_adds(ret_message, json_text(reply, "message") ? json_text(reply, "message") : "");
	return 0;
}

int control_lock(const struct host *host, struct err *e)
{
	autofd int dir = -1, fd = -1;
	int r = path_make_dirs(host->run_dir, 0755, e);

	if (r < 0)
		return r;
	dir = path_open_dir(host->run_dir, e);
	if (dir < 0)
		return dir;
	fd = openat(dir, "agent.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "%s/agent.lock", host->run_dir);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, EBUSY, "an agent runs already (%s/agent.lock is taken)",
			       host->run_dir);
	return take_fd(fd);
}
