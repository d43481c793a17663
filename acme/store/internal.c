/*
 * The CA is a key and a certificate in a directory only root can write. The key
 * comes first and is on disk before the certificate, so a crash leaves nothing or
 * a key to be completed. Whoever trusts this CA trusts its key and its name: both
 * stay when its certificate is made anew, a year before it ends, when it is not
 * valid by our clock, or when it is damaged. Only a key that is lost or damaged
 * makes another CA, which browsers have to be told to trust; what it replaces is
 * set aside, for a backup may bring back the rest.
 */
#include "acme/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define DAY           ((time_t)86400)
#define CA_LIFETIME   (3650 * DAY)
#define LEAF_LIFETIME (90 * DAY)
#define CA_OVERLAP    (365 * DAY) /* of its certificate and the next: time to give it to browsers */
#define CLOCK_SLACK   ((time_t)3600) /* of browsers whose clock is behind */
#define ASIDE_MAX     1000

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

/* As NAME.damaged.1 and so on. It need not be there. */
static int set_aside(int dir, const char *name, struct err *e)
{
	char to[64];

	for (unsigned i = 1; i < ASIDE_MAX; i++) {
		snprintf(to, sizeof to, "%s.damaged.%u", name, i);
		if (renameat2(dir, name, dir, to, RENAME_NOREPLACE) == 0 || errno == ENOENT)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return err_sys(e, "set ca/%s aside", name);
}

/* -ENOENT: there is none. -EBADMSG: it is no key of a CA of ours. */
static int read_key(int dir, struct key **ret, struct err *e)
{
	struct buf pem = { 0 };
	int r = read_pem(dir, "ca.key", &pem, e);

	if (r == 0)
		r = key_parse((struct pem){ buf_text(&pem), pem.len }, ret, e);
	pem_clear(&pem);
	if (r == 0 && key_type(*ret) != KEY_P256) {
		key_free(*ret);
		r = err_set(e, EBADMSG, "not a P-256 key");
	}
	if (r == -EBADMSG)
		(void)err_in(e, "ca/ca.key");
	return r;
}

/* Without its key a certificate is of no use. */
static int get_key(int dir, bool may_make, struct key **ret, struct err *e)
{
	int r = read_key(dir, ret, e);

	if (!may_make || (r != -ENOENT && r != -EBADMSG))
		return r;
	r = set_aside(dir, "ca.key", e);
	if (r == 0)
		r = set_aside(dir, "ca.pem", e);
	return r < 0 ? r : make_key(dir, ret, e);
}

/* It takes k in any case. */
static int certify(int dir, struct key *k, time_t now, struct authority **ret, struct err *e)
{
	autobuf struct buf pem = { 0 };
	int r = authority_certify(k, now - CLOCK_SLACK, now + CA_LIFETIME, &pem, e);

	if (r == 0)
		r = put_file(dir, "ca.pem", 0444, buf_text(&pem), pem.len, PUT_SYNC, e);
	if (r < 0) {
		key_free(k);
		return r;
	}
	return authority_open((struct pem){ buf_text(&pem), pem.len }, k, ret, e);
}

/* It takes k in any case. -ENOENT, -EBADMSG: as of read_key. */
static int read_authority(int dir, struct key *k, struct authority **ret, struct err *e)
{
	autobuf struct buf pem = { 0 };
	int r = read_pem(dir, "ca.pem", &pem, e);

	if (r < 0) {
		key_free(k);
		return r;
	}
	r = authority_open((struct pem){ buf_text(&pem), pem.len }, k, ret, e);
	if (r == -EBADMSG)
		(void)err_in(e, "ca/ca.pem");
	return r;
}

bool internal_is_due(const struct authority *a, time_t now)
{
	return now < authority_begins(a) || now >= authority_ends(a) - CA_OVERLAP;
}

/* From the same key, in place of one that is missing, damaged or due. */
static int certify_anew(int dir, time_t now, struct authority **ret, struct err *e)
{
	struct key *k;
	int r = read_key(dir, &k, e);

	return r < 0 ? r : certify(dir, k, now, ret, e);
}

static int open_pair(int dir, struct key *k, bool may_make, time_t now, struct authority **ret,
		     struct err *e)
{
	int r = read_authority(dir, k, ret, e);

	if (!may_make)
		return r;
	if (r == -EBADMSG)
		r = set_aside(dir, "ca.pem", e) < 0 ? -EIO : -ENOENT;
	if (r == 0 && internal_is_due(*ret, now)) {
		authority_close(*ret);
		r = -ENOENT;
	}
	return r == -ENOENT ? certify_anew(dir, now, ret, e) : r;
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
