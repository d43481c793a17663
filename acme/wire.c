/*
 * The messages as tables of their fields (fields.h), and which request has which.
 *
 * Texts are printable ASCII. What a CA wrote in other letters was replaced by
 * the worker: nothing here reaches a terminal that could be told more than text.
 */
#include "acme/wire.h"

#include <errno.h>
#include <string.h>

#include "acme/fields.h"
#include "agent/base/own.h"

struct header {
	uint32_t kind, id;
};

#define KIND_REPLY UINT32_MAX
#define YEAR_9999  INT64_C(253402300799)
#define DAYS_30    (INT64_C(30) * 86400)

#define AT(type, member)   .name = #member, .offset = offsetof(struct type, member)
#define SHAPE(type, table) table, ELEMENTS(table), sizeof(struct type)

/* Requests */

#define BIT(kind)    (1u << REQUEST_##kind)
#define BARE         (BIT(DIRECTORY) | BIT(NONCE) | BIT(RENEWAL_INFO))
#define TO_CA        (BIT(LISTENER) - 1)
#define TO_LISTENERS (BIT(LISTENER) | BIT(HANDSHAKE))
#define OF_NAME      (BIT(HANDSHAKE) | BIT(ADDRESSES) | BIT(CAA) | BIT(TXT))
#define EXPECTING    (BIT(LISTENER) | BIT(TXT))
#define BOTH(bits)   .may = (bits), .must = (bits)

static const struct row request_rows[] = {
	{ AT(request, url), FIELD_URL, .max = WIRE_URL_MAX, BOTH(TO_CA | BIT(LISTENER)) },
	{ AT(request, body), FIELD_TEXT, .max = WIRE_BODY_MAX, BOTH(TO_CA & ~BARE) },
	{ AT(request, connect), FIELD_URL, .max = WIRE_URL_MAX, BOTH(TO_LISTENERS) },
	{ AT(request, name), FIELD_URL, .max = 255, BOTH(OF_NAME) },
	{ AT(request, expect), FIELD_TEXT, .max = WIRE_TEXT_MAX, .may = EXPECTING | BIT(HANDSHAKE),
	  .must = EXPECTING },
};
static const struct shape request_shape = { SHAPE(request, request_rows), NULL };

/* Replies */

static const struct row problem_rows[] = {
	{ AT(problem, type), FIELD_TEXT, .max = WIRE_TEXT_MAX },
	{ AT(problem, detail), FIELD_TEXT, .max = WIRE_TEXT_MAX },
	{ AT(problem, name), FIELD_TEXT, .max = WIRE_TEXT_MAX },
};
static const struct shape problem_shape = { SHAPE(problem, problem_rows), "" };

static const struct row offer_rows[] = {
	{ AT(offer, type), FIELD_NUMBER, .max = CHALLENGE_DNS_01 },
	{ AT(offer, status), FIELD_NUMBER, .max = STATUS_REVOKED },
	{ AT(offer, url), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(offer, token), FIELD_TEXT, .max = WIRE_TEXT_MAX },
	{ AT(offer, problem), FIELD_GROUP, .shape = &problem_shape },
};
static const struct shape offer_shape = { SHAPE(offer, offer_rows), "" };

