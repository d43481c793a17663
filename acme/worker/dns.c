/*
 * Questions to the DNS, by c-ares. Those that are asked together share a channel:
 * to make one reads resolv.conf, which takes longer than to ask. It is left for a
 * new one after a second, which then sees the servers as they are.
 *
 * No such name and no such record are answers (exists is false); that nobody
 * could say is REPLY_UNREACHABLE.
 */
#include "acme/worker/dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "acme/worker/object.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#ifndef T_CAA
#define T_CAA 257
#endif
#define TIMEOUT_MSEC  3000 /* of the first try; each further one waits twice as long */
#define TRIES         3
#define PACKET_BYTES  1232 /* what passes everywhere without fragments */
#define ADDRESSES_MAX 32
#define FRESH_USEC    USEC_PER_SEC

struct channel {
	ares_channel ares;
	uint64_t made_usec;
	unsigned n_questions; /* that use it */
	struct channel *next;
};

struct question {
	struct channel *channel; /* NULL: there is none to ask */
	const struct request *request;
	struct arena *arena;
	struct reply *reply;
	dns_fn *fn;
	void *data;
	const char *zone; /* REQUEST_CAA: of which the records are being asked */
	unsigned waiting; /* answers that have not come */
	int failure;      /* of one that did not; ARES_SUCCESS: none */
	struct question *next;
};

struct dns {
	struct question *questions;
	struct channel *channels; /* the newest first */
};

int dns_init(struct err *e)
{
	int r = ares_library_init(ARES_LIB_INIT_ALL);

	return r == ARES_SUCCESS ? 0 : err_set(e, EIO, "c-ares: %s", ares_strerror(r));
}

void dns_open(struct dns **ret)
{
	*ret = memory_new(sizeof(**ret));
}

/* Questions that are still open are told so. */
static void close_channel(struct channel **at)
{
	struct channel *c = *at;

	*at = c->next;
	ares_destroy(c->ares);
	free(c);
}

void dns_close(struct dns *d)
{
	struct question *q;

	if (!d)
		return;
	while (d->channels)
		close_channel(&d->channels);
	while ((q = d->questions)) {
		d->questions = q->next;
		free(q);
	}
	free(d);
}

static bool is_fresh(const struct channel *c)
{
	return clock_usec() - c->made_usec < FRESH_USEC;
}

static void close_stale_channels(struct dns *d)
{
	struct channel **at = &d->channels;

	while (*at)
		if ((*at)->n_questions > 0 || is_fresh(*at))
			at = &(*at)->next;
		else
			close_channel(at);
}

/* What is asked now goes by this one. An error of c-ares, or ARES_SUCCESS. */
static int take_channel(struct dns *d, struct channel **ret)
{
	struct ares_options options = { .timeout = TIMEOUT_MSEC,
					.tries = TRIES,
					.flags = ARES_FLAG_EDNS,
					.ednspsz = PACKET_BYTES };
	struct channel *c;
	int r;

	close_stale_channels(d);
	if (!d->channels || !is_fresh(d->channels)) {
		c = memory_new(sizeof(*c));
		r = ares_init_options(&c->ares, &options,
				      ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS |
					      ARES_OPT_EDNSPSZ);
		if (r != ARES_SUCCESS) {
			free(c);
			return r;
		}
		c->made_usec = clock_usec();
		c->next = d->channels;
		d->channels = c;
	}
	d->channels->n_questions++;
	*ret = d->channels;
	return ARES_SUCCESS;
}

static void add_record(struct question *q, const char *text)
{
	struct text_array *records = &q->reply->records;

	q->reply->exists = true;
	if (*text && records->count < WIRE_NAMES_MAX)
		records->items[records->count++] = object_text(q->arena, text, WIRE_TEXT_MAX);
}

/* Is it an answer, be it that there is nothing? */
static bool answered(struct question *q, int status)
{
	bool nothing = status == ARES_ENODATA || status == ARES_ENOTFOUND;

	q->waiting--;
	if (status != ARES_SUCCESS && !nothing)
		q->failure = status;
	return status == ARES_SUCCESS;
}

/* … and one that can be read? */
static bool parsed(struct question *q, int result)
{
	if (result != ARES_SUCCESS && result != ARES_ENODATA)
		q->failure = result;
	return result == ARES_SUCCESS;
}

/* REQUEST_ADDRESSES */

