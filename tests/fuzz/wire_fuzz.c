/*
 * Arbitrary bytes as a message in both directions. What is taken must be, sent
 * again, the same bytes: each message has one form.
 */
#include <stdlib.h>
#include <string.h>

#include "acme/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be(const uint8_t *data, size_t size, int r, const struct buf *again)
{
	if (r < 0 || again->len != size || memcmp(again->data, data, size) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf again = { 0 };
	struct request request;
	struct reply reply;

	if (request_decode((const char *)data, size, &request, NULL) == 0)
		must_be(data, size, request_encode(&request, &again), &again);
	buf_reset(&again);
	if (reply_decode((const char *)data, size, &reply, NULL) == 0)
		must_be(data, size, reply_encode(&reply, &again), &again);
	buf_clear(&again);
	return 0;
}
