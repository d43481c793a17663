/*
 * The live certificates on disk. A look at one that did not change costs two
 * fstatat(2): of the chain and of the key. What is damaged is not repaired but
 * reported as not matching, so that another generation is made beside it.
 */
#include "acme/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/store/internal.h"
#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

/* Not written when it is right: the web server goes through, nobody else does. */
static int open_to_web(const struct store *s, int dir)
{
	struct stat st;

	if (fstat(dir, &st) == 0 && st.st_gid == s->web_gid && (st.st_mode & 07777) == 0710)
		return 0;
	return fchown(dir, (uid_t)-1, s->web_gid) < 0 || fchmod(dir, 0710) < 0 ? -errno : 0;
}

static int open_certs(struct store *s, struct err *e)
{
	if (s->writable && put_dir(s->state, "certs", 0700, e) < 0)
		return err_in(e, "%s", s->state_dir);
	s->certs = openat(s->state, "certs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->certs < 0)
		return !s->writable && errno == ENOENT ? 0
						       : err_sys(e, "open %s/certs", s->state_dir);
	if (s->writable && open_to_web(s, s->certs) < 0)
		return err_sys(e, "open %s/certs to the web server", s->state_dir);
	return 0;
}

static int open_dirs(struct store *s, struct err *e)
{
	if (s->writable) {
		int r = path_make_dirs(s->state_dir, 0755, e);

		if (r < 0)
			return r;
	}
	s->state = open(s->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->state < 0)
		return !s->writable && errno == ENOENT ? 0 : err_sys(e, "open %s", s->state_dir);
	return open_certs(s, e);
}

int store_open(const char *state_dir, gid_t web_gid, bool writable, struct store **ret,
	       struct err *e)
{
	struct store *s = memory_new(sizeof *s);

	*s = (struct store){
		.state_dir = memory_dup(state_dir),
		.ca_file = memory_printf("%s/ca/ca.pem", state_dir),
		.state = -1,
		.certs = -1,
		.uid = geteuid(),
		.web_gid = web_gid,
		.writable = writable,
	};
	int r = open_dirs(s, e);

	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

int store_claim(struct store *s, struct err *e)
{
	if (flock(s->certs, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, EBUSY, "another agent works with %s/certs", s->state_dir);
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->state >= 0)
		close(s->state);
	if (s->certs >= 0)
		close(s->certs);
	authority_close(s->authority);
	seen_clear(&s->seen);
	store_forget_records(s, NULL);
	free(s->state_dir);
	free(s->ca_file);
	free(s);
}

int store_authority(struct store *s, bool may_make, time_t now, struct err *e)
{
	struct authority *a = NULL;
	int r;

	may_make = may_make && s->writable;
	if (s->authority && !(may_make && internal_is_due(s->authority, now)))
		return 0;
	if (s->state < 0)
		return err_set(e, ENOENT, "there is no internal CA");
	r = internal_open(s->state, may_make, now, &a, e);
	if (r < 0)
		return r;
	authority_close(s->authority);
	s->authority = a;
	seen_clear(&s->seen); /* who issued what was not known before */
	return 0;
}

bool store_ca_is_valid(struct store *s, time_t now)
{
	return store_authority(s, false, now, NULL) == 0 && now >= authority_begins(s->authority) &&
	       now < authority_ends(s->authority);
}

const char *store_ca_file(struct store *s)
{
	return store_authority(s, true, clock_wall(), NULL) == 0 ? s->ca_file : NULL;
}

void store_site(const char *first_name, char ret[static 256])
{
	bool wildcard = strncmp(first_name, "*.", 2) == 0;

	snprintf(ret, 256, "%s%s", wildcard ? "_" : "", first_name + wildcard);
	/* Names are checked when they are loaded; this only keeps to one component, whatever comes. */
	for (char *c = ret; *c; c++)
		if (*c == '/' || (c == ret && *c == '.'))
			*c = '_';
}

static bool is_component(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/');
}

int store_place(const char *webspace, const char *site, struct place *ret, struct err *e)
{
	if ((!is_component(webspace) && strcmp(webspace, ACME_HOST) != 0) || !is_component(site) ||
	    snprintf(ret->site, sizeof ret->site, "%s/%s", webspace, site) >= (int)sizeof ret->site)
		return err_set(e, EINVAL, "no place for a certificate: %s/%s", webspace, site);
	return 0;
}

unsigned store_generation(const struct store *s, const struct place *p)
{
	char path[400], text[16], *end;

	snprintf(path, sizeof path, "%s/current", p->site);
	if (!path_read_link(s->certs, path, text, sizeof text))
		return 0;

	unsigned long number = strtoul(text, &end, 10);

	return *end || number > INT32_MAX ? 0 : (unsigned)number;
}

void pair_clear(struct pair *p)
{
	buf_clear(&p->chain);
	pem_clear(&p->key);
}

static void load_file(const struct store *s, const char *dir, const char *name, struct buf *ret)
{
	char path[400];
	autofree char *text = NULL;
	size_t len;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	if (path_read(s->certs, path, PEM_MAX_BYTES, &text, &len, NULL) < 0)
		return;
	buf_add(ret, text, len);
	explicit_bzero(text, len);
}

void store_load(const struct store *s, const struct place *p, unsigned generation, struct pair *ret)
{
	char dir[360];

	snprintf(dir, sizeof dir, "%s/%u", p->site, generation);
	load_file(s, dir, "chain.pem", &ret->chain);
	load_file(s, dir, "key.pem", &ret->key);
}

uint64_t pair_content(const struct pair *p)
{
	return hash_bytes(hash_bytes(HASH_START, p->chain.data, p->chain.len), p->key.data,
			  p->key.len);
}

bool store_key_is_odd(const struct store *s, const struct stat *st)
{
	return !S_ISREG(st->st_mode) || st->st_mode & 07137 || !(st->st_mode & 040) ||
	       st->st_uid != s->uid || st->st_gid != s->web_gid;
}

/* Somebody else could write it, or the web server not read it. */
static bool chain_is_odd(const struct store *s, const struct stat *st)
{
	return !S_ISREG(st->st_mode) || st->st_mode & 07022 || !(st->st_mode & 04) ||
	       st->st_uid != s->uid;
}

/* Both files' stat, by way of `current`. A pair of which one is odd is made anew. */
static int stat_live(const struct store *s, const struct place *p, uint64_t *ret_hash,
		     bool *ret_odd)
{
	struct stat chain = { 0 }, key = { 0 };
	char path[400];
	size_t len = (size_t)snprintf(path, sizeof path, "%s/current/chain.pem", p->site);

	if (s->certs < 0 || fstatat(s->certs, path, &chain, 0) < 0)
		return -ENOENT;
	memcpy(path + len - strlen("chain.pem"), "key.pem", sizeof "key.pem");
	if (fstatat(s->certs, path, &key, 0) < 0)
		key.st_mode = 0;
	*ret_hash = seen_stat(seen_stat(HASH_START, &chain), &key);
	*ret_odd = store_key_is_odd(s, &key) || chain_is_odd(s, &chain);
	return 0;
}

bool store_excludes(const struct store *s, const struct place *p, const char *const *names,
		    size_t n)
{
	struct seen_entry key = { .site = hash_text(HASH_START, p->site) | 1 };
	bool odd;

	return stat_live(s, p, &key.files, &odd) < 0 || seen_excludes(&s->seen, &key, names, n);
}

int store_read(struct store *s, const char *webspace, const char *site, const char *const *names,
	       size_t n_names, struct certificate *ret, struct err *e)
{
	struct seen_entry key = { 0 };
	struct place p;
	bool odd_key;
	int r = store_place(webspace, site, &p, e);

	if (r < 0)
		return r;
	if (stat_live(s, &p, &key.files, &odd_key) < 0)
		return err_set(e, ENOENT, "no certificate for %s", p.site);

	key.site = hash_text(HASH_START, p.site) | 1;
	key.names = seen_names(names, n_names);
	if (seen_get(&s->seen, &key, ret))
		return 0;

	autopair struct pair pair = { 0 };

	*ret = (struct certificate){ 0 };
	(void)store_authority(s, false, clock_wall(), NULL);
	store_load(s, &p, store_generation(s, &p), &pair);
	(void)chain_read((struct pem){ buf_text(&pair.chain), pair.chain.len },
			 (struct pem){ buf_text(&pair.key), pair.key.len }, names, n_names,
			 s->authority, ret, NULL, NULL);
	ret->content = pair_content(&pair);
	ret->key_matches &= !odd_key;
	seen_put(&s->seen, &key, ret);
	return 0;
}

int store_current(struct store *s, const char *webspace, const char *site, char ret[static 600])
{
	struct place p;
	int r = store_place(webspace, site, &p, NULL);
	unsigned generation = r < 0 ? 0 : store_generation(s, &p);

	if (!generation)
		return r < 0 ? r : -ENOENT;
	snprintf(ret, 600, "%s/%u", p.site, generation);
	return 0;
}

int store_list(struct store *s, struct table *ret_names, struct err *e)
{
	if (s->certs < 0)
		return 0;

	autodir DIR *d = path_list(s->certs, ".", e);
	const struct dirent *entry;

	if (!d)
		return err_in(e, "%s/certs", s->state_dir);
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.')
			table_set(ret_names, entry->d_name, s);
	return 0;
}

int store_remove(struct store *s, const char *webspace, struct err *e)
{
	char to[320];

	if (!is_component(webspace))
		return err_set(e, EINVAL, "no webspace: %s", webspace);
	if (s->certs < 0 || faccessat(s->certs, webspace, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	store_forget_records(s, webspace);
	if (mkdirat(s->certs, ".removed", 0700) < 0 && errno != EEXIST)
		return err_sys(e, "mkdir %s/certs/.removed", s->state_dir);
	for (unsigned i = 1; i < 100000; i++) {
		snprintf(to, sizeof to, ".removed/%s.%u", webspace, i);
		if (renameat2(s->certs, webspace, s->certs, to, RENAME_NOREPLACE) == 0)
			return 1;
		if (errno != EEXIST)
			break;
	}
	return errno == ENOENT ? 0 : err_sys(e, "set certs/%s aside", webspace);
}

/* ".removed/alice.12" is alice's; "alice.b.1" is alice.b's. */
static bool is_removed_of(const char *name, const char *webspace)
{
	size_t len = strlen(webspace);

	return strncmp(name, webspace, len) == 0 && name[len] == '.' && name[len + 1] &&
	       name[len + 1 + strspn(name + len + 1, "0123456789")] == '\0';
}

int store_purge(struct store *s, const char *webspace, struct err *e)
{
	int r = store_remove(s, webspace, e);
	autodir DIR *d = r < 0 ? NULL : path_list(s->certs, ".removed", NULL);
	const struct dirent *entry;

	while (r >= 0 && d && (entry = readdir(d)))
		if (is_removed_of(entry->d_name, webspace))
			r = path_remove_tree(dirfd(d), entry->d_name, e);
	return r < 0 ? r : 0;
}

time_t certificate_renew_at(const struct certificate *c, const char *name)
{
	time_t day = 86400, life = c->not_after - c->not_before;

	if (life <= 0)
		return c->not_after;

	/* Spread by 3 % of the lifetime both ways, so that what was issued together is not renewed together. */
	int64_t spread = (int64_t)(hash_text(HASH_START, name) % 6001) - 3000;
	time_t at = c->not_before + (life < 10 * day ? life / 2 : life * 2 / 3) +
		    (time_t)(life * spread / 100000);
	time_t margin = life / 4 < day ? life / 4 : day;
	time_t latest = c->not_after - (life / 20 > margin ? life / 20 : margin);

	return at < latest ? at : latest;
}
