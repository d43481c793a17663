/*
 * The face of this folder: certificates. For now the issuer that needs no
 * network (internal) and the store of live certificates on disk; the ACME
 * client stands beside them later.
 *
 *     state_dir/ca/{ca.key, ca.pem}                  the internal CA, made at first use
 *     state_dir/certs/NAME/SITE/<n>/{key.pem, chain.pem}
 *     state_dir/certs/NAME/SITE/current → <n>
 *
 * SITE is the site's first name ("*." as "_."). A renewal keeps its key and
 * replaces chain.pem by rename, so that no handshake can meet a mismatched pair.
 * A new key makes a new generation <n>. Keys: P-256, root:web 0640, in
 * directories root:web 0710. What a certificate is, is read from itself: there
 * is no record beside it that could say something else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "agent/base/err.h"
#include "agent/base/table.h"

/* What a certificate says about itself, and how it goes with the names and the key. */
struct certificate {
	time_t not_before, not_after;
	bool internal;    /* issued by our own CA */
	bool covers;      /* each wanted name, be it by a wildcard */
	bool exact;       /* the wanted names, no other, and no wildcard but a wanted one */
	bool key_matches; /* … and the web server can read the key, but others cannot */
	uint64_t content; /* a hash of the bytes of both files */
};

struct store;

/* web_gid reads the keys. */
int store_open(const char *state_dir, gid_t web_gid, bool writable, struct store **ret,
	       struct err *e);
void store_close(struct store *s);

/* The directory name of a site's certificate: its first name made safe. ret has room for 256 bytes. */
void store_site(const char *first_name, char ret[static 256]);

/* Reads the live certificate; cheap when its file did not change (by stat). -ENOENT: none. */
int store_read(struct store *s, const char *webspace, const char *site, const char *const *names,
	       size_t n_names, struct certificate *ret, struct err *e);

/*
 * Where the live certificate of a site lies, below state_dir/certs: "alice/alice.example.org/1". It
 * changes when the key does, never with a renewal. -ENOENT: none.
 */
int store_current(struct store *s, const char *webspace, const char *site, char ret[static 600]);

/* Issues from the internal CA and installs; keeps the key if there is a good one. */
int store_issue_internal(struct store *s, const char *webspace, const char *site,
			 const char *const *names, size_t n_names, time_t now, struct err *e);
/*
 * Installs an admin's own files as a copy: the web server need not be able to read the originals,
 * and never meets a pair of which only one half has been replaced yet. They are not touched.
 */
int store_install_files(struct store *s, const char *webspace, const char *site,
			const char *certificate, const char *key, struct err *e);
/* After a batch of these: one sync for all. */
int store_sync(struct store *s, struct err *e);

/*
 * Checks an admin's own files: they parse, the key matches, names are covered, in date. -EBADMSG
 * with a sentence. s may be NULL; with it, files that did not change are not read again.
 */
int certificate_check_files(struct store *s, const char *certificate, const char *key,
			    const char *const *names, size_t n_names, time_t now,
			    struct certificate *ret, struct err *e);

/* Certificates of this webspace are gone from the live tree (set aside under certs/.removed). */
int store_remove(struct store *s, const char *webspace, struct err *e);
/* … and those that were set aside: nothing of its keys is left. */
int store_purge(struct store *s, const char *webspace, struct err *e);

/* Names of webspaces that have certificates in the live tree, as a set. */
int store_list(struct store *s, struct table *ret_names, struct err *e);

/* When to renew: two thirds of the lifetime, moved by a stable hash of the name. */
time_t certificate_renew_at(const struct certificate *c, const char *name);

/* The path of the internal CA's certificate; made if need be. Owned by the store. NULL: there is none. */
const char *store_ca_file(struct store *s);
