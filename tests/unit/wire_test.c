/* Messages there and back, and every way in which one can be wrong. */
#include "acme/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

/* Of a memory of exactly its size, so that a sanitizer sees a read beyond. */
static int reply_of(const void *packet, size_t len, struct reply *ret)
{
	static char *copy;
	struct err e = { 0 };
	int r;

	free(copy); /* of the last one: *ret points into it */
	copy = malloc(len ? len : 1);
	memcpy(copy, packet, len);
	r = reply_decode(copy, len, ret, &e);
	assert_true(r == 0 || (r == -EBADMSG && strncmp(e.text, "message: ", 9) == 0));
	return r;
}

static void full_texts(struct text_array *array, size_t n, const char *text)
{
	array->count = n;
	for (size_t i = 0; i < n; i++)
		array->items[i] = text;
}

/* Each field of it has a value of its own. */
static struct reply full_reply(void)
{
	struct reply r;

	reply_clear(&r);
	r = (struct reply){
		.id = 7,
		.error = REPLY_BROKEN,
		.text = "text",
		.http = 429,
		.connections = 3,
		.nonce = "nonce",
		.location = "https://ca/location",
		.retry_after = 0,
		.date = 1795591954,
		.problem = { "rateLimited", "too many", "a.example" },
		.subproblems = { { "", "", "" }, { "caa", "", "b.example" } },
		.n_subproblems = 2,
		.directory = {
			.new_nonce = "https://ca/1", .new_account = "https://ca/2", .new_order = "https://ca/3",
			.revoke_cert = "https://ca/4", .key_change = "https://ca/5",
			.renewal_info = "https://ca/6", .terms = "https://ca/7",
			.external_account_required = true,
		},
		.status = STATUS_REVOKED,
		.expires = 1,
		.finalize = "https://ca/finalize",
		.certificate = "https://ca/certificate",
		.identifier = "example.org",
		.wildcard = true,
		.offers = { { CHALLENGE_OTHER, STATUS_NONE, "", "", { "", "", "" } },
			    { CHALLENGE_DNS_01, STATUS_INVALID, "https://ca/c", "token",
			      { "dns", "no such name", "" } } },
		.n_offers = 2,
		.chain = "-----BEGIN\nx\n",
		.window_start = 10,
		.window_end = 253402300799,
		.explanation = "https://ca/why",
		.found = true,
		.exists = true,
	};
	full_texts(&r.directory.profiles, 8, "classic");
	full_texts(&r.directory.caa_identities, 1, "ca.example");
	full_texts(&r.authorizations, 100, "https://ca/authorization");
	full_texts(&r.alternates, 8, "https://ca/alternate");
	full_texts(&r.records, 100, "192.0.2.1");
	return r;
}

static void problems_are_equal(const struct problem *a, const struct problem *b)
{
	assert_string_equal(a->type, b->type);
	assert_string_equal(a->detail, b->detail);
	assert_string_equal(a->name, b->name);
}

static void texts_are_equal(const struct text_array *a, const struct text_array *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		assert_string_equal(a->items[i], b->items[i]);
}

static void replies_are_equal(const struct reply *a, const struct reply *b)
{
#define SAME_TEXT(member)   assert_string_equal(a->member, b->member)
#define SAME_NUMBER(member) assert_true(a->member == b->member)
	SAME_NUMBER(id);
	SAME_NUMBER(error);
	SAME_TEXT(text);
	SAME_NUMBER(http);
	SAME_NUMBER(connections);
	SAME_TEXT(nonce);
	SAME_TEXT(location);
	SAME_NUMBER(retry_after);
	SAME_NUMBER(date);
	problems_are_equal(&a->problem, &b->problem);
	SAME_NUMBER(n_subproblems);
	for (size_t i = 0; i < a->n_subproblems; i++)
		problems_are_equal(&a->subproblems[i], &b->subproblems[i]);
	SAME_TEXT(directory.new_nonce);
	SAME_TEXT(directory.new_account);
	SAME_TEXT(directory.new_order);
	SAME_TEXT(directory.revoke_cert);
	SAME_TEXT(directory.key_change);
	SAME_TEXT(directory.renewal_info);
	SAME_TEXT(directory.terms);
	SAME_NUMBER(directory.external_account_required);
	texts_are_equal(&a->directory.profiles, &b->directory.profiles);
	texts_are_equal(&a->directory.caa_identities, &b->directory.caa_identities);
	SAME_NUMBER(status);
	SAME_NUMBER(expires);
	texts_are_equal(&a->authorizations, &b->authorizations);
	SAME_TEXT(finalize);
	SAME_TEXT(certificate);
	SAME_TEXT(identifier);
	SAME_NUMBER(wildcard);
	SAME_NUMBER(n_offers);
	for (size_t i = 0; i < a->n_offers; i++) {
		SAME_NUMBER(offers[i].type);
		SAME_NUMBER(offers[i].status);
		SAME_TEXT(offers[i].url);
		SAME_TEXT(offers[i].token);
		problems_are_equal(&a->offers[i].problem, &b->offers[i].problem);
	}
	SAME_TEXT(chain);
	texts_are_equal(&a->alternates, &b->alternates);
	SAME_NUMBER(window_start);
	SAME_NUMBER(window_end);
	SAME_TEXT(explanation);
	SAME_NUMBER(found);
	SAME_NUMBER(exists);
	texts_are_equal(&a->records, &b->records);
}

