/*
 * Arbitrary bytes as a chain from the network: as its text, or, where they
 * begin like DER, as the one certificate in it. What is accepted must be
 * accepted again as it was written, and everything that reads chains must agree
 * on whether there is one.
 */
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/chain.h"
#include "acme/crypto/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* That of the leaf in tests/fuzz/seeds/chain_fuzz. */
static const char key_text[] = "-----BEGIN PRIVATE KEY-----\n"
			       "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgv6lQVZKNzdlIDsFe\n"
			       "hEmPqNbskoeeEqsw5Cw5A0eoGfehRANCAARaZjARavnfJTUnzzV2dupe+a+BJBkd\n"
			       "4fYrIUiwzXvcpB5UaF2DFjJCcmUo9wmAp4uE+pdzMkzyIk1q+r+aFhbC\n"
			       "-----END PRIVATE KEY-----\n";
#define NOW ((time_t)1800000000)

static const char *const names[] = { "a.example.org", "b.example.org" };
static const struct pem key_pem = { key_text, sizeof key_text - 1 };

static const struct key *key_once(void)
{
	static struct key *key;

	if (!key && key_parse(key_pem, &key, NULL) < 0)
		abort();
	return key;
}

static void check_strict(struct pem chain)
{
	struct buf once = { 0 }, again = { 0 };
	struct chain_facts f, g;

	if (chain_check(chain, key_once(), names, 2, NOW, &once, &f, NULL) == 0) {
		struct pem written = { once.data, once.len };

		if (chain_check(written, key_once(), names, 2, NOW, &again, &g, NULL) < 0 ||
		    again.len != once.len || memcmp(again.data, once.data, once.len) != 0 ||
		    strcmp(f.leaf_hash, g.leaf_hash) != 0 || !chain_same_leaf(chain, written))
			abort();
	} else if (once.len) {
		abort();
	}
	buf_clear(&once);
	buf_clear(&again);
}

static void check_lenient(struct pem chain)
{
	struct buf leaf = { 0 };
	struct chain_facts f;
	struct certificate c;
	const char *uncovered;
	int facts = chain_facts(chain, &f, NULL);
	int read = chain_read(chain, key_pem, names, 2, NULL, &c, &uncovered, NULL);

	if ((facts < 0) != (read < 0) || (chain_leaf(chain, &leaf, NULL) < 0) != (read < 0))
		abort();
	if (facts == 0)
		for (const char *p = f.issuer; *p; p++)
			if (*p < 0x20 || *p > 0x7e)
				abort();
	(void)chain_leads_to(chain, "Fuzz Root");
	buf_clear(&leaf);
}

/* Base64 would hide the bytes that matter from the fuzzer. */
static void wrap(const uint8_t *der, size_t size, struct buf *ret)
{
	struct buf body = { 0 };

	base64url_write(der, size, &body);
	buf_adds(ret, "-----BEGIN CERTIFICATE-----\n");
	for (size_t i = 0; i < body.len; i++) {
		char c = body.data[i];

		buf_addc(ret, c == '-' ? '+' : c == '_' ? '/' : c);
		if (i % 64 == 63)
			buf_addc(ret, '\n');
	}
	buf_adds(ret, &"=="[body.len % 4 == 3 ? 1 : body.len % 4 == 2 ? 0 : 2]);
	buf_adds(ret, "\n-----END CERTIFICATE-----\n");
	buf_clear(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = { 0 };

	if (size > PEM_MAX_BYTES)
		return 0;
	if (size > 0 && data[0] == 0x30)
		wrap(data, size, &text);
	else
		buf_add(&text, data, size);

	struct pem chain = { buf_text(&text), text.len };

	check_strict(chain);
	if (text.len <= PEM_MAX_BYTES)
		check_lenient(chain);
	buf_clear(&text);
	return 0;
}
