/*
 * Arbitrary answers of a CA: the first line is the kind, the status and the
 * headers, the rest the body. Whatever it is, the agent must be able to take
 * the reply, and a body that is not what it should be must not come as one.
 *
 *     KIND STATUS NONCE|LOCATION|RETRY-AFTER|DATE|LINK newline BODY
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/worker/answer.h"
#include "acme/worker/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_links(const char *value, struct text_array *ret, char (*room)[WIRE_URL_MAX + 1])
{
	while (ret->count < WIRE_OFFERS_MAX &&
	       header_link(&value, "alternate", room[ret->count], WIRE_URL_MAX + 1)) {
		ret->items[ret->count] = room[ret->count];
		ret->count++;
	}
}

static void check(const struct reply *reply)
{
	struct buf packet = { 0 };
	struct reply got;

	answer_packet(reply, &packet);
	if (packet.len == 0 || packet.len > WIRE_MAX ||
	    reply_decode(packet.data, packet.len, &got, NULL) < 0 || got.id != reply->id)
		abort();
	if (got.error != REPLY_OK && !*got.text)
		abort();
	for (size_t i = 0; i < got.n_offers; i++)
		if (strpbrk(got.offers[i].token, "/. %\\"))
			abort();
	for (size_t i = 0; i < got.authorizations.count; i++)
		if (strncasecmp(got.authorizations.items[i], "https://", 8) != 0)
			abort();
	buf_clear(&packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char line[512] = "", *words[7] = { 0 }, *rest = line,
	     room[WIRE_OFFERS_MAX][WIRE_URL_MAX + 1];
	const uint8_t *end = memchr(data, '\n', size);
	struct http_answer a = { .text = "" };
	struct request request = { .id = 9, .expect = "token.print", .url = "", .name = "" };
	struct arena arena = { 0 };
	struct reply reply;

	if (!end || (size_t)(end - data) >= sizeof(line) || memchr(data, 0, (size_t)(end - data)))
		return 0;
	memcpy(line, data, (size_t)(end - data));
	for (size_t i = 0; i < 7 && rest; i++)
		words[i] = strsep(&rest, i < 2 ? " " : "|");
	request.kind = words[0] ? strtoul(words[0], NULL, 10) % REQUEST_ADDRESSES : 0;
	a.status = words[1] ? (unsigned)strtoul(words[1], NULL, 10) : 200;
	a.nonce = words[2];
	a.location = words[3];
	a.retry_after = words[4];
	a.date = words[5];
	if (words[6])
		read_links(words[6], &a.alternates, room);
	a.body = (const char *)end + 1;
	a.body_len = size - (size_t)(end + 1 - data);
	a.certificate = request.kind == REQUEST_HANDSHAKE ? words[3] : NULL;
	answer_read(&request, &a, 1795591954, &arena, &reply);
	check(&reply);
	arena_clear(&arena);
	return 0;
}
