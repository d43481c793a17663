/*
 * A CA's JSON by tables: which keys of an object are read, in which form, into what.
 *
 * Strict: a value of another type, a URL that is none, a token that could be a
 * path spoil the whole object, and the sentence names the key. A key that is
 * null did not come. Only problem documents are read leniently: of an answer that failed
 * anyway, whatever is left is better than nothing.
 */
#include "acme/worker/object.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "acme/worker/header.h"
#include "agent/base/own.h"

#define TOKEN_MAX      255
#define TYPE_MAX       100 /* of a problem */
#define IDENTIFIER_MAX 255

const char *object_text(struct arena *arena, const char *text, size_t max)
{
	char *copy = arena_new(arena, strnlen(text, max) + 1);
	size_t len = 0;

	for (; *text && len < max; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x80 && c < 0xc0)
			continue; /* of a letter whose first byte was replaced */
		copy[len++] = c >= ' ' && c <= '~' ? (char)c : '?';
	}
	return copy;
}

struct reading {
	struct arena *arena;
	struct reply *reply;
	const char *key; /* that is being read */
	const char *odd; /* what is wrong with odd_key; NULL: nothing yet */
	const char *odd_key;
};

static void odd_at(struct reading *r, const char *key, const char *what)
{
	if (r->odd)
		return;
	r->odd = what;
	r->odd_key = key;
}

static void odd(struct reading *r, const char *what)
{
	odd_at(r, r->key, what);
}

/* Forms of values: what they are in JSON, and where they go. */

typedef void read_fn(struct reading *r, const struct json *object, const char *key, void *to);

struct form {
	enum json_form json;
	const char *otherwise; /* the sentence for another type */
	read_fn *read;
};

struct key {
	const char *name;
	const struct form *form;
	size_t offset; /* in what the object is read into */
	bool needed;
};

static void read_object(struct reading *r, const struct json *object, const struct key *keys,
			size_t n_keys, void *to)
{
	for (size_t i = 0; i < n_keys; i++) {
		const struct json *value = json_get(object, keys[i].name);
		enum json_form form = json_form(value);

		r->key = keys[i].name;
		if (form == keys[i].form->json)
			keys[i].form->read(r, object, keys[i].name, (char *)to + keys[i].offset);
		else if (form != JSON_IS_NULL)
			odd(r, keys[i].form->otherwise);
		else if (keys[i].needed)
			odd(r, "is missing");
	}
}

#define READ_OBJECT(r, object, keys, to) read_object(r, object, keys, ELEMENTS(keys), to)

static bool is_url(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return len > 0 && len <= WIRE_URL_MAX;
}

static bool is_https(const char *text)
{
	return is_url(text) && strncasecmp(text, "https://", 8) == 0 && text[8];
}

static void read_url(struct reading *r, const struct json *object, const char *key, void *to)
{
	const char *text = json_text(object, key);

	if (!is_https(text))
		odd(r, "is not an https URL");
	else
		*(const char **)to = arena_dup(r->arena, text);
}
static const struct form url_form = { JSON_IS_TEXT, "is not a string", read_url };

/* For a person to look at; it is never followed, and an unusable one is left out. */
static void read_link(struct reading *r, const struct json *object, const char *key, void *to)
{
	const char *text = json_text(object, key);

	if (is_url(text))
		*(const char **)to = arena_dup(r->arena, text);
}
static const struct form link_form = { JSON_IS_TEXT, "is not a string", read_link };

static void read_time(struct reading *r, const struct json *object, const char *key, void *to)
{
	(void)r;
	*(int64_t *)to = header_rfc3339(json_text(object, key));
}
static const struct form time_form = { JSON_IS_TEXT, "is not a string", read_time };