static void a_reply_arrives_as_it_was_sent(void **state)
{
	autobuf struct buf packet = { 0 };
	struct reply sent = full_reply(), got;

	(void)state;
	assert_int_equal(reply_encode(&sent, &packet), 0);
	assert_int_equal(reply_of(packet.data, packet.len, &got), 0);
	replies_are_equal(&sent, &got);
}

static void a_reply_that_says_nothing_is_its_header_and_has_no_null(void **state)
{
	autobuf struct buf packet = { 0 };
	struct reply zero = { .id = UINT32_MAX, .retry_after = -1 }, empty, got;

	(void)state;
	assert_int_equal(reply_encode(&zero, &packet), 0);
	assert_int_equal(packet.len, 8);
	assert_int_equal(reply_of(packet.data, packet.len, &got), 0);
	reply_clear(&empty);
	empty.id = UINT32_MAX;
	replies_are_equal(&empty, &got);
	assert_int_equal(got.retry_after, -1);
	for (size_t i = 0; i < WIRE_OFFERS_MAX; i++) {
		assert_string_equal(got.offers[i].token, "");
		assert_string_equal(got.offers[i].problem.type, "");
		assert_string_equal(got.subproblems[i].detail, "");
	}
}

static void a_message_cut_off_anywhere_is_refused_or_whole_without_its_end(void **state)
{
	autobuf struct buf packet = { 0 }, again = { 0 };
	struct reply sent = full_reply(), got;
	size_t whole = 0;

	(void)state;
	assert_int_equal(reply_encode(&sent, &packet), 0);
	for (size_t len = 0; len < packet.len; len++) {
		if (reply_of(packet.data, len, &got) < 0)
			continue;
		whole++;
		buf_reset(&again);
		assert_int_equal(reply_encode(&got, &again), 0);
		assert_int_equal(again.len, len);
		assert_memory_equal(again.data, packet.data, len);
	}
	/* Only between two fields. */
	assert_in_range(whole, 30, 300);
}

static void any_byte_changed_is_refused_or_another_message(void **state)
{
	autobuf struct buf packet = { 0 }, again = { 0 };
	struct reply sent = full_reply(), got;

	(void)state;
	full_texts(&sent.records, 2, "192.0.2.1");
	full_texts(&sent.authorizations, 2, "https://ca/a");
	assert_int_equal(reply_encode(&sent, &packet), 0);
	for (size_t i = 0; i < packet.len * 8; i++) {
		packet.data[i / 8] ^= (char)(1 << i % 8);
		if (reply_of(packet.data, packet.len, &got) == 0) {
			buf_reset(&again);
			assert_int_equal(reply_encode(&got, &again), 0);
			assert_int_equal(again.len, packet.len);
			assert_memory_equal(again.data, packet.data, packet.len);
		}
		packet.data[i / 8] ^= (char)(1 << i % 8);
	}
}

/* Packets by hand: the header of a reply, then fields. */

static void field(struct buf *b, uint32_t row, const void *bytes, uint32_t len)
{
	buf_add(b, &row, sizeof(row));
	buf_add(b, &len, sizeof(len));
	buf_add(b, bytes, len);
}

static void header(struct buf *b)
{
	static const uint32_t words[] = { UINT32_MAX, 1 };

	buf_add(b, words, sizeof(words));
}

#define ROW_ERROR     0
#define ROW_TEXT      1
#define ROW_HTTP      2
#define ROW_RETRY     6
#define ROW_DATE      7
#define ROW_PROBLEM   8
#define ROW_NONCE_URL 10
#define ROW_WILDCARD  26
#define ROW_CHAIN     28

