/* An admin's own certificate and key, as texts from files: what is wrong with them, in words that lead to what is right. */
#pragma once

#include <stdbool.h>

#include "acme/crypto/key.h"
#include "agent/base/buf.h"
#include "agent/base/err.h"

struct own_pair {
	const char *certificate_path, *key_path;
	struct pem certificate, key;
};

/* Apart from names and dates: what nginx could not serve is -EBADMSG with a sentence. */
int own_pair_check(const struct own_pair *pair, struct err *e);

/*
 * False: from what is in the certificate's file browsers do not get to a root, be it one that this host
 * trusts or one that stands in the file itself; e says what is missing. What is signed by itself is
 * what somebody chose.
 */
bool own_pair_is_complete(const struct own_pair *pair, struct err *e);

/* Its certificates alone, as PEM, added to *ret: nothing else in the file is for the web server. */
void own_pair_chain(struct pem certificate, struct buf *ret);
