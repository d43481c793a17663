/* A CA of our own: its certificate, and what it issues. */
#pragma once

#include <stddef.h>
#include <time.h>

#include "acme/crypto/key.h"
#include "agent/base/buf.h"
#include "agent/base/err.h"

/* A key and its certificate. */
struct authority;
/* A certificate for a CA of this key, signed by itself. */
int authority_certify(struct key *k, time_t not_before, time_t not_after, struct buf *ret,
		      struct err *e);
/* Takes k in any case. -EBADMSG: no certificate of a CA, or of another key. */
int authority_open(struct pem certificate, struct key *k, struct authority **ret, struct err *e);
void authority_close(struct authority *a);
time_t authority_begins(const struct authority *a);
time_t authority_ends(const struct authority *a);

struct issue {
	const struct key *key;
	const char *const *names;
	size_t n_names;
	time_t not_before, not_after;
};
int authority_issue(const struct authority *a, const struct issue *what, struct buf *ret,
		    struct err *e);
