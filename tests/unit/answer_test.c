/* What becomes of an answer: by the reply that the agent would get. */
#include "acme/worker/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

#define NOW INT64_C(1795591954)

static struct arena arena;
static char *packet_text;

/* Read, and told over the line. */
static struct reply told(enum request_kind kind, struct http_answer a)
{
	struct request request = { .id = 5, .kind = kind, .url = "", .expect = "token.print" };
	autobuf struct buf packet = { 0 };
	struct reply reply, got;

	if (!a.text)
		a.text = "";
	if (a.body && a.body_len == 0)
		a.body_len = strlen(a.body);
	if (!a.body)
		a.body = "";
	answer_read(&request, &a, NOW, &arena, &reply);
	answer_packet(&reply, &packet);
	free(packet_text);
	packet_text = memory_new(packet.len);
	memcpy(packet_text, packet.data, packet.len);
	assert_int_equal(reply_decode(packet_text, packet.len, &got, NULL), 0);
	assert_int_equal(got.id, 5);
	arena_clear(&arena);
	return got;
}

static struct reply said(enum request_kind kind, unsigned status, const char *body)
{
	return told(kind, (struct http_answer){ .status = status, .body = body });
}

static void odd_is(enum request_kind kind, const char *body, const char *text)
{
	struct reply r =
		told(kind, (struct http_answer){ .status = 200, .body = body, .nonce = "abc" });

	if (r.error != REPLY_ODD || strcmp(r.text, text) != 0)
		fail_msg("%s: %d %s", body, (int)r.error, r.text);
	assert_int_equal(r.http, 200);
	assert_string_equal(r.nonce, "abc");
	assert_int_equal(r.status, STATUS_NONE);
	assert_int_equal(r.authorizations.count + r.n_offers, 0);
}

#define DIRECTORY                                                                     \
	"\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\",\"newOrder\":" \
	"\"https://ca/o\""

static void a_directory_says_where_and_on_which_terms(void **state)
{
	struct reply r = said(
		REQUEST_DIRECTORY, 200,
		"{" DIRECTORY ",\"renewalInfo\":\"https://ca/i\",\"zB8\":\"https://example/\","
		"\"meta\":{\"termsOfService\":\"https://ca/t\",\"externalAccountRequired\":true,"
		"\"caaIdentities\":[\"ca.example\",\"b\"],"
		"\"profiles\":{\"classic\":\"https://ca/p\",\"short\":\"x\"}}}");

	(void)state;
	assert_int_equal(r.error, REPLY_OK);
	assert_string_equal(r.directory.new_nonce, "https://ca/n");
	assert_string_equal(r.directory.new_account, "https://ca/a");
	assert_string_equal(r.directory.new_order, "https://ca/o");
	assert_string_equal(r.directory.renewal_info, "https://ca/i");
	assert_string_equal(r.directory.revoke_cert, "");
	assert_string_equal(r.directory.terms, "https://ca/t");
	assert_true(r.directory.external_account_required);
	assert_int_equal(r.directory.caa_identities.count, 2);
	assert_int_equal(r.directory.profiles.count, 2);
	assert_string_equal(r.directory.profiles.items[1], "short");
	r = said(REQUEST_DIRECTORY, 200, "{" DIRECTORY ",\"meta\":null}");
	assert_int_equal(r.error, REPLY_OK);
}

static void a_directory_that_is_none_is_odd(void **state)
{
	(void)state;
	odd_is(REQUEST_DIRECTORY, "{}", "directory: newNonce is missing");
	odd_is(REQUEST_DIRECTORY, "[]", "directory: is not an object");
	assert_int_equal(said(REQUEST_DIRECTORY, 200, "").error, REPLY_BROKEN);
	odd_is(REQUEST_DIRECTORY, "{\"newNonce\":7}", "directory: newNonce is not a string");
	odd_is(REQUEST_DIRECTORY, "{\"newNonce\":\"http://ca/n\"}",
	       "directory: newNonce is not an https URL");
	odd_is(REQUEST_DIRECTORY, "{\"newNonce\":\"https://ca/a b\"}",
	       "directory: newNonce is not an https URL");
	odd_is(REQUEST_DIRECTORY, "{\"newNonce\":\"https://ca/\\u00fc\"}",
	       "directory: newNonce is not an https URL");
	odd_is(REQUEST_DIRECTORY, "{" DIRECTORY ",\"revokeCert\":\"file:///etc/passwd\"}",
	       "directory: revokeCert is not an https URL");
	odd_is(REQUEST_DIRECTORY, "{" DIRECTORY ",\"meta\":7}", "directory: meta is not an object");
	odd_is(REQUEST_DIRECTORY, "{" DIRECTORY ",\"meta\":{\"externalAccountRequired\":\"yes\"}}",
	       "directory: externalAccountRequired is neither true nor false");
	odd_is(REQUEST_DIRECTORY, "<html>", "JSON: line 1: '[' or '{' expected near '<'");
	odd_is(REQUEST_DIRECTORY, "{\"a\":\"\xff\"}",
	       "JSON: line 1: unable to decode byte 0xff near '\"'");
	odd_is(REQUEST_DIRECTORY, "{\"a\":\"\\u0000\"}",
	       "JSON: line 1: \\u0000 is not allowed without JSON_ALLOW_NUL near '\"\\u0000\"'");
}

