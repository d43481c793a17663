/*
 * What the agent and its worker say to each other, one message a packet of a
 * SOCK_SEQPACKET pair. The agent asks for one exchange at a time, already
 * signed where it has to be; the worker makes it and answers with the few facts
 * that the agent can use, as typed fields. So the worker holds no key and no
 * state, and the agent reads no JSON and no HTTP.
 *
 * A message is a header (kind, id) and fields: tag, length, bytes. Texts arrive
 * as printable ASCII, each of at most WIRE_TEXT_MAX bytes, URLs of at most
 * WIRE_URL_MAX; whatever is longer, unknown or doubled makes the whole message bad.
 * Strings in a decoded message point into the packet, which must outlive them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

#define WIRE_MAX        65536 /* bytes of a packet */
#define WIRE_URL_MAX    400
#define WIRE_TEXT_MAX   1000
#define WIRE_BODY_MAX   61440 /* a signed request, a chain of certificates */
#define WIRE_NAMES_MAX  100   /* identifiers of an order (Let's Encrypt's own limit) */
#define WIRE_OFFERS_MAX 8     /* challenges of an authorization, alternate chains, addresses … */

enum request_kind {
	/* To the CA. POST of body, but for directory and renewal info (GET) and nonce (HEAD). */
	REQUEST_DIRECTORY,
	REQUEST_NONCE,
	REQUEST_ACCOUNT,
	REQUEST_ORDER, /* also finalize, whose answer is the order */
	REQUEST_AUTHORIZATION,
	REQUEST_CHALLENGE,
	REQUEST_CHAIN,
	REQUEST_RENEWAL_INFO,
	REQUEST_PLAIN, /* revocation, key change, deactivation: only whether it went well */
	/* To our own listeners: at `connect`, whatever the name resolves to. */
	REQUEST_LISTENER,  /* GET url (http://name/path): is the answer's body `expect`? */
	REQUEST_HANDSHAKE, /* TLS with `name` by SNI: which certificate is served? */
	/* DNS, of `name`. */
	REQUEST_ADDRESSES, /* A and AAAA, through CNAMEs */
	REQUEST_CAA,       /* of the name or the nearest parent that has any (RFC 8659) */
	REQUEST_TXT,       /* is one of the texts `expect`? */
	REQUEST_KINDS
};

struct request {
	uint32_t id; /* of the exchange; the reply carries it */
	enum request_kind kind;
	const char *url, *body;    /* NULL: none */
	const char *connect;       /* "127.0.0.1:80", "[::1]:443" */
	const char *name, *expect; /* host name; what is to be found */
};

/* RFC 8555, 6.7; type is what follows "urn:ietf:params:acme:error:". */
struct problem {
	const char *type;   /* "" : none */
	const char *detail; /* the CA's sentence; "": none */
	const char *name;   /* of a subproblem: which identifier; "": all */
};

enum reply_error {
	REPLY_OK,          /* an answer came, whatever it says */
	REPLY_UNREACHABLE, /* no connection, no name, TLS refused */
	REPLY_BROKEN,      /* it broke off, or took too long */
	REPLY_ODD,         /* a whole answer, but not what it should be; or it is too large */
};

/* RFC 8555, 7.1.6 */
enum acme_status {
	STATUS_NONE,
	STATUS_PENDING,
	STATUS_READY,
	STATUS_PROCESSING,
	STATUS_VALID,
	STATUS_INVALID,
	STATUS_DEACTIVATED,
	STATUS_EXPIRED,
	STATUS_REVOKED,
};

enum challenge_type { CHALLENGE_OTHER, CHALLENGE_HTTP_01, CHALLENGE_DNS_01 };

struct offer {
	enum challenge_type type;
	enum acme_status status;
	const char *url, *token;
	struct problem problem;
};

struct text_array {
	const char *items[WIRE_NAMES_MAX];
	size_t count;
};

struct reply {
	uint32_t id;
	enum reply_error error;
	const char *text; /* what went wrong on the way, for a person; "": nothing */

	/* Of every HTTP answer. Texts that did not come are "". */
	unsigned http;        /* status */
	unsigned connections; /* that had to be made for it */
	const char *nonce, *location;
	int64_t retry_after; /* seconds from now; -1: not said */
	int64_t date;        /* the server's clock, seconds since 1970; 0: not said */
	struct problem problem;
	struct problem subproblems[WIRE_OFFERS_MAX];
	size_t n_subproblems;

	/* REQUEST_DIRECTORY: a NULL-free URL or "" each. */
	struct {
		const char *new_nonce, *new_account, *new_order, *revoke_cert, *key_change,
			*renewal_info, *terms;
		bool external_account_required;
		struct text_array profiles, caa_identities; /* WIRE_OFFERS_MAX each at most */
	} directory;

	/* REQUEST_ACCOUNT, REQUEST_ORDER, REQUEST_AUTHORIZATION, REQUEST_CHALLENGE */
	enum acme_status status;
	int64_t expires; /* seconds since 1970; 0: not said */
	struct text_array authorizations;
	const char *finalize, *certificate;
	const char *identifier; /* of an authorization */
	bool wildcard;
	struct offer offers[WIRE_OFFERS_MAX];
	size_t n_offers;

	/* REQUEST_CHAIN, REQUEST_HANDSHAKE: PEM */
	const char *chain;
	struct text_array alternates; /* URLs, WIRE_OFFERS_MAX at most */

	/* REQUEST_RENEWAL_INFO */
	int64_t window_start, window_end; /* seconds since 1970; 0: not said or not readable */
	const char *explanation;

	/* REQUEST_LISTENER, REQUEST_TXT */
	bool found;

	/* REQUEST_ADDRESSES: addresses as text. REQUEST_CAA: values of "issue" ("issuewild" with a "*" before). */
	bool exists; /* false: NXDOMAIN, or no record of the kind */
	struct text_array records;
};

/* Not what was asked for: a problem, another status, or nothing that can be used. */
bool reply_is_bad(const struct reply *r);

/* An empty one: texts "", what can be not said is not said. */
void reply_clear(struct reply *ret);

/*
 * Adds the packet to *ret, or nothing. Texts may be NULL or "". -EMSGSIZE: it would be larger than
 * WIRE_MAX. -EINVAL: the other end would refuse it.
 */
int request_encode(const struct request *r, struct buf *ret);
int reply_encode(const struct reply *r, struct buf *ret);

/* -EBADMSG: not such a message. Texts of *ret point into packet; those of a reply are never NULL. */
int request_decode(const char *packet, size_t len, struct request *ret, struct err *e);
int reply_decode(const char *packet, size_t len, struct reply *ret, struct err *e);