static void a_field_of_another_form_is_refused(void **state)
{
	static const uint32_t one = 1, zero = 0, four = 4, thousand = 1000;
	static const int64_t minus = -1, never = INT64_MAX, today = 1795591954, long_wait = 2592001;
	static const struct {
		const char *what;
		uint32_t row;
		const void *bytes;
		uint32_t len;
		int result;
	} cases[] = {
		{ "a text", ROW_TEXT, "a b", 4, 0 },
		{ "a text without its end", ROW_TEXT, "abc", 3, -EBADMSG },
		{ "a text with a NUL", ROW_TEXT, "a\0b", 4, -EBADMSG },
		{ "an empty text", ROW_TEXT, "", 1, -EBADMSG },
		{ "a text of no bytes", ROW_TEXT, "", 0, -EBADMSG },
		{ "a text with a line", ROW_TEXT, "a\nb", 4, -EBADMSG },
		{ "a text with ESC", ROW_TEXT, "\033[2J", 5, -EBADMSG },
		{ "a text with DEL", ROW_TEXT, "a\177", 3, -EBADMSG },
		{ "a text with UTF-8", ROW_TEXT, "\xc3\xbc", 3, -EBADMSG },
		{ "a URL", ROW_NONCE_URL, "https://ca/n", 13, 0 },
		{ "a URL with a space", ROW_NONCE_URL, "https://ca/ n", 14, -EBADMSG },
		{ "a chain with lines", ROW_CHAIN, "a\nb\n", 5, 0 },
		{ "a chain with CR", ROW_CHAIN, "a\r\n", 4, -EBADMSG },
		{ "an error", ROW_ERROR, &one, 4, 0 },
		{ "no error", ROW_ERROR, &zero, 4, -EBADMSG },
		{ "an error that there is not", ROW_ERROR, &four, 4, -EBADMSG },
		{ "a short number", ROW_ERROR, &one, 3, -EBADMSG },
		{ "a long number", ROW_ERROR, &today, 8, -EBADMSG },
		{ "a status of four digits", ROW_HTTP, &thousand, 4, -EBADMSG },
		{ "a time", ROW_DATE, &today, 8, 0 },
		{ "a time before 1970", ROW_DATE, &minus, 8, -EBADMSG },
		{ "a time after 9999", ROW_DATE, &never, 8, -EBADMSG },
		{ "a wait that was not said", ROW_RETRY, &minus, 8, -EBADMSG },
		{ "a wait of more than 30 days", ROW_RETRY, &long_wait, 8, -EBADMSG },
		{ "a flag", ROW_WILDCARD, "", 0, 0 },
		{ "a flag with a value", ROW_WILDCARD, "\1", 1, -EBADMSG },
		{ "a problem that says nothing", ROW_PROBLEM, "", 0, -EBADMSG },
		{ "a problem that is cut off", ROW_PROBLEM, "\0\0\0\0\5\0\0\0a", 9, -EBADMSG },
		{ "a field that there is not", 36, "a", 2, -EBADMSG },
		{ "a field far away", UINT32_MAX, "a", 2, -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf packet = { 0 };
		struct reply got;

		header(&packet);
		field(&packet, cases[i].row, cases[i].bytes, cases[i].len);
		if (reply_of(packet.data, packet.len, &got) != cases[i].result)
			fail_msg("%s", cases[i].what);
	}
}

static void a_field_twice_or_out_of_its_order_is_refused(void **state)
{
	autobuf struct buf twice = { 0 }, shuffled = { 0 }, ordered = { 0 };
	static const uint32_t one = 1;
	struct reply got;

	(void)state;
	header(&twice);
	field(&twice, ROW_TEXT, "a", 2);
	field(&twice, ROW_TEXT, "a", 2);
	assert_int_equal(reply_of(twice.data, twice.len, &got), -EBADMSG);
	header(&shuffled);
	field(&shuffled, ROW_TEXT, "a", 2);
	field(&shuffled, ROW_ERROR, &one, 4);
	assert_int_equal(reply_of(shuffled.data, shuffled.len, &got), -EBADMSG);
	header(&ordered);
	field(&ordered, ROW_ERROR, &one, 4);
	field(&ordered, ROW_TEXT, "a", 2);
	assert_int_equal(reply_of(ordered.data, ordered.len, &got), 0);
}

static void what_is_longer_or_more_than_it_may_be_is_not_sent_and_not_taken(void **state)
{
	static const struct {
		uint32_t row, max;
	} texts[] = { { ROW_TEXT, WIRE_TEXT_MAX },
		      { ROW_NONCE_URL, WIRE_URL_MAX },
		      { ROW_CHAIN, WIRE_BODY_MAX } };
	static const struct {
		uint32_t row, max;
	} arrays[] = { { 9, WIRE_OFFERS_MAX }, { 18, WIRE_OFFERS_MAX }, { 19, WIRE_OFFERS_MAX },
		       { 22, WIRE_NAMES_MAX }, { 27, WIRE_OFFERS_MAX }, { 29, WIRE_OFFERS_MAX },
		       { 35, WIRE_NAMES_MAX } };
	char *text = malloc(WIRE_BODY_MAX + 2);
	struct reply got;

	(void)state;
	memset(text, 'a', WIRE_BODY_MAX + 2);
	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		for (uint32_t more = 0; more < 2; more++) {
			autobuf struct buf packet = { 0 };
			uint32_t len = texts[i].max + more;

			text[len] = '\0';
			header(&packet);
			field(&packet, texts[i].row, text, len + 1);
			assert_int_equal(reply_of(packet.data, packet.len, &got),
					 more ? -EBADMSG : 0);
			text[len] = 'a';
		}
	}
	for (size_t i = 0; i < ELEMENTS(arrays); i++) {
		autobuf struct buf packet = { 0 };
		bool nested = arrays[i].row == 9 || arrays[i].row == 27;

		header(&packet);
		for (uint32_t n = 0; n < arrays[i].max; n++)
			field(&packet, arrays[i].row, "a", nested ? 0 : 2);
		assert_int_equal(reply_of(packet.data, packet.len, &got), 0);
		field(&packet, arrays[i].row, "a", nested ? 0 : 2);
		assert_int_equal(reply_of(packet.data, packet.len, &got), -EBADMSG);
	}
	free(text);
}