static void an_order_has_its_state_and_where_to_go(void **state)
{
	struct reply r =
		told(REQUEST_ORDER,
		     (struct http_answer){
			     .status = 201,
			     .nonce = "aZ09-_",
			     .location = "https://ca/o/1",
			     .connections = 1,
			     .date = "Wed, 25 Nov 2026 07:32:34 GMT",
			     .body = "{\"status\":\"pending\",\"expires\":\"2026-11-26T07:32:34Z\","
				     "\"identifiers\":[{\"type\":\"dns\",\"value\":\"a\"}],"
				     "\"authorizations\":[\"https://ca/z/1\",\"https://ca/z/2\"],"
				     "\"finalize\":\"https://ca/f\",\"certificate\":null}",
		     });

	(void)state;
	assert_int_equal(r.error, REPLY_OK);
	assert_int_equal(r.http, 201);
	assert_int_equal(r.connections, 1);
	assert_string_equal(r.nonce, "aZ09-_");
	assert_string_equal(r.location, "https://ca/o/1");
	assert_int_equal(r.date, NOW);
	assert_int_equal(r.retry_after, -1);
	assert_int_equal(r.status, STATUS_PENDING);
	assert_int_equal(r.expires, NOW + 86400);
	assert_int_equal(r.authorizations.count, 2);
	assert_string_equal(r.authorizations.items[1], "https://ca/z/2");
	assert_string_equal(r.finalize, "https://ca/f");
	assert_string_equal(r.certificate, "");
}

#define ORDER(rest) \
	"{\"status\":\"invalid\",\"authorizations\":[],\"finalize\":\"https://ca/f\"" rest "}"

static void an_order_that_failed_says_of_which_names(void **state)
{
	struct reply r = said(REQUEST_ORDER, 200,
			      ORDER(",\"error\":{\"type\":\"urn:ietf:params:acme:error:compound\","
				    "\"detail\":\"two\","
				    "\"subproblems\":[{\"type\":\"urn:ietf:params:acme:error:caa\","
				    "\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"}},"
				    "{\"type\":\"about:blank\",\"detail\":7}, 7]}"));

	(void)state;
	assert_int_equal(r.error, REPLY_OK);
	assert_int_equal(r.status, STATUS_INVALID);
	assert_string_equal(r.problem.type, "compound");
	assert_string_equal(r.problem.detail, "two");
	assert_int_equal(r.n_subproblems, 3);
	assert_string_equal(r.subproblems[0].type, "caa");
	assert_string_equal(r.subproblems[0].name, "a.example");
	assert_string_equal(r.subproblems[1].type, "about:blank");
	assert_string_equal(r.subproblems[1].detail, "");
	assert_string_equal(r.subproblems[2].type, "");
}

static void an_order_that_is_none_is_odd(void **state)
{
	autobuf struct buf many = { 0 };

	(void)state;
	odd_is(REQUEST_ORDER, "{\"status\":\"lost\"}", "order: status is not a status of RFC 8555");
	odd_is(REQUEST_ORDER, "{\"status\":\"valid\"}", "order: authorizations is missing");
	odd_is(REQUEST_ORDER, "{\"status\":\"valid\",\"authorizations\":[7]}",
	       "order: authorizations has an item that is not an https URL");
	odd_is(REQUEST_ORDER, "{\"status\":\"valid\",\"authorizations\":{}}",
	       "order: authorizations is not an array");
	odd_is(REQUEST_ORDER, ORDER(",\"expires\":7"), "order: expires is not a string");
	odd_is(REQUEST_ORDER, ORDER(",\"error\":\"x\""), "order: error is not an object");
	buf_adds(&many, "{\"status\":\"valid\",\"authorizations\":[");
	for (int i = 0; i < 101; i++)
		buf_printf(&many, "%s\"https://ca/%d\"", i ? "," : "", i);
	buf_adds(&many, "],\"finalize\":\"https://ca/f\"}");
	odd_is(REQUEST_ORDER, many.data, "order: authorizations has too many items");
}

