/*
 * Putting certificates in place. With the same key only chain.pem changes, by
 * rename: whatever a handshake meets goes together, and nothing is reloaded.
 * With another key a whole new generation is made beside the old one, then
 * `current` is swapped; the old one stays, in case it was somebody's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/store/internal.h"
#include "acme/store/store.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define GENERATIONS_KEPT 5
/* In a generation whose key is an admin's: it is not used for anything else. */
#define COPIED           "copied"

/* A directory that the web server may pass through. Never open to it before it belongs to it. */
static int enter(const struct store *s, int dir, const char *name, struct err *e)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	autofd int fd = openat(dir, name, flags);
	struct stat st;

	if (fd < 0 && errno == ENOENT) {
		if (mkdirat(dir, name, 0700) < 0)
			return err_sys(e, "mkdir %s", name);
		fd = openat(dir, name, flags);
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "open %s", name);
	if ((st.st_mode & 07777) == 0710 && st.st_gid == s->web_gid && st.st_uid == s->uid)
		return take_fd(fd);
	if (fchown(fd, s->uid, s->web_gid) < 0 || fchmod(fd, 0710) < 0)
		return err_sys(e, "open %s to the web server", name);
	return take_fd(fd);
}

int store_site_dir(const struct store *s, const struct place *p, struct err *e)
{
	char webspace[256];
	size_t len = strcspn(p->site, "/");

	snprintf(webspace, sizeof webspace, "%.*s", (int)len, p->site);

	autofd int dir = enter(s, s->certs, webspace, e);

	return dir < 0 ? dir : enter(s, dir, p->site + len + 1, e);
}

static int write_new(const struct store *s, int dir, const char *name, bool secret,
		     const struct buf *text, struct err *e)
{
	autofd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			       secret ? 0600 : 0644);

	if (fd < 0)
		return err_sys(e, "create %s", name);
	if (secret && (fchown(fd, (uid_t)-1, s->web_gid) < 0 || fchmod(fd, 0640) < 0))
		return err_sys(e, "open %s to the web server", name);

	int r = put_all(fd, buf_text(text), text->len, e);

	/* As PUT_BEGUN. */
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return r < 0 ? err_in(e, "write %s", name) : 0;
}

/* The highest number there is, and what is older than the generations we keep goes. */
static unsigned last_generation(int site)
{
	autodir DIR *d = path_list(site, ".", NULL);
	const struct dirent *entry;
	unsigned long last = 0;

	while (d && (entry = readdir(d))) {
		unsigned long n = strtoul(entry->d_name, NULL, 10);

		if (n > last && n < INT32_MAX)
			last = n;
	}
	return (unsigned)last;
}

static void drop_oldest(int site, unsigned newest)
{
	char name[16];

	if (newest <= GENERATIONS_KEPT)
		return;
	snprintf(name, sizeof name, "%u", newest - GENERATIONS_KEPT);
	(void)path_remove_tree(site, name, NULL);
}

static int add_generation(const struct store *s, int site, unsigned number, const struct pair *pair,
			  bool copied, struct err *e)
{
	char name[16];

	snprintf(name, sizeof name, "%u", number);

	autofd int dir = enter(s, site, name, e);
	int r = dir < 0 ? dir : write_new(s, dir, "key.pem", true, &pair->key, e);

	if (r == 0)
		r = write_new(s, dir, "chain.pem", false, &pair->chain, e);
	if (r == 0 && copied)
		r = write_new(s, dir, COPIED, false, &(struct buf){ 0 }, e);
	if (r == 0)
		r = put_sync_files(dir, e);
	if (r == 0)
		r = put_link(site, "current", name, e);
	return r < 0 ? err_in(e, "generation %u", number) : 0;
}

static int replace_chain(const struct store *s, const struct place *p, unsigned generation,
			 const struct buf *chain, struct err *e)
{
	char name[16];

	snprintf(name, sizeof name, "%u", generation);

	autofd int site = path_open(s->certs, p->site, O_RDONLY | O_DIRECTORY, e);
	autofd int dir = site < 0 ? site : enter(s, site, name, e);

	if (dir < 0)
		return dir;

	int r = put_file(dir, "chain.pem", 0644, buf_text(chain), chain->len, PUT_DATA, e);

	return r < 0 ? r : 0;
}

/*
 * An internal one or a copy. It can be made anew, so not every name that leads to it has to be on
 * disk; but an empty file would keep the web server from starting.
 */
static int add(const struct store *s, const struct place *p, const struct pair *pair, bool copied,
	       struct err *e)
{
	autofd int site = store_site_dir(s, p, e);
	unsigned number = site < 0 ? 0 : last_generation(site) + 1;
	int r = site < 0 ? site : add_generation(s, site, number, pair, copied, e);