static void read_status(struct reading *r, const struct json *object, const char *key, void *to)
{
	static const char *const names[] = {
		[STATUS_PENDING] = "pending",       [STATUS_READY] = "ready",
		[STATUS_PROCESSING] = "processing", [STATUS_VALID] = "valid",
		[STATUS_INVALID] = "invalid",       [STATUS_DEACTIVATED] = "deactivated",
		[STATUS_EXPIRED] = "expired",       [STATUS_REVOKED] = "revoked",
	};

	for (size_t i = STATUS_PENDING; i < ELEMENTS(names); i++)
		if (strcmp(json_text(object, key), names[i]) == 0) {
			*(enum acme_status *)to = (enum acme_status)i;
			return;
		}
	odd(r, "is not a status of RFC 8555");
}
static const struct form status_form = { JSON_IS_TEXT, "is not a string", read_status };

static void read_flag(struct reading *r, const struct json *object, const char *key, void *to)
{
	(void)r;
	*(bool *)to = json_bool(object, key, false);
}
static const struct form flag_form = { JSON_IS_BOOL, "is neither true nor false", read_flag };

static void read_urls(struct reading *r, const struct json *object, const char *key, void *to)
{
	const struct json *value = json_get(object, key);
	struct text_array *array = to;
	size_t n = json_count(value);

	if (n > WIRE_NAMES_MAX)
		odd(r, "has too many items");
	for (size_t i = 0; i < n && !r->odd; i++) {
		const char *text = json_text_at(value, i);

		if (!text || !is_https(text))
			odd(r, "has an item that is not an https URL");
		else
			array->items[array->count++] = arena_dup(r->arena, text);
	}
}
static const struct form urls_form = { JSON_IS_ARRAY, "is not an array", read_urls };

/* Lists that are only shown or searched: the first WIRE_OFFERS_MAX. */
static void add_text(struct reading *r, const char *text, struct text_array *to)
{
	if (text && *text && to->count < WIRE_OFFERS_MAX)
		to->items[to->count++] = object_text(r->arena, text, WIRE_TEXT_MAX);
}

static void read_texts(struct reading *r, const struct json *object, const char *key, void *to)
{
	const struct json *value = json_get(object, key);
	for (size_t i = 0; i < json_count(value); i++)
		add_text(r, json_text_at(value, i), to);
}
static const struct form texts_form = { JSON_IS_ARRAY, "is not an array", read_texts };

static void read_keys(struct reading *r, const struct json *object, const char *key, void *to)
{
	const struct json *value = json_get(object, key);
	const char *item = NULL;

	while ((item = json_key_after(value, item)))
		add_text(r, item, to);
}
static const struct form keys_form = { JSON_IS_OBJECT, "is not an object", read_keys };

static void read_token(struct reading *r, const struct json *object, const char *key, void *to)
{
	const char *text = json_text(object, key);

	if (!header_is_base64url(text, TOKEN_MAX))
		odd(r, "is not base64url");
	else
		*(const char **)to = arena_dup(r->arena, text);
}
static const struct form token_form = { JSON_IS_TEXT, "is not a string", read_token };

/* Problems (RFC 7807; RFC 8555, 6.7) */

static const char *text_or_none(struct reading *r, const char *text, size_t max)
{
	return text ? object_text(r->arena, text, max) : "";
}

static void read_one_problem(struct reading *r, const struct json *document, struct problem *to)
{
	static const char urn[] = "urn:ietf:params:acme:error:";
	const char *type = json_text(document, "type");

	if (type && strncmp(type, urn, sizeof(urn) - 1) == 0)
		type += sizeof(urn) - 1;
	to->type = text_or_none(r, type, TYPE_MAX);
	to->detail = text_or_none(r, json_text(document, "detail"), WIRE_TEXT_MAX);
	to->name = text_or_none(r, json_text(json_get(document, "identifier"), "value"),
				IDENTIFIER_MAX);
}

static void read_problem(struct reading *r, const struct json *object, const char *key, void *to)
{
	const struct json *value = json_get(object, key);
	read_one_problem(r, value, to);
}
static const struct form problem_form = { JSON_IS_OBJECT, "is not an object", read_problem };