#define AUTHORIZATION(challenges)                                                            \
	"{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"}," \
	"\"wildcard\":true,\"challenges\":[" challenges "]}"
#define CHALLENGE(type, token) \
	"{\"type\":\"" type    \
	"\",\"status\":\"pending\",\"url\":\"https://ca/c\",\"token\":\"" token "\"}"

static void an_authorization_offers_challenges(void **state)
{
	struct reply r = said(
		REQUEST_AUTHORIZATION, 200,
		AUTHORIZATION("{\"type\":\"tls-alpn-01\",\"token\":\"../x\"}," CHALLENGE(
			"http-01", "tok_-") ",{\"type\":\"dns-01\",\"status\":\"invalid\","
					    "\"url\":\"https://ca/d\",\"token\":\"t\",\"error\":{"
					    "\"type\":\"urn:ietf:params:acme:error:dns\","
					    "\"detail\":\"gr\\u00fc\\u00dfe\\n\"}}"));

	(void)state;
	assert_int_equal(r.error, REPLY_OK);
	assert_string_equal(r.identifier, "a.example");
	assert_true(r.wildcard);
	assert_int_equal(r.n_offers, 3);
	assert_int_equal(r.offers[0].type, CHALLENGE_HTTP_01);
	assert_int_equal(r.offers[0].status, STATUS_PENDING);
	assert_string_equal(r.offers[0].url, "https://ca/c");
	assert_string_equal(r.offers[0].token, "tok_-");
	assert_int_equal(r.offers[1].type, CHALLENGE_DNS_01);
	assert_int_equal(r.offers[1].status, STATUS_INVALID);
	assert_string_equal(r.offers[1].problem.type, "dns");
	assert_string_equal(r.offers[1].problem.detail, "gr??e?");
	assert_int_equal(r.offers[2].type, CHALLENGE_OTHER);
	assert_string_equal(r.offers[2].token, "");
}

static void an_authorization_that_is_none_is_odd(void **state)
{
	autobuf struct buf many = { 0 };

	(void)state;
	odd_is(REQUEST_AUTHORIZATION, AUTHORIZATION(CHALLENGE("http-01", "../x")),
	       "authorization: token is not base64url");
	odd_is(REQUEST_AUTHORIZATION, AUTHORIZATION(CHALLENGE("http-01", "")),
	       "authorization: token is not base64url");
	odd_is(REQUEST_AUTHORIZATION, AUTHORIZATION("{\"status\":\"pending\"}"),
	       "authorization: type is missing");
	odd_is(REQUEST_AUTHORIZATION, AUTHORIZATION("7"), "authorization: type is missing");
	odd_is(REQUEST_AUTHORIZATION,
	       "{\"status\":\"pending\",\"identifier\":{\"type\":\"ip\",\"value\":\"::1\"}}",
	       "authorization: identifier is not a DNS name");
	for (int i = 0; i < 9; i++)
		buf_printf(&many, "%s" CHALLENGE("http-01", "t"), i ? "," : "");
	autofree char *body = memory_printf(AUTHORIZATION("%s"), many.data);
	odd_is(REQUEST_AUTHORIZATION, body, "authorization: challenges has too many items");
}

static void a_challenge_is_its_own_offer(void **state)
{
	struct reply r = said(REQUEST_CHALLENGE, 200, CHALLENGE("http-01", "t"));

	(void)state;
	assert_int_equal(r.status, STATUS_PENDING);
	assert_int_equal(r.n_offers, 1);
	assert_string_equal(r.offers[0].token, "t");
}