#define OFFERS(member, of)                                       \
	AT(reply, member), FIELD_GROUPS, .max = WIRE_OFFERS_MAX, \
					 .count = offsetof(struct reply, n_##member), .shape = &of

static const struct row reply_rows[] = {
	{ AT(reply, error), FIELD_NUMBER, .max = REPLY_ODD },
	{ AT(reply, text), FIELD_TEXT, .max = WIRE_TEXT_MAX },
	{ AT(reply, http), FIELD_NUMBER, .max = 999 },
	{ AT(reply, connections), FIELD_NUMBER, .max = 1000 },
	{ AT(reply, nonce), FIELD_TEXT, .max = WIRE_TEXT_MAX },
	{ AT(reply, location), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(reply, retry_after), FIELD_TIME, .max = DAYS_30, .preset = -1 },
	{ AT(reply, date), FIELD_TIME, .max = YEAR_9999 },
	{ AT(reply, problem), FIELD_GROUP, .shape = &problem_shape },
	{ OFFERS(subproblems, problem_shape) },
	{ AT(reply, directory.new_nonce), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(reply, directory.new_account), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(reply, directory.new_order), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(reply, directory.revoke_cert), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(reply, directory.key_change), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(reply, directory.renewal_info), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(reply, directory.terms), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(reply, directory.external_account_required), FIELD_FLAG },
	{ AT(reply, directory.profiles), FIELD_TEXTS, .max = WIRE_OFFERS_MAX },
	{ AT(reply, directory.caa_identities), FIELD_TEXTS, .max = WIRE_OFFERS_MAX },
	{ AT(reply, status), FIELD_NUMBER, .max = STATUS_REVOKED },
	{ AT(reply, expires), FIELD_TIME, .max = YEAR_9999 },
	{ AT(reply, authorizations), FIELD_URLS, .max = WIRE_NAMES_MAX },
	{ AT(reply, finalize), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(reply, certificate), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(reply, identifier), FIELD_TEXT, .max = WIRE_TEXT_MAX },
	{ AT(reply, wildcard), FIELD_FLAG },
	{ OFFERS(offers, offer_shape) },
	{ AT(reply, chain), FIELD_PEM, .max = WIRE_BODY_MAX },
	{ AT(reply, alternates), FIELD_URLS, .max = WIRE_OFFERS_MAX },
	{ AT(reply, window_start), FIELD_TIME, .max = YEAR_9999 },
	{ AT(reply, window_end), FIELD_TIME, .max = YEAR_9999 },
	{ AT(reply, explanation), FIELD_URL, .max = WIRE_URL_MAX },
	{ AT(reply, found), FIELD_FLAG },
	{ AT(reply, exists), FIELD_FLAG },
	{ AT(reply, records), FIELD_TEXTS, .max = WIRE_NAMES_MAX },
};
static const struct shape reply_shape = { SHAPE(reply, reply_rows), "" };

/* Messages */

static int encode(const struct shape *shape, struct header header, const void *from,
		  struct buf *ret)
{
	size_t start = ret->len;
	int r;

	buf_add(ret, &header, sizeof(header));
	r = fields_put(shape, from, ret);
	if (r == 0 && ret->len - start > WIRE_MAX)
		r = -EMSGSIZE;
	if (r < 0)
		buf_cut(ret, start);
	return r;
}

static int decode(const struct shape *shape, const char *packet, size_t len, void *ret,
		  struct err *e)
{
	const struct row *at = NULL;

	fields_clear(shape, ret);
	if (fields_take(shape, packet + sizeof(struct header), len - sizeof(struct header), ret,
			&at))
		return 0;
	return err_set(e, EBADMSG, "message: at or after its %s", at ? at->name : "header");
}

static int read_header(const char *packet, size_t len, struct header *ret, struct err *e)
{
	if (len < sizeof(*ret) || len > WIRE_MAX)
		return err_set(e, EBADMSG, "message: of %zu bytes", len);
	memcpy(ret, packet, sizeof(*ret));
	return 0;
}

/* Does the request have what its kind needs, and nothing else? */
static int check_request(const struct request *r, struct err *e)
{
	for (size_t i = 0; i < ELEMENTS(request_rows); i++) {
		const struct row *row = &request_rows[i];
		const char *text =
			*(const char *const *)(const void *)((const char *)r + row->offset);
		bool there = text && *text;

		if (there && !(row->may >> r->kind & 1))
			return err_set(e, EBADMSG, "message: %s in a request of kind %d", row->name,
				       (int)r->kind);
		if (!there && row->must >> r->kind & 1)
			return err_set(e, EBADMSG, "message: no %s in a request of kind %d",
				       row->name, (int)r->kind);
	}
	return 0;
}

int request_encode(const struct request *r, struct buf *ret)
{
	struct header header = { .kind = (uint32_t)r->kind, .id = r->id };

	if ((unsigned)r->kind >= REQUEST_KINDS || check_request(r, NULL) < 0)
		return -EINVAL;
	return encode(&request_shape, header, r, ret);
}

int reply_encode(const struct reply *r, struct buf *ret)
{
	return encode(&reply_shape, (struct header){ .kind = KIND_REPLY, .id = r->id }, r, ret);
}

int request_decode(const char *packet, size_t len, struct request *ret, struct err *e)
{
	struct header header;
	int r = read_header(packet, len, &header, e);

	if (r < 0)
		return r;
	if (header.kind >= REQUEST_KINDS)
		return err_set(e, EBADMSG, "message: no request is of kind %u", header.kind);
	r = decode(&request_shape, packet, len, ret, e);
	if (r < 0)
		return r;
	ret->kind = (enum request_kind)header.kind;
	ret->id = header.id;
	return check_request(ret, e);
}

int reply_decode(const char *packet, size_t len, struct reply *ret, struct err *e)
{
	struct header header;
	int r = read_header(packet, len, &header, e);

	if (r < 0)
		return r;
	if (header.kind != KIND_REPLY)
		return err_set(e, EBADMSG, "message: not a reply");
	r = decode(&reply_shape, packet, len, ret, e);
	if (r == 0)
		ret->id = header.id;
	return r;
}

bool reply_is_bad(const struct reply *r)
{
	return r->error != REPLY_OK || r->http < 200 || r->http > 299;
}

void reply_clear(struct reply *ret)
{
	fields_clear(&reply_shape, ret);
}
