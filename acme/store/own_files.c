/*
 * An admin's own certificate and key: judged where they lie, served from a copy.
 * What was judged is remembered until a file changes, or what this host trusts.
 * Of the certificate's file only its certificates are copied: whoever keeps the
 * key in it too would have it lie in a file that others may read.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/crypto/own_pair.h"
#include "acme/store/store.h"
#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/own.h"

#define TRUSTED "/etc/ssl/certs" /* its time changes with update-ca-certificates(8) */

static int own_stat(const char *path, struct stat *ret, struct err *e)
{
	if (stat(path, ret) < 0)
		return err_set(e, EBADMSG, "%s: %m", path);
	if (!S_ISREG(ret->st_mode))
		return err_set(e, EBADMSG, "%s is not a regular file", path);
	return 0;
}

static int read_own(const char *path, struct buf *ret, struct err *e)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char chunk[8192];
	ssize_t n = -1;

	while (fd >= 0 && ret->len <= PEM_MAX_BYTES && (n = read(fd, chunk, sizeof chunk)) > 0)
		buf_add(ret, chunk, (size_t)n);
	explicit_bzero(chunk, sizeof chunk);
	if (fd < 0 || n < 0)
		return err_set(e, EBADMSG, "%s: %m", path);
	if (ret->len > PEM_MAX_BYTES)
		return err_set(e, EBADMSG, "%s is larger than 64 KiB", path);
	return 0;
}

static struct pem text_of(const struct buf *b)
{
	return (struct pem){ buf_text(b), b->len };
}

/* Follows links. -EBADMSG with a sentence. complete: NULL, or whether its chain is. */
static int read_pair(const char *certificate, const char *key, struct pair *ret, bool *complete,
		     struct err *e)
{
	struct buf raw = { 0 };
	int r = read_own(certificate, &raw, e);

	if (r == 0)
		r = read_own(key, &ret->key, e);
	if (r == 0) {
		const struct own_pair own = { certificate, key, text_of(&raw), text_of(&ret->key) };

		r = own_pair_check(&own, e);
		if (r == 0)
			own_pair_chain(own.certificate, &ret->chain);
		if (r == 0 && complete)
			*complete = own_pair_is_complete(&own, e);
	}
	pem_clear(&raw);
	return r;
}

static int judge(const char *certificate, const struct certificate *c, const char *uncovered,
		 time_t now, struct err *e)
{
	char date[21];

	if (!c->covers)
		return err_set(e, EBADMSG, "%s does not cover %s", certificate,
			       uncovered ? uncovered : "any name");
	if (now >= c->not_after || now < c->not_before) {
		bool over = now >= c->not_after;

		clock_rfc3339(over ? c->not_after : c->not_before, date);
		return err_set(e, EBADMSG, "%s %s %s", certificate,
			       over ? "expired on" : "is not valid before", date);
	}
	return 0;
}

static uint64_t hash_of(const struct stat *chain, const struct stat *key)
{
	struct stat trusted = { 0 };

	(void)stat(TRUSTED, &trusted);
	return seen_stat(seen_stat(seen_stat(HASH_START, chain), key), &trusted);
}

int certificate_check_files(struct store *s, const char *certificate, const char *key,
			    const char *const *names, size_t n_names, time_t now,
			    struct certificate *ret, struct err *e)
{
	struct stat chain_stat, key_stat;
	int r = own_stat(certificate, &chain_stat, e);

	if (r == 0)
		r = own_stat(key, &key_stat, e);
	if (r < 0)
		return r;

	struct seen_entry at = {
		.site = hash_text(hash_text(HASH_START + 1, certificate), key) | 1,
		.files = hash_of(&chain_stat, &key_stat),
		.names = seen_names(names, n_names),
	};
	autopair struct pair pair = { 0 };
	const char *uncovered = NULL;
	struct certificate c = { 0 };

	/* Whatever there is to be said of it is in the files. */
	if (!s || !seen_get(&s->seen, &at, &c) || !c.covers || !c.complete) {
		bool complete = false;

		r = read_pair(certificate, key, &pair, &complete, e);
		if (r == 0)
			r = chain_read(text_of(&pair.chain), text_of(&pair.key), names, n_names,
				       NULL, &c, &uncovered, e);
		if (r < 0)
			return r;
		c.complete = complete;
		c.content = pair_content(&pair);
		if (s)
			seen_put(&s->seen, &at, &c);
	}
	r = judge(certificate, &c, uncovered, now, e);
	if (r == 0)
		*ret = c;
	return r;
}

int store_install_files(struct store *s, const char *webspace, const char *site,
			const char *certificate, const char *key, struct err *e)
{
	autopair struct pair pair = { 0 };
	struct place p;
	int r = store_place(webspace, site, &p, e);

	/* They may have been replaced since they were checked: only a pair goes in. */
	if (r == 0)
		r = read_pair(certificate, key, &pair, NULL, e);
	if (r < 0)
		return r;
	r = store_install_copy(s, &p, &pair, e);
	if (r < 0)
		(void)err_in(e, "copy of %s", certificate);
	return r;
}