static void renewal_information_has_a_window_if_it_can_be_read(void **state)
{
	struct reply r =
		told(REQUEST_RENEWAL_INFO,
		     (struct http_answer){
			     .status = 200,
			     .retry_after = "21600",
			     .body = "{\"suggestedWindow\":{\"start\":\"2026-11-25T07:32:34Z\","
				     "\"end\":\"whenever\"},\"explanationURL\":\"https://ca/w\"}",
		     });

	(void)state;
	assert_int_equal(r.error, REPLY_OK);
	assert_int_equal(r.retry_after, 21600);
	assert_int_equal(r.window_start, NOW);
	assert_int_equal(r.window_end, 0);
	assert_string_equal(r.explanation, "https://ca/w");
	odd_is(REQUEST_RENEWAL_INFO, "{}", "renewalInfo: suggestedWindow is missing");
	odd_is(REQUEST_RENEWAL_INFO, "{\"suggestedWindow\":{\"start\":7}}",
	       "renewalInfo: start is not a string");
}

static void a_failure_has_a_problem_if_it_came_as_json(void **state)
{
	struct reply r =
		told(REQUEST_ORDER,
		     (struct http_answer){
			     .status = 429,
			     .nonce = "n",
			     .retry_after = "Wed, 25 Nov 2026 07:33:34 GMT",
			     .date = "Wed, 25 Nov 2026 07:33:04 GMT",
			     .body = "{\"type\":\"urn:ietf:params:acme:error:rateLimited\","
				     "\"detail\":\"too many\"}",
		     });

	(void)state;
	assert_int_equal(r.error, REPLY_OK);
	assert_int_equal(r.http, 429);
	assert_string_equal(r.problem.type, "rateLimited");
	assert_string_equal(r.problem.detail, "too many");
	assert_int_equal(r.retry_after, 30); /* by its own clock */
	r = said(REQUEST_ORDER, 502, "<html>Bad Gateway");
	assert_int_equal(r.error, REPLY_OK);
	assert_int_equal(r.http, 502);
	assert_string_equal(r.problem.type, "");
	assert_string_equal(r.text, "status 502");
	r = said(REQUEST_PLAIN, 500, "{\"type\":7}");
	assert_string_equal(r.text, "status 500");
	r = told(REQUEST_ACCOUNT,
		 (struct http_answer){ .status = 301, .location = "https://elsewhere/" });
	assert_string_equal(r.text, "status 301 to https://elsewhere/");
}

static void what_headers_say_wrongly_is_not_said(void **state)
{
	struct reply r = told(REQUEST_NONCE, (struct http_answer){
						     .status = 200,
						     .nonce = "not/base64url=",
						     .location = "https://ca/\x01",
						     .retry_after = "soon",
						     .date = "today",
						     .connections = 100000,
						     .alternates = { { "https://ca/ x" }, 1 },
					     });

	(void)state;
	assert_int_equal(r.error, REPLY_OK);
	assert_string_equal(r.nonce, "");
	assert_string_equal(r.location, "");
	assert_int_equal(r.retry_after, -1);
	assert_int_equal(r.date, 0);
	assert_int_equal(r.connections, 1000);
	assert_int_equal(r.alternates.count, 0);
}

static void a_chain_is_printable_lines(void **state)
{
	struct reply r = told(REQUEST_CHAIN, (struct http_answer){
						     .status = 200,
						     .body = "-----BEGIN\r\nAA==\n",
						     .alternates = { { "https://ca/1" }, 1 },
					     });
	char *large = memory_new(WIRE_BODY_MAX + 2);

	(void)state;
	assert_string_equal(r.chain, "-----BEGIN\nAA==\n");
	assert_int_equal(r.alternates.count, 1);
	odd_is(REQUEST_CHAIN, "", "a chain of 0 bytes");
	odd_is(REQUEST_CHAIN, "a\033[2J", "a chain that is not text");
	memset(large, 'A', WIRE_BODY_MAX + 1);
	odd_is(REQUEST_CHAIN, large, "a chain of 61441 bytes");
	free(large);
	r = told(REQUEST_CHAIN,
		 (struct http_answer){ .status = 200, .body = "a\0b", .body_len = 3 });
	assert_int_equal(r.error, REPLY_ODD);
}

