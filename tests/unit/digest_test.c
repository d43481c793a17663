/* Hashes and base64url against the vectors of their RFCs. */
#include "acme/crypto/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static void assert_hex(const unsigned char digest[static 32], const char *hex)
{
	char text[65];

	for (unsigned i = 0; i < 32; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(text, hex);
}

static void hashes_are_those_of_their_standards(void **state)
{
	unsigned char digest[DIGEST_BYTES];

	(void)state;
	digest_sha256("abc", 3, digest); /* FIPS 180-2, B.1 */
	assert_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_sha256("", 0, digest);
	assert_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	digest_hmac("Jefe", 4, "what do ya want for nothing?", 28, digest); /* RFC 4231, 4.3 */
	assert_hex(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void base64url_goes_both_ways(void **state)
{
	/* RFC 4648, 10, and the two letters that are its own. */
	static const struct {
		const char *bytes, *text, *padded;
	} cases[] = {
		{ "", "", "" },
		{ "f", "Zg", "Zg==" },
		{ "fo", "Zm8", "Zm8=" },
		{ "foo", "Zm9v", "Zm9v" },
		{ "foob", "Zm9vYg", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
		{ "\xfb\xff\xbf", "-_-_", "-_-_" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf text = { 0 }, bytes = { 0 };

		base64url_write(cases[i].bytes, strlen(cases[i].bytes), &text);
		assert_string_equal(buf_text(&text), cases[i].text);
		assert_int_equal(base64url_read(cases[i].text, &bytes, NULL), 0);
		assert_string_equal(buf_text(&bytes), cases[i].bytes);
		assert_int_equal(base64url_read(cases[i].padded, &bytes, NULL), 0);
		assert_int_equal(bytes.len, 2 * strlen(cases[i].bytes));
	}
}

static void a_zero_byte_is_one_like_others(void **state)
{
	autobuf struct buf text = { 0 }, bytes = { 0 };

	(void)state;
	base64url_write("\0a\0", 3, &text);
	assert_string_equal(buf_text(&text), "AGEA");
	assert_int_equal(base64url_read("AGEA", &bytes, NULL), 0);
	assert_int_equal(bytes.len, 3);
	assert_memory_equal(bytes.data, "\0a\0", 3);
}

static void what_is_no_base64url_is_refused_and_adds_nothing(void **state)
{
	static const char *const cases[] = {
		"A",     "AAAAA", "+/+/",  "AA AA", "AA\n",   "=",     "====", "A===",     "AA=",
		"AA===", "AAA==", "AAAA=", "AA==A", "AA==AA", "=AAAA", "A=A=", "Zm9v\xff", "Zm9v.",
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf bytes = { 0 };

		if (base64url_read(cases[i], &bytes, NULL) != -EBADMSG || bytes.len)
			fail_msg("%s", cases[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_those_of_their_standards),
		cmocka_unit_test(base64url_goes_both_ways),
		cmocka_unit_test(a_zero_byte_is_one_like_others),
		cmocka_unit_test(what_is_no_base64url_is_refused_and_adds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
