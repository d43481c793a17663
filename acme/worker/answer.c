/*
 * What came over HTTP as a reply: first what every answer has, then by the kind
 * of the request. What is not as it should be makes it REPLY_ODD with a
 * sentence; its nonce and its times are still good.
 */
#include "acme/worker/answer.h"

#include <ctype.h>
#include <string.h>

#include "acme/worker/header.h"
#include "acme/worker/object.h"
#include "agent/base/json.h"
#include "agent/base/own.h"

#define NONCE_MAX 255

static const char *url_or_none(struct arena *arena, const char *url)
{
	size_t len = url ? strlen(url) : 0;

	for (size_t i = 0; i < len; i++)
		if (url[i] <= ' ' || url[i] > '~')
			return "";
	return len > 0 && len <= WIRE_URL_MAX ? arena_dup(arena, url) : "";
}

static void read_head(const struct http_answer *a, int64_t now, struct arena *arena,
		      struct reply *ret)
{
	ret->error = a->error;
	ret->text = object_text(arena, a->text, WIRE_TEXT_MAX);
	ret->http = a->status <= 999 ? a->status : 0;
	ret->connections = a->connections <= 1000 ? a->connections : 1000;
	ret->location = url_or_none(arena, a->location);
	if (a->nonce && header_is_base64url(a->nonce, NONCE_MAX))
		ret->nonce = arena_dup(arena, a->nonce);
	if (a->date)
		ret->date = header_date(a->date);
	if (a->retry_after)
		ret->retry_after = header_retry_after(a->retry_after, ret->date ? ret->date : now);
	for (size_t i = 0; i < a->alternates.count && ret->alternates.count < WIRE_OFFERS_MAX;
	     i++) {
		const char *url = url_or_none(arena, a->alternates.items[i]);

		if (*url)
			ret->alternates.items[ret->alternates.count++] = url;
	}
}

/* Nothing but its head, and what is wrong. */
static void odd(struct reply *ret, const char *text)
{
	struct reply head = *ret;

	reply_clear(ret);
	ret->id = head.id;
	ret->error = REPLY_ODD;
	ret->text = text;
	ret->http = head.http;
	ret->connections = head.connections;
	ret->nonce = head.nonce;
	ret->retry_after = head.retry_after;
	ret->date = head.date;
}

static void read_object(const struct request *request, const struct http_answer *a,
			struct arena *arena, struct reply *ret)
{
	autojson struct json *j = NULL;
	struct err e = { 0 };

	if (json_parse(a->body, a->body_len, &j, &e) < 0 ||
	    object_read(request->kind, j, arena, ret, &e) < 0)
		odd(ret, object_text(arena, e.text, WIRE_TEXT_MAX));
	/* A line that dies within the headers is none to curl. */
	if (a->body_len == 0)
		ret->error = REPLY_BROKEN;
}

/* Whatever its content type says; a page of HTML is no problem document. */
static void read_problem(const struct http_answer *a, struct arena *arena, struct reply *ret)
{
	autojson struct json *j = NULL;

	if (a->body_len > 0 && json_parse(a->body, a->body_len, &j, NULL) == 0 &&
	    json_text(j, "type"))
		object_read_problem(j, arena, ret);
	else if (*ret->location)
		ret->text = object_text(
			arena, arena_printf(arena, "status %u to %s", ret->http, ret->location),
			WIRE_TEXT_MAX);
	else
		ret->text = arena_printf(arena, "status %u", ret->http);
}

/* Text of printable lines: what is in it is for the agent to judge. */
static void read_chain(const char *text, size_t len, struct arena *arena, struct reply *ret)
{
	char *copy;
	size_t n = 0;

	if (len == 0 || len > WIRE_BODY_MAX) {
		odd(ret, arena_printf(arena, "a chain of %zu bytes", len));
		return;
	}
	copy = arena_new(arena, len + 1);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\r' || text[i] == '\t')
			continue;
		if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~')) {
			odd(ret, "a chain that is not text");
			return;
		}
		copy[n++] = text[i];
	}
	ret->chain = copy;
}

static void read_listener(const struct request *request, const struct http_answer *a,
			  struct arena *arena, struct reply *ret)
{
	size_t len = a->body_len;

	while (len > 0 && isspace((unsigned char)a->body[len - 1]))
		len--;
	ret->found = a->status == 200 && len == strlen(request->expect) &&
		     memcmp(a->body, request->expect, len) == 0;
	if (ret->found)
		return;
	if (a->status == 200)
		ret->text = arena_printf(arena, "a page of %zu bytes", a->body_len);
	else
		ret->text = object_text(arena,
					arena_printf(arena, "status %u%s%s", a->status,
						     a->location ? " to " : "",
						     a->location ? a->location : ""),
					WIRE_TEXT_MAX);
}

void answer_read(const struct request *request, const struct http_answer *a, int64_t now,
		 struct arena *arena, struct reply *ret)
{
	reply_clear(ret);
	ret->id = request->id;
	read_head(a, now, arena, ret);
	if (a->error != REPLY_OK)
		return;
	if (request->kind == REQUEST_LISTENER)
		read_listener(request, a, arena, ret);
	else if (request->kind == REQUEST_HANDSHAKE && a->certificate)
		read_chain(a->certificate, strlen(a->certificate), arena, ret);
	else if (request->kind == REQUEST_HANDSHAKE)
		odd(ret, "no certificate was shown");
	else if (a->status < 200 || a->status > 299)
		read_problem(a, arena, ret);
	else if (request->kind == REQUEST_CHAIN)
		read_chain(a->body, a->body_len, arena, ret);
	else if (object_is_of(request->kind))
		read_object(request, a, arena, ret);
}

void answer_packet(const struct reply *reply, struct buf *ret)
{
	struct reply other;

	if (reply_encode(reply, ret) == 0)
		return;
	reply_clear(&other);
	other.id = reply->id;
	other.error = REPLY_ODD;
	other.text = "an answer too large to be sent";
	(void)reply_encode(&other, ret);
}