static void on_a(void *data, int status, int timeouts, unsigned char *packet, int len)
{
	struct question *q = data;
	struct ares_addrttl found[ADDRESSES_MAX];
	int n = ADDRESSES_MAX;
	char text[INET_ADDRSTRLEN];

	(void)timeouts;
	if (!answered(q, status) ||
	    ares_parse_a_reply(packet, len, NULL, found, &n) != ARES_SUCCESS)
		return;
	for (int i = 0; i < n; i++)
		if (inet_ntop(AF_INET, &found[i].ipaddr, text, sizeof(text)))
			add_record(q, text);
}

static void on_aaaa(void *data, int status, int timeouts, unsigned char *packet, int len)
{
	struct question *q = data;
	struct ares_addr6ttl found[ADDRESSES_MAX];
	int n = ADDRESSES_MAX;
	char text[INET6_ADDRSTRLEN];

	(void)timeouts;
	if (!answered(q, status) || !parsed(q, ares_parse_aaaa_reply(packet, len, NULL, found, &n)))
		return;
	for (int i = 0; i < n; i++)
		if (inet_ntop(AF_INET6, &found[i].ip6addr, text, sizeof(text)))
			add_record(q, text);
}

static void ask_addresses(struct question *q)
{
	q->waiting = 2;
	ares_query(q->channel->ares, q->request->name, C_IN, T_A, on_a, q);
	ares_query(q->channel->ares, q->request->name, C_IN, T_AAAA, on_aaaa, q);
}

/* REQUEST_CAA */

/* RFC 8659, 4.1: flags, the length of the property's name, the name, its value. c-ares refuses empty values. */
static void add_caa(struct question *q, const unsigned char *data, size_t len)
{
	static const struct {
		const char *property, *mark;
	} properties[] = { { "issue", "" }, { "issuewild", "*" } };
	char *property, *value;

	if (len < 2 || data[1] == 0 || 2 + (size_t)data[1] > len) {
		q->failure = ARES_EBADRESP;
		return;
	}
	property = arena_dupn(q->arena, (const char *)data + 2, data[1]);
	value = arena_dupn(q->arena, (const char *)data + 2 + data[1], len - 2 - data[1]);
	q->reply->exists = true;
	for (size_t i = 0; i < ELEMENTS(properties); i++)
		if (strcasecmp(property, properties[i].property) == 0)
			/* An empty value forbids as ";" does. */
			add_record(q, arena_printf(q->arena, "%s%s", properties[i].mark,
						   *value ? value : ";"));
}

/* None: its parent's are good. */
static bool has_caa(struct question *q, const unsigned char *packet, int len)
{
	ns_msg message;
	ns_rr record;

	if (ns_initparse(packet, len, &message) < 0) {
		q->failure = ARES_EBADRESP;
		return false;
	}
	for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
		if (ns_parserr(&message, ns_s_an, i, &record) < 0) {
			q->failure = ARES_EBADRESP;
			return false;
		}
		if (ns_rr_type(record) == T_CAA && ns_rr_class(record) == C_IN)
			add_caa(q, ns_rr_rdata(record), ns_rr_rdlen(record));
	}
	return q->reply->exists;
}

static void ask_caa(struct question *q);

static void on_caa(void *data, int status, int timeouts, unsigned char *packet, int len)
{
	struct question *q = data;

	(void)timeouts;
	if ((answered(q, status) && has_caa(q, packet, len)) || q->failure != ARES_SUCCESS)
		return;
	q->zone = strchr(q->zone, '.');
	if (q->zone && *++q->zone)
		ask_caa(q);
}

static void ask_caa(struct question *q)
{
	q->waiting++;
	ares_query(q->channel->ares, q->zone, C_IN, T_CAA, on_caa, q);
}

static void ask_caa_of_name(struct question *q)
{
	q->zone = q->request->name;
	ask_caa(q);
}

/* REQUEST_TXT */

static void end_txt(struct question *q, struct buf *text)
{
	if (text->data && strcmp(buf_text(text), q->request->expect) == 0)
		q->reply->found = true;
	buf_reset(text);
}

