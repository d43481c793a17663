/*
 * Whoever has an account's key can get certificates for every name that this
 * host answers for, so it is root's alone; the directory's name tells people
 * which CA it is for.
 */
#include "acme/client/account_key.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "acme/client/jws.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define NAME_MAX_BYTES 200

/* "https://acme-v02.api.letsencrypt.org/directory" → "acme-v02.api.letsencrypt.org_directory" */
static void dir_name(const char *directory, char ret[static NAME_MAX_BYTES + 1])
{
	const char *at = strstr(directory, "://");
	size_t len = 0;

	for (at = at ? at + 3 : directory; *at && len < NAME_MAX_BYTES; at++) {
		bool plain = isalnum((unsigned char)*at) || *at == '-' || (*at == '.' && len > 0);

		ret[len++] = plain ? *at : '_';
	}
	ret[len] = '\0';
}

int account_dir(const struct store *s, const char *directory, bool may_make, struct err *e)
{
	char name[NAME_MAX_BYTES + 1];
	int r = 0;

	dir_name(directory, name);
	if (s->state < 0)
		return err_set(e, ENOENT, "no %s/acme/%s", s->state_dir, name);
	if (may_make)
		r = put_dir(s->state, "acme", 0700, e);

	autofd int all = r < 0 ? r : path_open(s->state, "acme", O_RDONLY | O_DIRECTORY, e);

	r = all;
	if (r >= 0 && may_make)
		r = put_dir(all, name, 0700, e);
	if (r >= 0)
		r = path_open(all, name, O_RDONLY | O_DIRECTORY, e);
	if (r < 0)
		(void)err_in(e, "%s/acme", s->state_dir);
	return r;
}

int account_key_put(int dir, const char *name, const struct key *k, struct err *e)
{
	struct buf pem = { 0 };
	int r;

	key_write(k, &pem);
	r = put_file(dir, name, 0400, buf_text(&pem), pem.len, PUT_SYNC, e);
	pem_clear(&pem);
	return r < 0 ? r : 0;
}

static int make(int dir, struct key **ret, struct err *e)
{
	autokey struct key *k = NULL;
	int r = key_new(KEY_P256, &k, e);

	if (r == 0)
		r = account_key_put(dir, "account.key", k, e);
	if (r < 0)
		return r;
	*ret = take_ptr(k);
	return 0;
}

static int parse(const char *text, size_t len, const char *where, struct key **ret, struct err *e)
{
	autokey struct key *k = NULL;
	int r = key_parse((struct pem){ text, len }, &k, e);

	if (r == 0 && key_type(k) != KEY_P256)
		r = err_set(e, EBADMSG, "not an ECDSA P-256 key");
	if (r < 0)
		return err_in(e, "%s", where);
	*ret = take_ptr(k);
	return 0;
}

int account_key(int dir, const char *key_file, bool may_make, struct key **ret, struct err *e)
{
	bool shared = *key_file;
	autofd int root = shared ? path_open_dir("/", e) : -1;
	autofree char *text = NULL;
	size_t len = 0;
	int r = shared && root < 0
			? root
			: path_read(shared ? root : dir, shared ? key_file + 1 : "account.key",
				    PEM_MAX_BYTES, &text, &len, e);

	if (r == -ENOENT && !shared && may_make)
		return make(dir, ret, e);
	if (r < 0)
		return r;
	r = parse(text, len, shared ? key_file : "account.key", ret, e);
	explicit_bzero(text, len);
	return r;
}

int account_key_next(int dir, struct key **ret)
{
	autofree char *text = NULL;
	size_t len;
	int r = path_read(dir, "next.key", PEM_MAX_BYTES, &text, &len, NULL);

	if (r < 0)
		return r;
	r = parse(text, len, "next.key", ret, NULL);
	explicit_bzero(text, len);
	return r;
}

int acme_thumbprint(struct store *s, const char *directory, const char *key_file, bool may_make,
		    char ret[static 44], struct err *e)
{
	autofd int dir = account_dir(s, directory, may_make, e);
	autokey struct key *k = NULL;
	int r = dir < 0 ? dir : account_key(dir, key_file, may_make, &k, e);

	return r < 0 ? r : jws_thumbprint(k, ret, e);
}