static void read_whole_problem(struct reading *r, const struct json *document)
{
	const struct json *all = json_get(document, "subproblems");
	struct reply *reply = r->reply;

	read_one_problem(r, document, &reply->problem);
	for (size_t i = 0; i < json_count(all) && i < WIRE_OFFERS_MAX; i++)
		read_one_problem(r, json_at(all, i), &reply->subproblems[reply->n_subproblems++]);
}

static void read_order_problem(struct reading *r, const struct json *object, const char *key,
			       void *to)
{
	const struct json *value = json_get(object, key);
	(void)to;
	read_whole_problem(r, value);
}
static const struct form order_problem_form = { JSON_IS_OBJECT, "is not an object",
						read_order_problem };

/* Objects */

static void read_identifier(struct reading *r, const struct json *object, const char *key, void *to)
{
	const struct json *value = json_get(object, key);
	const char *type = json_text(value, "type"), *name = json_text(value, "value");

	if (!type || strcmp(type, "dns") != 0 || !name || !*name)
		odd(r, "is not a DNS name");
	else
		*(const char **)to = object_text(r->arena, name, IDENTIFIER_MAX);
}
static const struct form identifier_form = { JSON_IS_OBJECT, "is not an object", read_identifier };

static void read_challenge(struct reading *r, const struct json *object, struct offer *to)
{
	static const struct key keys[] = {
		{ "status", &status_form, offsetof(struct offer, status), true },
		{ "url", &url_form, offsetof(struct offer, url), true },
		{ "token", &token_form, offsetof(struct offer, token), true },
		{ "error", &problem_form, offsetof(struct offer, problem), false },
	};
	const char *type = json_text(object, "type");

	if (!type) {
		r->key = "type";
		odd(r, "is missing");
	} else if (strcmp(type, "http-01") == 0) {
		to->type = CHALLENGE_HTTP_01;
	} else if (strcmp(type, "dns-01") == 0) {
		to->type = CHALLENGE_DNS_01;
	}
	/* What another kind has in it is not ours to judge. */
	if (to->type != CHALLENGE_OTHER)
		READ_OBJECT(r, object, keys, to);
}

static const struct offer no_offer = { .url = "", .token = "", .problem = { "", "", "" } };

static struct offer *add_offer(struct reply *reply)
{
	struct offer *offer = &reply->offers[reply->n_offers++];

	*offer = no_offer;
	return offer;
}

/* Should there be more than fit, those of other kinds give way: they come last. */
static void read_offers(struct reading *r, const struct json *object, const char *key, void *to)
{
	const struct json *value = json_get(object, key);
	struct reply *reply = r->reply;
	size_t n_others = 0;

	(void)to;
	for (size_t i = 0; i < json_count(value); i++) {
		struct offer one = no_offer;

		read_challenge(r, json_at(value, i), &one);
		if (one.type == CHALLENGE_OTHER)
			n_others++;
		else if (reply->n_offers == WIRE_OFFERS_MAX)
			odd_at(r, key, "has too many items");
		else
			*add_offer(reply) = one;
	}
	while (n_others-- > 0 && reply->n_offers < WIRE_OFFERS_MAX)
		(void)add_offer(reply);
}
static const struct form offers_form = { JSON_IS_ARRAY, "is not an array", read_offers };

#define IN_REPLY(member) offsetof(struct reply, member)

static void read_meta(struct reading *r, const struct json *object, const char *key, void *to)
{
	const struct json *value = json_get(object, key);
	static const struct key keys[] = {
		{ "termsOfService", &link_form, IN_REPLY(directory.terms), false },
		{ "externalAccountRequired", &flag_form,
		  IN_REPLY(directory.external_account_required), false },
		{ "caaIdentities", &texts_form, IN_REPLY(directory.caa_identities), false },
		{ "profiles", &keys_form, IN_REPLY(directory.profiles), false },
	};

	(void)to;
	READ_OBJECT(r, value, keys, r->reply);
}
static const struct form meta_form = { JSON_IS_OBJECT, "is not an object", read_meta };