/* A record is one or more strings; they count as joined. */
static void on_txt(void *data, int status, int timeouts, unsigned char *packet, int len)
{
	autobuf struct buf text = { 0 };
	struct question *q = data;
	struct ares_txt_ext *all = NULL;

	(void)timeouts;
	if (!answered(q, status) || !parsed(q, ares_parse_txt_reply_ext(packet, len, &all)))
		return;
	for (const struct ares_txt_ext *one = all; one; one = one->next) {
		q->reply->exists = true;
		if (one->record_start)
			end_txt(q, &text);
		buf_add(&text, one->txt, one->length);
	}
	end_txt(q, &text);
	if (all)
		ares_free_data(all);
}

static void ask_txt(struct question *q)
{
	q->waiting = 1;
	ares_query(q->channel->ares, q->request->name, C_IN, T_TXT, on_txt, q);
}

static void ask(struct question *q)
{
	if (q->request->kind == REQUEST_ADDRESSES)
		ask_addresses(q);
	else if (q->request->kind == REQUEST_CAA)
		ask_caa_of_name(q);
	else
		ask_txt(q);
}

void dns_start(struct dns *d, const struct request *r, struct arena *arena, struct reply *ret,
	       dns_fn *fn, void *data)
{
	struct question *q = memory_new(sizeof(*q));

	*q = (struct question){ .request = r,
				.arena = arena,
				.reply = ret,
				.fn = fn,
				.data = data,
				.next = d->questions };
	d->questions = q;
	reply_clear(ret);
	ret->id = r->id;
	q->failure = take_channel(d, &q->channel);
	if (q->channel)
		ask(q);
}

struct sockets {
	ares_socket_t fds[ARES_GETSOCK_MAXNUM];
	short events[ARES_GETSOCK_MAXNUM];
};

/* c-ares' own macros for these bits shift into the sign of an int. */
static void look_at_sockets(const struct channel *c, struct sockets *ret)
{
	unsigned bits = (unsigned)ares_getsock(c->ares, ret->fds, ARES_GETSOCK_MAXNUM);

	for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++)
		ret->events[i] = (short)((bits >> i & 1 ? POLLIN : 0) |
					 (bits >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0));
}

size_t dns_fds(struct dns *d, struct pollfd *ret, size_t max)
{
	struct sockets s;
	size_t n = 0;

	for (const struct channel *c = d->channels; c; c = c->next) {
		look_at_sockets(c, &s);
		for (size_t i = 0; i < ARES_GETSOCK_MAXNUM && n < max; i++)
			if (s.events[i])
				ret[n++] = (struct pollfd){ .fd = s.fds[i], .events = s.events[i] };
	}
	return n;
}

int dns_timeout_msec(struct dns *d)
{
	int shortest = -1;

	for (const struct question *q = d->questions; q; q = q->next)
		if (q->waiting == 0)
			return 0;
	for (const struct channel *c = d->channels; c; c = c->next) {
		struct timeval tv = { 0 };
		int msec;

		if (!ares_timeout(c->ares, NULL, &tv))
			continue;
		msec = (int)(tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000);
		if (shortest < 0 || msec < shortest)
			shortest = msec;
	}
	return shortest;
}

static void tell(struct question *q)
{
	struct reply *reply = q->reply;

	if (q->failure != ARES_SUCCESS)
		reply->text =
			arena_printf(q->arena, "DNS: %s: %s", q->zone ? q->zone : q->request->name,
				     ares_strerror(q->failure));
	/* Of two questions about addresses one answer will do, if it says where. */
	if (q->failure != ARES_SUCCESS && !reply->exists)
		reply->error = REPLY_UNREACHABLE;
	q->fn(q->data);
}

/* Also a socket that has only an error to tell is read (and it is quiet then). */
static void process(struct channel *c)
{
	struct sockets s;

	look_at_sockets(c, &s);
	ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	for (size_t i = 0; i < ARES_GETSOCK_MAXNUM; i++)
		if (s.events[i])
			ares_process_fd(c->ares, s.events[i] & POLLIN ? s.fds[i] : ARES_SOCKET_BAD,
					s.events[i] & POLLOUT ? s.fds[i] : ARES_SOCKET_BAD);
}

void dns_run(struct dns *d)
{
	struct question **at = &d->questions, *q;

	for (struct channel *c = d->channels; c; c = c->next)
		process(c);
	while ((q = *at)) {
		if (q->waiting > 0) {
			at = &q->next;
			continue;
		}
		*at = q->next;
		if (q->channel)
			q->channel->n_questions--;
		tell(q);
		free(q);
	}
}
