/*
 * The face of this folder: certificates. The store of live certificates on
 * disk, the issuer that needs no network (internal), and the client of CAs that
 * speak ACME (RFC 8555).
 *
 *     state_dir/ca/{ca.key, ca.pem}                  the internal CA, made at first use
 *     state_dir/certs/NAME/SITE/<n>/{key.pem, chain.pem}
 *     state_dir/certs/NAME/SITE/current → <n>
 *     state_dir/certs/NAME/SITE/{state,order}.json   of the client (record.h)
 *     state_dir/acme/CA/…                            account, limits (ca.h)
 *
 * SITE is the site's first name ("*." as "_."), with "+rsa" behind it for a second
 * certificate; NAME is a webspace's or ".host". A renewal keeps its key and
 * replaces chain.pem by rename, so that no handshake can meet a mismatched pair.
 * A new key makes a new generation <n>. Keys: root:web 0640, in directories
 * root:web 0710. What a certificate is, is read from itself; a record beside it
 * only adds where it came from.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "acme/crypto/key.h"
#include "agent/base/err.h"
#include "agent/base/loop.h"
#include "agent/base/table.h"

/* What a certificate says about itself, and how it goes with the names and the key. */
struct certificate {
	time_t not_before, not_after;
	bool internal;    /* issued by our own CA */
	bool covers;      /* each wanted name, be it by a wildcard */
	bool covers_some; /* … at least one of them */
	bool exact;       /* the wanted names, no other, and no wildcard but a wanted one */
	bool key_matches; /* … and the web server can read the key, but others cannot */
	bool complete;    /* of an admin's own: browsers get to a root by its chain (own_pair.h) */
	uint64_t content; /* a hash of the bytes of both files */
	uint64_t listed;  /* some bits of each of its names (cover.h) */
};

struct store;

/* web_gid reads the keys. */
int store_open(const char *state_dir, gid_t web_gid, bool writable, struct store **ret,
	       struct err *e);
void store_close(struct store *s);
/*
 * For an agent, until it closes it: -EBUSY while another has it, be it one with another run_dir, or
 * both would order and neither would keep to the CA's limits.
 */
int store_claim(struct store *s, struct err *e);

/* The directory name of a site's certificate: its first name made safe. ret has room for 256 bytes. */
void store_site(const char *first_name, char ret[static 256]);

/* Reads the live certificate; cheap when its file did not change (by stat). -ENOENT: none. */
int store_read(struct store *s, const char *webspace, const char *site, const char *const *names,
	       size_t n_names, struct certificate *ret, struct err *e);

/*
 * Where the live certificate of a site lies, below state_dir/certs: "alice/alice.example.org/1". It
 * changes when the key does, and an internal one's with its names, never with a renewal. -ENOENT: none.
 */
int store_current(struct store *s, const char *webspace, const char *site, char ret[static 600]);

/* Issues from the internal CA and installs; a renewal for the same names keeps the key. */
int store_issue_internal(struct store *s, const char *webspace, const char *site,
			 const char *const *names, size_t n_names, time_t now, struct err *e);
/*
 * Installs an admin's own files as a copy: the web server need not be able to read the originals,
 * and never meets a pair of which only one half has been replaced yet. They are not touched.
 */
int store_install_files(struct store *s, const char *webspace, const char *site,
			const char *certificate, const char *key, struct err *e);

/*
 * Checks an admin's own files: they parse, the key matches, names are covered, in date. -EBADMSG
 * with a sentence; also 0 with one, if ret->complete is not so. s may be NULL; with it, files that did
 * not change are not read again.
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

/* The internal CA's certificate is in date. */
bool store_ca_is_valid(struct store *s, time_t now);
/* The path of the internal CA's certificate; made if need be. Owned by the store. NULL: there is none. */
const char *store_ca_file(struct store *s);

/* The client ------------------------------------------------------------ */

/* A certificate of the host's own: no webspace can have this name. */
#define ACME_HOST ".host"

struct held_name {
	char *name;
	char *why;         /* NULL: not said */
	time_t until;      /* not asked for before */
	unsigned failures; /* of it at the CA, in a row */
	time_t tried; /* the CA was asked last, or it was first held, though it points elsewhere; 0: it does not */
};

/* What the client knows about a certificate besides itself. Texts may be NULL. */
struct record {
	char *ca;         /* the directory of the CA that issued `content`; NULL: no CA did */
	uint64_t content; /* of the certificate that the next four are about (struct certificate) */
	char *issuer, *serial, *ari, *key; /* key: "p256", "rsa2048" … */
	char *order;                       /* the URL of the order that it came by */
	time_t success;                    /* when it was installed */
	char *wanted; /* a hash of how it was wanted when the next five were written */

	unsigned failures;      /* in a row */
	time_t next_try;        /* not before; 0: at any time */
	time_t failed_since;    /* 0: it is well */
	char *reason, *problem; /* CamelCase word; sentence. NULL: none */
	char *served_problem;   /* what was served after it was installed was something else */

	time_t window_start, window_end; /* RFC 9773; 0: none */
	time_t chosen;                   /* … the moment in it; 0: none */
	time_t ask_window;               /* when to ask again */

	bool replaced; /* the CA knows a successor already: do not say `replaces` again */
	bool forced;   /* renew now, whatever its age */
	bool new_key;  /* … with another key */

	struct held_name *held;
	size_t n_held;
};

/* Never NULL; an empty one where nothing is known. Owned by the store, until the next call that writes it. */
const struct record *store_record(struct store *s, const char *webspace, const char *site);