static void a_listener_has_the_page_or_it_is_said_what_came(void **state)
{
	static const struct {
		unsigned status;
		const char *body, *location, *text;
	} cases[] = {
		{ 200, "token.print", NULL, NULL },
		{ 200, "token.print \r\n\n", NULL, NULL },
		{ 200, "token.print2", NULL, "a page of 12 bytes" },
		{ 200, " token.print", NULL, "a page of 12 bytes" },
		{ 200, "token.prin", NULL, "a page of 10 bytes" },
		{ 200, "", NULL, "a page of 0 bytes" },
		{ 404, "token.print", NULL, "status 404" },
		{ 301, "", "https://a/\033x", "status 301 to https://a/?x" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct reply r = told(REQUEST_LISTENER,
				      (struct http_answer){ .status = cases[i].status,
							    .body = cases[i].body,
							    .location = cases[i].location });

		assert_int_equal(r.error, REPLY_OK);
		assert_int_equal(r.found, !cases[i].text);
		assert_string_equal(r.text, cases[i].text ? cases[i].text : "");
	}
}

static void what_went_wrong_on_the_way_is_told_as_text(void **state)
{
	struct reply r =
		told(REQUEST_LISTENER, (struct http_answer){ .error = REPLY_UNREACHABLE,
							     .text = "no\nway \xe2\x80\x94" });

	(void)state;
	assert_int_equal(r.error, REPLY_UNREACHABLE);
	assert_string_equal(r.text, "no?way ?");
	assert_false(r.found);
	r = told(REQUEST_HANDSHAKE, (struct http_answer){ .certificate = NULL });
	assert_int_equal(r.error, REPLY_ODD);
	r = told(REQUEST_HANDSHAKE, (struct http_answer){ .certificate = "PEM\n" });
	assert_string_equal(r.chain, "PEM\n");
}

static void an_answer_too_large_for_the_line_says_so(void **state)
{
	autobuf struct buf body = { 0 };
	char *detail = memory_new(WIRE_TEXT_MAX + 1), *path = memory_new(381);
	struct reply r;

	(void)state;
	memset(detail, 'd', WIRE_TEXT_MAX);
	memset(path, 'p', 380);
	buf_adds(&body, "{\"status\":\"invalid\",\"authorizations\":[");
	for (int i = 0; i < 100; i++)
		buf_printf(&body, "%s\"https://ca/%s\"", i ? "," : "", path);
	buf_printf(&body,
		   "],\"finalize\":\"https://ca/f\",\"error\":{\"detail\":\"%s\","
		   "\"subproblems\":[",
		   detail);
	for (int i = 0; i < 8; i++)
		buf_printf(&body, "%s{\"detail\":\"%s\"}", i ? "," : "", detail);
	buf_adds(&body, "]}}");
	r = said(REQUEST_ORDER, 200, body.data);
	assert_int_equal(r.error, REPLY_OK); /* as large as a CA can make it, it fits */
	assert_int_equal(r.n_subproblems, 8);

	autobuf struct buf packet = { 0 };
	reply_clear(&r);
	r.id = 6;
	r.records.count = WIRE_NAMES_MAX;
	for (size_t i = 0; i < WIRE_NAMES_MAX; i++)
		r.records.items[i] = detail;
	answer_packet(&r, &packet);
	assert_int_equal(reply_decode(packet.data, packet.len, &r, NULL), 0);
	assert_int_equal(r.id, 6);
	assert_int_equal(r.error, REPLY_ODD);
	assert_string_equal(r.text, "an answer too large to be sent");
	free(detail);
	free(path);
}

static int end(void **state)
{
	(void)state;
	free(packet_text);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_directory_says_where_and_on_which_terms),
		cmocka_unit_test(a_directory_that_is_none_is_odd),
		cmocka_unit_test(an_order_has_its_state_and_where_to_go),
		cmocka_unit_test(an_order_that_failed_says_of_which_names),
		cmocka_unit_test(an_order_that_is_none_is_odd),
		cmocka_unit_test(an_authorization_offers_challenges),
		cmocka_unit_test(an_authorization_that_is_none_is_odd),
		cmocka_unit_test(a_challenge_is_its_own_offer),
		cmocka_unit_test(renewal_information_has_a_window_if_it_can_be_read),
		cmocka_unit_test(a_failure_has_a_problem_if_it_came_as_json),
		cmocka_unit_test(what_headers_say_wrongly_is_not_said),
		cmocka_unit_test(a_chain_is_printable_lines),
		cmocka_unit_test(a_listener_has_the_page_or_it_is_said_what_came),
		cmocka_unit_test(what_went_wrong_on_the_way_is_told_as_text),
		cmocka_unit_test(an_answer_too_large_for_the_line_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
