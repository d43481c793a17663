/* Inside of the store: shared by reading (store.c) and writing (install.c). */
#pragma once

#include "acme/crypto/authority.h"
#include "acme/crypto/chain.h"
#include "acme/store/seen.h"

struct store {
	char *state_dir, *ca_file;
	int state, certs; /* descriptors; -1: not there (read only) */
	uid_t uid;        /* ours: asked for once, not ten thousand times a look */
	gid_t web_gid;
	bool writable;
	struct authority *authority; /* NULL: not needed yet, or none */
	struct seen seen;
	struct table records; /* place → struct record (record.h) */
};

/* The internal CA, made, or made anew, if need be and allowed. -ENOENT: there is none. */
int store_authority(struct store *s, bool may_make, time_t now, struct err *e);

/* Where a site's certificates lie, below certs: "alice/alice.example.org". */
struct place {
	char site[320];
};
int store_place(const char *webspace, const char *site, struct place *ret, struct err *e);
/* Without a look into its files: the certificate there is of no use for these names. */
bool store_excludes(const struct store *s, const struct place *p, const char *const *names,
		    size_t n);
/* The number of the live generation; 0: none. */
unsigned store_generation(const struct store *s, const struct place *p);

/* A pair of PEM files in memory. */
struct pair {
	struct buf chain, key;
};
void pair_clear(struct pair *p);
#define autopair __attribute__((cleanup(pair_clear)))
/* What this generation has; what is missing or oversized is left empty. */
void store_load(const struct store *s, const struct place *p, unsigned generation,
		struct pair *ret);
/* A hash of both files' bytes. */
uint64_t pair_content(const struct pair *p);
/* The live pair of one place is live in the other too: the same files, for neither is ever written to. */
int store_link(struct store *s, const struct place *from, const struct place *to, struct err *e);
/* A copy of an admin's own pair is live from now on; with the key that is live, only its chain changes. */
int store_install_copy(struct store *s, const struct place *p, const struct pair *pair,
		       struct err *e);
/*
 * Keys for certificates of a CA (install.c). The live one, if we made it, it is of this type and
 * younger than not_before: then a renewal needs no reload. -ENOENT: there is no such key.
 */
int store_reuse_key(struct store *s, const struct place *p, enum key_type type, time_t not_before,
		    struct key **ret, unsigned *ret_generation);
/* Another generation that has this key, and no chain yet; it is not live. */
int store_add_key(struct store *s, const struct place *p, const struct key *k,
		  unsigned *ret_generation, struct err *e);
int store_read_key(const struct store *s, const struct place *p, unsigned generation,
		   struct key **ret, struct err *e);
/* The chain of that generation's key: it is live from now on. */
int store_put_chain(struct store *s, const struct place *p, unsigned generation,
		    const struct buf *chain, struct err *e);
/*
 * What was written for this site, by whomever, is on disk: its record and its order, the key and the
 * chain of this generation, and all that leads to them.
 */
int store_settle(const struct store *s, const struct place *p, unsigned generation, struct err *e);
/* The site's directory, made if need be: a descriptor, or -errno. */
int store_site_dir(const struct store *s, const struct place *p, struct err *e);

/* record.c: as store_record, to be changed and then saved. */
struct record *store_record_of(struct store *s, const struct place *p);
void store_forget_records(struct store *s, const char *webspace);

/* Others than root and the web server can read it, or the web server cannot. */
bool store_key_is_odd(const struct store *s, const struct stat *st);
