/* Hashes, and bytes as base64url. */
#pragma once

#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

#define DIGEST_BYTES 32

void digest_sha256(const void *data, size_t len, unsigned char ret[static DIGEST_BYTES]);
/* HMAC with SHA-256 (RFC 2104). */
void digest_hmac(const void *key, size_t key_len, const void *data, size_t len,
		 unsigned char ret[static DIGEST_BYTES]);

/* Adds to ret, without padding (RFC 4648, 5). */
void base64url_write(const void *data, size_t len, struct buf *ret);
/* Adds to ret. -EBADMSG: other characters, or no whole bytes. Padding is accepted. */
int base64url_read(const char *text, struct buf *ret, struct err *e);