static void what_the_other_end_would_refuse_is_not_sent(void **state)
{
	autobuf struct buf packet = { 0 };
	struct reply r;

	(void)state;
	buf_adds(&packet, "before");
#define NOT_SENT(result, ...)                                        \
	do {                                                         \
		reply_clear(&r);                                     \
		__VA_ARGS__;                                         \
		assert_int_equal(reply_encode(&r, &packet), result); \
		assert_string_equal(buf_text(&packet), "before");    \
	} while (0)
	NOT_SENT(-EINVAL, r.text = "a\tb");
	NOT_SENT(-EINVAL, r.location = "https://ca/\xc3\xbc");
	NOT_SENT(-EINVAL, r.http = 1000);
	NOT_SENT(-EINVAL, r.status = (enum acme_status)9);
	NOT_SENT(-EINVAL, r.date = -5);
	NOT_SENT(-EINVAL, r.n_offers = WIRE_OFFERS_MAX + 1);
	NOT_SENT(-EINVAL, r.records.count = WIRE_NAMES_MAX + 1);
	NOT_SENT(-EINVAL, r.records.count = 1; r.records.items[0] = "");
	NOT_SENT(-EINVAL, r.n_subproblems = 1; r.subproblems[0].detail = "\1");
}

static void a_packet_has_at_most_64_kib(void **state)
{
	autobuf struct buf packet = { 0 };
	char url[WIRE_URL_MAX + 1], text[WIRE_TEXT_MAX + 1];
	struct reply r;

	(void)state;
	memset(url, 'u', sizeof(url) - 1);
	url[sizeof(url) - 1] = '\0';
	memset(text, 't', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	reply_clear(&r);
	full_texts(&r.authorizations, 100, url);
	assert_int_equal(reply_encode(&r, &packet), 0);
	buf_reset(&packet);
	full_texts(&r.records, 25, text);
	assert_int_equal(reply_encode(&r, &packet), -EMSGSIZE);
	assert_int_equal(packet.len, 0);
	r.records.count = 24;
	assert_int_equal(reply_encode(&r, &packet), 0);
	assert_in_range(packet.len, 60000, WIRE_MAX);
}

/* Requests */

static const char *const posted = "{\"protected\":\"\"}";

static const struct request requests[] = {
	{ 1, REQUEST_DIRECTORY, "https://ca/dir", NULL, NULL, NULL, NULL },
	{ 2, REQUEST_NONCE, "https://ca/nonce", NULL, NULL, NULL, NULL },
	{ 3, REQUEST_ACCOUNT, "https://ca/account", posted, NULL, NULL, NULL },
	{ 4, REQUEST_ORDER, "https://ca/order", posted, NULL, NULL, NULL },
	{ 5, REQUEST_AUTHORIZATION, "https://ca/authz", posted, NULL, NULL, NULL },
	{ 6, REQUEST_CHALLENGE, "https://ca/challenge", posted, NULL, NULL, NULL },
	{ 7, REQUEST_CHAIN, "https://ca/chain", posted, NULL, NULL, NULL },
	{ 8, REQUEST_RENEWAL_INFO, "https://ca/ari", NULL, NULL, NULL, NULL },
	{ 9, REQUEST_PLAIN, "https://ca/revoke", posted, NULL, NULL, NULL },
	{ 10, REQUEST_LISTENER, "http://a.example/x", NULL, "[::1]:80", NULL, "t.p" },
	{ 11, REQUEST_HANDSHAKE, NULL, NULL, "127.0.0.1:443", "a.example", NULL },
	{ 12, REQUEST_HANDSHAKE, NULL, NULL, "127.0.0.1:443", "a.example", "rsa" },
	{ 13, REQUEST_ADDRESSES, NULL, NULL, NULL, "a.example", NULL },
	{ 14, REQUEST_CAA, NULL, NULL, NULL, "a.example", NULL },
	{ 15, REQUEST_TXT, NULL, NULL, NULL, "_acme-challenge.a.example", "x" },
};

static void same_or_none(const char *a, const char *b)
{
	if (a && b)
		assert_string_equal(a, b);
	else
		assert_true(a == b);
}

static void each_request_arrives_as_it_was_sent_and_nothing_shorter_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < ELEMENTS(requests); i++) {
		autobuf struct buf packet = { 0 };
		struct request got;

		assert_int_equal(request_encode(&requests[i], &packet), 0);
		assert_int_equal(request_decode(packet.data, packet.len, &got, NULL), 0);
		assert_int_equal(got.id, requests[i].id);
		assert_int_equal(got.kind, requests[i].kind);
		same_or_none(got.url, requests[i].url);
		same_or_none(got.body, requests[i].body);
		same_or_none(got.connect, requests[i].connect);
		same_or_none(got.name, requests[i].name);
		same_or_none(got.expect, requests[i].expect);
		if (requests[i].id == 12)
			continue; /* without its last field it is the one before */
		for (size_t len = 0; len < packet.len; len++)
			assert_int_equal(request_decode(packet.data, len, &got, NULL), -EBADMSG);
	}
}

