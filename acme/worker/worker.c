/*
 * The worker's loop: messages in, exchanges made, replies out. One thread, one
 * wait for everything; the agent sees to it that there are never too many.
 *
 * Replies are sent blocking: the agent reads whenever there is something and
 * never waits for us.
 */
#include "acme/worker/worker.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "acme/worker/answer.h"
#include "acme/worker/dns.h"
#include "acme/worker/http.h"
#include "acme/worker/object.h"
#include "acme/worker/sandbox.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define FDS_MAX        250
#define TRIM_THRESHOLD 65536 /* bytes of a body: let the large ones go back to the system */

struct worker {
	int line;
	struct http *http;
	struct dns *dns;
	unsigned jobs;
	int ended; /* 1: the line has closed; < 0: an error */
};

/* One exchange. request's texts point into packet, reply's into arena. */
struct job {
	struct worker *worker;
	char *packet;
	struct request request;
	struct arena arena;
	struct reply reply;
};

/* The line, and what cannot be told there, no matter: its end comes by recv. */
static void send_reply(int line, const struct reply *reply)
{
	autobuf struct buf packet = { 0 };
	ssize_t n;

	answer_packet(reply, &packet);
	do
		n = send(line, packet.data, packet.len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
}

/* Why it ends: a reply to nobody. */
static void send_last_words(int line, const struct err *e)
{
	autoarena struct arena arena = { 0 };
	struct reply last;

	reply_clear(&last);
	last.error = REPLY_BROKEN;
	last.text = object_text(&arena, e->text, WIRE_TEXT_MAX);
	send_reply(line, &last);
}

static void job_end(struct job *j)
{
	j->worker->jobs--;
	arena_clear(&j->arena);
	free(j->packet);
	free(j);
}

static void on_http(const struct http_answer *answer, void *data)
{
	struct job *j = data;

	answer_read(&j->request, answer, clock_wall(), &j->arena, &j->reply);
	send_reply(j->worker->line, &j->reply);
	job_end(j);
}

static void on_dns(void *data)
{
	struct job *j = data;

	send_reply(j->worker->line, &j->reply);
	job_end(j);
}

static int begin(struct worker *w, const char *packet, size_t len, struct err *e)
{
	struct job *j = memory_new(sizeof(*j));
	int r;

	j->worker = w;
	j->packet = memory_new(len + 1);
	memcpy(j->packet, packet, len);
	w->jobs++;
	r = request_decode(j->packet, len, &j->request, e);
	if (r < 0)
		job_end(j);
	else if (j->request.kind < REQUEST_ADDRESSES)
		http_start(w->http, &j->request, on_http, j);
	else
		dns_start(w->dns, &j->request, &j->arena, &j->reply, on_dns, j);
	return r;
}

/* All that have come. 1: the line has closed. */
static int read_line(struct worker *w, struct err *e)
{
	static char packet[WIRE_MAX + 1];
	ssize_t n;
	int r = 0;

	while (r == 0) {
		n = recv(w->line, packet, sizeof(packet), MSG_DONTWAIT);
		if (n == 0)
			return 1;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : err_sys(e, "the agent's line");
		r = begin(w, packet, (size_t)n, e);
	}
	return r;
}

static int serve(struct worker *w, struct err *e)
{
	struct pollfd fds[FDS_MAX];
	int r = 0;

	while (r == 0) {
		size_t n = 1 + dns_fds(w->dns, fds + 1, FDS_MAX - 1);

		fds[0] = (struct pollfd){ .fd = w->line, .events = POLLIN };
		http_wait(w->http, fds, n, dns_timeout_msec(w->dns));
		/* The line first: what it asks for goes out at once. Its end can be read, too. */
		if (fds[0].revents)
			r = read_line(w, e);
		http_run(w->http);
		dns_run(w->dns);
	}
	return r < 0 ? r : 0;
}

static int open_all(const struct worker_config *config, struct worker *w, struct err *e)
{
	const char *const files[] = { config->ca_file, NULL };
	int r;

	if (strcmp(config->version, VERSION) != 0)
		return err_set(e, EPROTO, "it is of version " VERSION ", the agent of %s",
			       config->version);
	r = http_init(e);
	if (r == 0)
		r = dns_init(e);
	if (r == 0)
		r = sandbox_enter(&(struct sandbox){ .user = config->user, .files = files }, e);
	if (r == 0)
		r = http_open(config->ca_file, &w->http, e);
	if (r == 0)
		dns_open(&w->dns);
	return r;
}

int worker_run(const struct worker_config *config, struct err *e)
{
	struct worker w = { .line = config->line };
	int r;

	/* Threads that resolve names share the heap of this one. */
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
	r = open_all(config, &w, e);
	if (r == 0)
		r = serve(&w, e);
	if (r < 0)
		send_last_words(config->line, e);
	dns_close(w.dns);
	http_close(w.http);
	return r;
}