/* One certificate as it lies on disk, for people. Texts end with the call. issuer NULL: it was not issued yet. */
struct certificate_entry {
	const char *webspace, *site;
	const char *names; /* each with its NUL, an empty one behind them */
	const char *issuer, *serial, *key;
	time_t not_before, not_after;
	bool internal;
	time_t renews; /* when it is due; 0: nobody renews it */
	const struct record *record;
};
typedef void certificate_entry_fn(const struct certificate_entry *entry, void *data);
/* All live ones, or one webspace's, by name. */
int store_each(struct store *s, const char *webspace, certificate_entry_fn *fn, void *data,
	       struct err *e);

/* The thumbprint of the account that answers http-01 for this host; made if allowed. -ENOENT: there is none. */
int acme_thumbprint(struct store *s, const char *directory, const char *key_file, bool may_make,
		    char ret[static 44], struct err *e);

enum acme_news {
	ACME_ISSUED,   /* a certificate was installed */
	ACME_PROBLEM,  /* the account, the CA or a hook does not do what it should */
	ACME_REVOKED,  /* by a verb */
	ACME_ACCOUNT,  /* a verb's change of the account is done */
	ACME_EXPIRING, /* it ends soon, and no other has come */
};

enum acme_preflight_kind { ACME_LOOK_LOCAL, ACME_LOOK_STRICT, ACME_LOOK_OFF };

struct acme_config {
	struct loop *loop;
	struct store *store;
	const char *run_dir;
	const char *directory;  /* of the CA whose account nginx answers for */
	const char *thumbprint; /* … as nginx has it now; "": none */
	bool agree_tos;
	const char *const *contacts; /* "mailto:…" */
	size_t n_contacts;
	const char *eab_kid, *eab_key, *eab_key_file; /* "": none */
	const char *account_key;                      /* a file that a fleet shares; "": our own */
	const char *ca_file, *user;                   /* of the worker */
	bool limits_always, limits_never;             /* neither: for Let's Encrypt's directories */
	enum acme_preflight_kind preflight;
	const char *const *http, *const *https; /* our listeners: "0.0.0.0:80", "[::]:443" */
	size_t n_http, n_https;
	const char *const *addresses; /* that count as ours, besides those of our interfaces */
	size_t n_addresses;
	const char *hook; /* for dns-01; "": none */
	unsigned hook_timeout_s, dns_wait_s;

	/* Its certificate, or what is known about it, is another: look at the webspace again. ".host": at all. */
	void (*changed)(const char *webspace, void *data);
	/* For the journal. text: a sentence. */
	void (*told)(enum acme_news news, const char *webspace, const char *text, void *data);
	void *data;
};

/* One certificate that somebody wants from a CA. Copied. */
struct acme_want {
	const char *site; /* the place, below the webspace's */
	const char *const *names;
	size_t n_names;
	const char *directory;
	const char *profile, *preferred_chain; /* "": none */
	enum key_type key;
	bool dns_01;         /* for all names; wildcards always */
	time_t key_lifetime; /* seconds; 0: for ever */
};

/* How such a certificate stands on disk. */
struct acme_standing {
	bool usable;   /* of some CA but our own, with its key, for at least one of the names */
	bool good;     /* … of the wanted CA, in date, for all names that are not held back */
	bool whole;    /* … and none is held back */
	char dir[600]; /* usable: where it lies, below state_dir/certs */
	time_t ends;
	const char *reason; /* not whole: why; static */
	const char *text;   /* … in a sentence; borrowed from the store's record */
};
void acme_standing(struct store *s, const char *webspace, const struct acme_want *want, time_t now,
		   struct acme_standing *ret);

/*
 * Another certificate of this webspace (or of ACME_HOST) that is good for all these names: from
 * before it was wanted elsewhere. -ENOENT: there is none; then nothing is written.
 */
int acme_stand_in(struct store *s, const char *webspace, const char *const *names, size_t n,
		  time_t now, struct acme_standing *ret);

/*
 * The same by a certificate that is good for all that is wanted, of the wanted CA and with such a key:
 * wanted in another place before, since its first name was another or its site had more names. It
 * goes on in the wanted place, with its key and its record, so that no order is needed. Returns 1; 0:
 * there is none. acme_may_inherit changes nothing.
 */
bool acme_may_inherit(struct store *s, const char *webspace, const struct acme_want *want,
		      time_t now);
int acme_inherit(struct store *s, const char *webspace, const struct acme_want *want, time_t now,
		 struct err *e);

struct acme;
/* Everything in config is copied but loop and store. */
int acme_open(const struct acme_config *config, struct acme **ret, struct err *e);
/* Orders in flight stay on disk and go on with the next. */
void acme_close(struct acme *a);

/*
 * The certificates that a webspace (or ".host") wants from now on; n = 0: none. Those that it
 * wanted before and does not now stay on disk and are not renewed. Cheap if nothing changed.
 */
void acme_set(struct acme *a, const char *webspace, const struct acme_want *wants, size_t n);
/* A look at everything: clocks jump, files vanish. */
void acme_look(struct acme *a);
/* Something is under way that will end by itself. */
bool acme_busy(const struct acme *a);

/* Verbs. word: a webspace's name or ".host"; a sentence comes back. -ENOENT: nothing of that name. */
int acme_renew(struct acme *a, const char *webspace, struct buf *ret_message);
int acme_revoke(struct acme *a, const char *webspace, struct buf *ret_message);
int acme_change_key(struct acme *a, struct buf *ret_message);
int acme_deactivate(struct acme *a, struct buf *ret_message);

struct acme_figures {
	size_t wanted, orders;                                  /* now */
	uint64_t issued, failed, requests, connections, deaths; /* since the start */
};
struct acme_figures acme_figures(const struct acme *a);