static void a_request_has_what_its_kind_needs_and_nothing_else(void **state)
{
	static const char *const fields[] = { "url", "body", "connect", "name", "expect" };
	size_t refused = 0;

	(void)state;
	for (size_t i = 0; i < ELEMENTS(requests); i++)
		for (size_t f = 0; f < ELEMENTS(fields); f++) {
			autobuf struct buf packet = { 0 };
			struct request r = requests[i];
			const char **texts[] = { &r.url, &r.body, &r.connect, &r.name, &r.expect };
			bool optional = r.kind == REQUEST_HANDSHAKE && f == 4;

			*texts[f] = *texts[f] ? NULL : "x";
			refused += request_encode(&r, &packet) == -EINVAL;
			assert_int_equal(request_encode(&r, &packet), optional ? 0 : -EINVAL);
		}
	assert_int_equal(refused, ELEMENTS(requests) * ELEMENTS(fields) - 2);
}

static void a_request_is_no_reply_and_no_unknown_kind(void **state)
{
	autobuf struct buf packet = { 0 };
	struct request request, bad = requests[0];
	struct reply reply;
	uint32_t kind = REQUEST_KINDS;

	(void)state;
	assert_int_equal(request_encode(&requests[0], &packet), 0);
	assert_int_equal(reply_of(packet.data, packet.len, &reply), -EBADMSG);
	memcpy(packet.data, &kind, sizeof(kind));
	assert_int_equal(request_decode(packet.data, packet.len, &request, NULL), -EBADMSG);
	bad.kind = REQUEST_KINDS;
	assert_int_equal(request_encode(&bad, &packet), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_arrives_as_it_was_sent),
		cmocka_unit_test(a_reply_that_says_nothing_is_its_header_and_has_no_null),
		cmocka_unit_test(a_message_cut_off_anywhere_is_refused_or_whole_without_its_end),
		cmocka_unit_test(any_byte_changed_is_refused_or_another_message),
		cmocka_unit_test(a_field_of_another_form_is_refused),
		cmocka_unit_test(a_field_twice_or_out_of_its_order_is_refused),
		cmocka_unit_test(what_is_longer_or_more_than_it_may_be_is_not_sent_and_not_taken),
		cmocka_unit_test(what_the_other_end_would_refuse_is_not_sent),
		cmocka_unit_test(a_packet_has_at_most_64_kib),
		cmocka_unit_test(each_request_arrives_as_it_was_sent_and_nothing_shorter_does),
		cmocka_unit_test(a_request_has_what_its_kind_needs_and_nothing_else),
		cmocka_unit_test(a_request_is_no_reply_and_no_unknown_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