	if (r == 0)
		drop_oldest(site, number);
	return r;
}

/* There is a key of that generation, with the rights that we give. */
static bool key_is_in_order(const struct store *s, const struct place *p, unsigned generation)
{
	struct stat st;
	char path[400];

	snprintf(path, sizeof path, "%s/%u/key.pem", p->site, generation);
	return generation && fstatat(s->certs, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       !store_key_is_odd(s, &st);
}

/*
 * May the live certificate be renewed: is its key one that we made, in order, and has it these names?
 * With other names it is another generation: until nginx has changed over it answers for the old
 * ones, of which one may be about to become another webspace's.
 */
static bool is_renewable(struct store *s, const struct place *p, unsigned generation,
			 const struct pair *live, const char *const *names, size_t n_names)
{
	struct certificate c;

	if (!key_is_in_order(s, p, generation))
		return false;
	if (chain_read((struct pem){ buf_text(&live->chain), live->chain.len },
		       (struct pem){ buf_text(&live->key), live->key.len }, names, n_names,
		       s->authority, &c, NULL, NULL) < 0)
		return false;
	return c.key_matches && c.internal && c.exact;
}

static int issue(struct store *s, const struct key *k, const char *const *names, size_t n_names,
		 time_t now, struct buf *ret, struct err *e)
{
	return internal_issue(s->authority, k, names, n_names, now, ret, e);
}

/* A renewal: the same key, another chain. */
static int renew(struct store *s, const struct place *p, unsigned generation, struct pair *live,
		 const char *const *names, size_t n_names, time_t now, struct err *e)
{
	struct key *k;
	int r = key_parse((struct pem){ buf_text(&live->key), live->key.len }, &k, e);

	if (r < 0)
		return r;
	buf_reset(&live->chain);
	r = issue(s, k, names, n_names, now, &live->chain, e);
	key_free(k);
	return r < 0 ? r : replace_chain(s, p, generation, &live->chain, e);
}

static int issue_anew(struct store *s, const struct place *p, const char *const *names,
		      size_t n_names, time_t now, struct err *e)
{
	autopair struct pair pair = { 0 };
	struct key *k;
	int r = key_new(KEY_P256, &k, e);

	if (r < 0)
		return r;
	key_write(k, &pair.key);
	r = issue(s, k, names, n_names, now, &pair.chain, e);
	key_free(k);
	return r < 0 ? r : add(s, p, &pair, false, e);
}

int store_issue_internal(struct store *s, const char *webspace, const char *site,
			 const char *const *names, size_t n_names, time_t now, struct err *e)
{
	autopair struct pair live = { 0 };
	struct place p;
	int r = store_place(webspace, site, &p, e);

	if (r < 0)
		return r;
	r = store_authority(s, true, now, e);
	if (r < 0) {
		(void)err_in(e, "internal CA");
		return r;
	}

	unsigned generation = store_generation(s, &p);

	if (generation)
		store_load(s, &p, generation, &live);
	if (is_renewable(s, &p, generation, &live, names, n_names))
		r = renew(s, &p, generation, &live, names, n_names, now, e);
	else
		r = issue_anew(s, &p, names, n_names, now, e);
	if (r < 0)
		(void)err_in(e, "certificate for %s", site);
	return r;
}

/* The same key as the live one: only the chain changes. */
static bool same_key(const struct store *s, const struct place *p, const struct pair *pair)
{
	autopair struct pair live = { 0 };
	unsigned generation = store_generation(s, p);

	if (!key_is_in_order(s, p, generation))
		return false;
	store_load(s, p, generation, &live);
	return live.key.len == pair->key.len &&
	       memcmp(buf_text(&live.key), buf_text(&pair->key), pair->key.len) == 0;
}

int store_install_copy(struct store *s, const struct place *p, const struct pair *pair,
		       struct err *e)
{
	if (same_key(s, p, pair))
		return replace_chain(s, p, store_generation(s, p), &pair->chain, e);
	return add(s, p, pair, true, e);
}

static int link_file(const struct store *s, const char *from, int dir, const char *name,
		     struct err *e)
{
	char path[400];

	snprintf(path, sizeof path, "%s/%s", from, name);
	return linkat(s->certs, path, dir, name, 0) < 0 ? err_sys(e, "link %s", path) : 0;
}

int store_link(struct store *s, const struct place *from, const struct place *to, struct err *e)
{
	autofd int site = store_site_dir(s, to, e);
	unsigned number = site < 0 ? 0 : last_generation(site) + 1;
	char name[16], generation[360];

	if (site < 0)
		return site;
	snprintf(name, sizeof name, "%u", number);
	snprintf(generation, sizeof generation, "%s/%u", from->site, store_generation(s, from));

	autofd int dir = enter(s, site, name, e);
	int r = dir < 0 ? dir : link_file(s, generation, dir, "key.pem", e);

	if (r == 0)
		r = link_file(s, generation, dir, "chain.pem", e);
	if (r == 0)
		r = put_sync_files(dir, e);
	if (r == 0)
		r = put_link(site, "current", name, e);
	if (r < 0)
		return r;
	drop_oldest(site, number);
	return 0;
}

/* For certificates of a CA ------------------------------------------------ */

static bool has(const struct store *s, const struct place *p, unsigned generation, const char *file)
{
	char path[400];

	snprintf(path, sizeof path, "%s/%u/%s", p->site, generation, file);
	return faccessat(s->certs, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static time_t key_made(const struct store *s, const struct place *p, unsigned generation)
{
	struct stat st;
	char path[400];

	snprintf(path, sizeof path, "%s/%u/key.pem", p->site, generation);
	return fstatat(s->certs, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mtime : 0;
}

int store_read_key(const struct store *s, const struct place *p, unsigned generation,
		   struct key **ret, struct err *e)
{
	autopair struct pair pair = { 0 };

	if (!key_is_in_order(s, p, generation))
		return err_set(e, ENOENT, "no key of generation %u", generation);
	store_load(s, p, generation, &pair);
	return key_parse((struct pem){ buf_text(&pair.key), pair.key.len }, ret, e);
}

static int reuse(const struct store *s, const struct place *p, unsigned generation,
		 enum key_type type, struct key **ret)
{
	struct key *k;

	if (!generation || store_read_key(s, p, generation, &k, NULL) < 0)
		return -ENOENT;
	if (key_type(k) != type) {
		key_free(k);
		return -ENOENT;
	}
	*ret = k;
	return 0;
}

int store_reuse_key(struct store *s, const struct place *p, enum key_type type, time_t not_before,
		    struct key **ret, unsigned *ret_generation)
{
	unsigned live = store_generation(s, p);
	autofd int dir = path_open(s->certs, p->site, O_RDONLY | O_DIRECTORY, NULL);
	unsigned last = dir < 0 ? 0 : last_generation(dir);

	*ret_generation = last;
	if (last > live && !has(s, p, last, "chain.pem") && reuse(s, p, last, type, ret) == 0)
		return 0; /* of an order that came to nothing */
	*ret_generation = live;
	if (has(s, p, live, COPIED) || key_made(s, p, live) < not_before)
		return -ENOENT;
	return reuse(s, p, live, type, ret);
}

int store_add_key(struct store *s, const struct place *p, const struct key *k,
		  unsigned *ret_generation, struct err *e)
{
	autofd int site = store_site_dir(s, p, e);
	unsigned number = site < 0 ? 0 : last_generation(site) + 1;
	struct buf pem = { 0 };
	char name[16];
	int r;

	if (site < 0)
		return site;
	snprintf(name, sizeof name, "%u", number);

	autofd int dir = enter(s, site, name, e);

	if (dir < 0)
		return dir;
	key_write(k, &pem);
	r = write_new(s, dir, "key.pem", true, &pem, e);
	pem_clear(&pem);
	*ret_generation = number;
	return r;
}

int store_put_chain(struct store *s, const struct place *p, unsigned generation,
		    const struct buf *chain, struct err *e)
{
	autofd int site = store_site_dir(s, p, e);
	char name[16];
	int r = site < 0 ? site : replace_chain(s, p, generation, chain, e);

	snprintf(name, sizeof name, "%u", generation);
	if (r == 0)
		r = put_link(site, "current", name, e);
	if (r < 0)
		return err_in(e, "install the certificate of %s", p->site);
	drop_oldest(site, generation);
	return 0;
}

static int sync_in(int dir, const char *path, int (*sync)(int dir, struct err *e), struct err *e)
{
	autofd int fd = path_open(dir, path, O_RDONLY | O_DIRECTORY, e);

	if (fd < 0)
		return fd;
	return sync(fd, e) < 0 ? err_in(e, "certs/%s", path) : 0;
}

int store_settle(const struct store *s, const struct place *p, unsigned generation, struct err *e)
{
	char path[400];
	int r;

	snprintf(path, sizeof path, "%s/%u", p->site, generation);
	r = sync_in(s->certs, path, put_sync_files, e);
	if (r == 0)
		r = sync_in(s->certs, p->site, put_sync_files, e);
	path[strcspn(path, "/")] = '\0';
	if (r == 0)
		r = sync_in(s->certs, path, put_sync_dir, e);
	return r == 0 ? sync_in(s->certs, ".", put_sync_dir, e) : r;
}
