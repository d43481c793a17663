/*
 * The CA is a key and a certificate in a directory only root can enter. The
 * key comes first and is on disk before the certificate, so a crash leaves
 * nothing or a key to be completed; it is never replaced: whoever trusts this
 * CA would have to trust another. Its certificate is made anew from the same
 * key before it ends.
 */
#include "acme/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define DAY           ((time_t)86400)
#define CA_LIFETIME   (3650 * DAY)
#define LEAF_LIFETIME (90 * DAY)
#define CLOCK_SLACK   ((time_t)3600) /* of browsers whose clock is behind */
#define FRESH_START                                                                             \
	"put it back from a backup, or move the whole directory aside: a new CA is made then, " \
	"which browsers do not trust yet"

static int read_pem(int dir, const char *name, struct buf *ret, struct err *e)
{
	autofree char *text = NULL;
	size_t len;
	int r = path_read(dir, name, PEM_MAX_BYTES, &text, &len, e);

	if (r < 0)
		return r;
	buf_add(ret, text, len);
	explicit_bzero(text, len);
	return 0;
}

static int make_key(int dir, struct key **ret, struct err *e)
{
	struct buf pem = { 0 };
	int r = key_new(KEY_P256, ret, e);

	if (r < 0)
		return r;
	key_write(*ret, &pem);
	r = put_file(dir, "ca.key", 0400, buf_text(&pem), pem.len, PUT_SYNC, e);
	pem_clear(&pem);
	if (r < 0)
		key_free(*ret);
	return r < 0 ? r : 0;
}

static int get_key(int dir, bool may_make, struct key **ret, struct err *e)
{
	struct buf pem = { 0 };
	int r = read_pem(dir, "ca.key", &pem, e);

	if (r == 0)
		r = key_parse((struct pem){ buf_text(&pem), pem.len }, ret, e);
	pem_clear(&pem);
	if (r == -EBADMSG)
		return err_set(e, EBADMSG, "ca/ca.key is no private key: " FRESH_START);
	if (r == 0 && key_type(*ret) != KEY_P256) {
		key_free(*ret);
		return err_set(e, EBADMSG, "ca/ca.key is no P-256 key: " FRESH_START);
	}
	if (r != -ENOENT)
		return r;
	if (faccessat(dir, "ca.pem", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(e, EBADMSG, "ca/ca.key is missing: " FRESH_START);
	return may_make ? make_key(dir, ret, e) : r;
}

static int certify(int dir, struct key *k, time_t now, struct buf *ret, struct err *e)
{
	buf_reset(ret);

	int r = authority_certify(k, now - CLOCK_SLACK, now + CA_LIFETIME, ret, e);

	if (r == 0)
		r = put_file(dir, "ca.pem", 0444, buf_text(ret), ret->len, PUT_SYNC, e);
	return r < 0 ? r : 0;
}

static int open_pair(int dir, struct key *k, bool may_make, time_t now, struct authority **ret,
		     struct err *e)
{
	autobuf struct buf pem = { 0 };
	int r = read_pem(dir, "ca.pem", &pem, e);

	if (r == -ENOENT && may_make)
		r = certify(dir, k, now, &pem, e);
	if (r < 0) {
		key_free(k);
		return r;
	}
	r = authority_open((struct pem){ buf_text(&pem), pem.len }, k, ret, e);
	if (r == -EBADMSG)
		(void)err_in(e, "ca/ca.pem (move it aside to have it made anew from ca/ca.key)");
	return r;
}

/* The certificate is made anew from its key while leaves still fit into the old one. */
static int renew(int dir, struct authority **a, time_t now, struct err *e)
{
	autobuf struct buf pem = { 0 };
	struct key *k;
	int r = get_key(dir, false, &k, e);

	if (r < 0)
		return r;
	authority_close(*a);
	*a = NULL;
	r = certify(dir, k, now, &pem, e);
	if (r < 0) {
		key_free(k);
		return r;
	}
	return authority_open((struct pem){ buf_text(&pem), pem.len }, k, a, e);
}

int internal_open(int state, bool may_make, time_t now, struct authority **ret, struct err *e)
{
	struct authority *a = NULL;
	struct key *k;
	int r = may_make ? put_dir(state, "ca", 0755, e) : 0;
	autofd int dir = r < 0 ? r : path_open(state, "ca", O_RDONLY | O_DIRECTORY, e);

	r = dir < 0 ? dir : get_key(dir, may_make, &k, e);
	if (r == 0)
		r = open_pair(dir, k, may_make, now, &a, e);
	if (r == 0 && may_make && authority_ends(a) < now + LEAF_LIFETIME)
		r = renew(dir, &a, now, e);
	if (r < 0)
		return r;
	*ret = a;
	return 0;
}

int internal_issue(const struct authority *a, const struct key *k, const char *const *names,
		   size_t n_names, time_t now, struct buf *ret, struct err *e)
{
	time_t end = now + LEAF_LIFETIME;

	if (n_names == 0)
		return err_set(e, EINVAL, "a certificate for no name");
	if (end > authority_ends(a))
		end = authority_ends(a);

	struct issue what = {
		.key = k,
		.names = names,
		.n_names = n_names,
		.not_before = now - CLOCK_SLACK,
		.not_after = end,
	};

	return authority_issue(a, &what, ret, e);
}