static void read_window(struct reading *r, const struct json *object, const char *key, void *to)
{
	const struct json *value = json_get(object, key);
	static const struct key keys[] = {
		{ "start", &time_form, IN_REPLY(window_start), true },
		{ "end", &time_form, IN_REPLY(window_end), true },
	};

	(void)to;
	READ_OBJECT(r, value, keys, r->reply);
}
static const struct form window_form = { JSON_IS_OBJECT, "is not an object", read_window };

static const struct key directory_keys[] = {
	{ "newNonce", &url_form, IN_REPLY(directory.new_nonce), true },
	{ "newAccount", &url_form, IN_REPLY(directory.new_account), true },
	{ "newOrder", &url_form, IN_REPLY(directory.new_order), true },
	{ "revokeCert", &url_form, IN_REPLY(directory.revoke_cert), false },
	{ "keyChange", &url_form, IN_REPLY(directory.key_change), false },
	{ "renewalInfo", &url_form, IN_REPLY(directory.renewal_info), false },
	{ "meta", &meta_form, 0, false },
};

static const struct key account_keys[] = {
	{ "status", &status_form, IN_REPLY(status), false },
};

static const struct key order_keys[] = {
	{ "status", &status_form, IN_REPLY(status), true },
	{ "expires", &time_form, IN_REPLY(expires), false },
	{ "authorizations", &urls_form, IN_REPLY(authorizations), true },
	{ "finalize", &url_form, IN_REPLY(finalize), true },
	{ "certificate", &url_form, IN_REPLY(certificate), false },
	{ "error", &order_problem_form, 0, false },
};

static const struct key authorization_keys[] = {
	{ "status", &status_form, IN_REPLY(status), true },
	{ "expires", &time_form, IN_REPLY(expires), false },
	{ "identifier", &identifier_form, IN_REPLY(identifier), true },
	{ "wildcard", &flag_form, IN_REPLY(wildcard), false },
	{ "challenges", &offers_form, 0, true },
};

static const struct key challenge_keys[] = {
	{ "status", &status_form, IN_REPLY(status), true },
	{ "error", &order_problem_form, 0, false },
};

static const struct key renewal_keys[] = {
	{ "suggestedWindow", &window_form, 0, true },
	{ "explanationURL", &link_form, IN_REPLY(explanation), false },
};

static const struct {
	const char *name; /* of the object, in a sentence */
	const struct key *keys;
	size_t n_keys;
} objects[REQUEST_KINDS] = {
	[REQUEST_DIRECTORY] = { "directory", directory_keys, ELEMENTS(directory_keys) },
	[REQUEST_ACCOUNT] = { "account", account_keys, ELEMENTS(account_keys) },
	[REQUEST_ORDER] = { "order", order_keys, ELEMENTS(order_keys) },
	[REQUEST_AUTHORIZATION] = { "authorization", authorization_keys,
				    ELEMENTS(authorization_keys) },
	[REQUEST_CHALLENGE] = { "challenge", challenge_keys, ELEMENTS(challenge_keys) },
	[REQUEST_RENEWAL_INFO] = { "renewalInfo", renewal_keys, ELEMENTS(renewal_keys) },
};

bool object_is_of(enum request_kind kind)
{
	return objects[kind].keys;
}

int object_read(enum request_kind kind, const struct json *object, struct arena *arena,
		struct reply *ret, struct err *e)
{
	struct reading r = { .arena = arena, .reply = ret };

	if (json_form(object) != JSON_IS_OBJECT)
		return err_set(e, EBADMSG, "%s: is not an object", objects[kind].name);
	read_object(&r, object, objects[kind].keys, objects[kind].n_keys, ret);
	if (kind == REQUEST_CHALLENGE && !r.odd)
		read_challenge(&r, object, add_offer(ret));
	if (r.odd)
		return err_set(e, EBADMSG, "%s: %s %s", objects[kind].name, r.odd_key, r.odd);
	return 0;
}

void object_read_problem(const struct json *document, struct arena *arena, struct reply *ret)
{
	read_whole_problem(&(struct reading){ .arena = arena, .reply = ret }, document);
}
