/*
 * What a webspace is: the desired state of one user's webspace, as its file,
 * the host's defaults and the presets say together. Immutable once loaded; one
 * arena owns all of it, so a webspace is replaced, never edited.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/arena.h"

#define WEBSPACE_NAME_MAX 32
#define ID_UNSET          ((id_t)-1)

struct text_list {
	const char *const *items;
	size_t count;
};

struct text_pair {
	const char *key, *value;
};

struct pair_list {
	const struct text_pair *items;
	size_t count;
};

/* NULL: it has none of that key. */
const struct text_pair *pair_of(const struct pair_list *list, const char *key);

enum webspace_state { STATE_ENABLED, STATE_SUSPENDED, STATE_DISABLED };
enum site_type { SITE_STATIC, SITE_PHP };
enum tls_issuer { ISSUER_ACME, ISSUER_INTERNAL, ISSUER_OFF };
enum tls_challenge { TLS_CHALLENGE_AUTO, TLS_CHALLENGE_HTTP_01, TLS_CHALLENGE_DNS_01 };
enum tls_key_type { TLS_KEY_ECDSA, TLS_KEY_RSA, TLS_KEY_BOTH };
enum tls_scope { TLS_SCOPE_SITE, TLS_SCOPE_WEBSPACE };
enum php_pm { PM_STATIC, PM_DYNAMIC, PM_ONDEMAND };
enum php_master { MASTER_SHARED, MASTER_DEDICATED };

struct site {
	struct text_list
		names; /* lower case, ASCII (IDN as xn--), no trailing dot; may start with "*." */
	enum site_type type;
	const char *root; /* below chroot/data, no leading or trailing slash; "": data itself */
	struct text_list index;
	bool redirect_https;
	bool disable_symlinks;
	uint64_t client_max_body_size; /* bytes */
	struct {
		enum tls_issuer issuer;
		const char *
			hsts; /* the header's value, "" none: "max-age=31536000; includeSubDomains" */
		const char *certificate,
			*key; /* own files, "" : none; absolute paths, both or neither */
		/* what follows is of certificates of an ACME CA */
		const char *directory; /* "": acme.directory of the host */
		enum tls_challenge challenge;
		enum tls_key_type key_type;
		unsigned rsa_bits;           /* 2048, 3072, 4096 */
		unsigned key_lifetime;       /* seconds, 0: for ever */
		const char *profile;         /* "": the CA's own choice */
		const char *preferred_chain; /* a common name; "": the CA's first chain */
		enum tls_scope scope;
	} tls;
};

/* A path of the host's put into the jail: "SOURCE[:TARGET[:rw,exec,dev,suid]]". */
struct bind {
	const char *source; /* absolute on the host */
	const char *target; /* relative to chroot, no leading slash */
	bool writable, exec, dev, suid;
	const char *missing; /* of a bundle, whose path is not there: a sentence; else NULL */
};

/* Of a master of its own and all its processes, systemd.resource-control(5); 0: no limit, or systemd's preset. */
struct php_limits {
	uint64_t memory_high, memory_max; /* bytes */
	unsigned tasks_max;
	unsigned cpu_quota; /* percent of one processor */
	unsigned cpu_weight, io_weight;
};

struct php_settings {
	bool enabled;
	const char *version; /* "8.2"; "": the newest installed */
	bool chroot;
	enum php_master master;
	enum php_pm pm;
	unsigned max_children, start_servers, min_spare_servers, max_spare_servers, max_requests;
	unsigned process_idle_timeout;       /* seconds */
	unsigned request_terminate_timeout;  /* seconds, 0 off */
	unsigned request_slowlog_timeout;    /* seconds, 0 off */
	const char *status_path, *ping_path; /* "": none */
	const char *listen_mode;             /* of its socket: "0660" or "0600" */
	uint64_t memory_limit, post_max_size, upload_max_filesize; /* bytes */
	const char *disable_functions; /* a list, or a named preset: "@exec", "@strict", "" */
	const char *open_basedir;      /* "": none in a jail, else the user's own places; "none" */
	bool display_errors;
	bool allow_url_fopen;
	unsigned session_gc_maxlifetime; /* seconds */
	unsigned session_gc_divisor;     /* a collection every that many requests */
	struct pair_list values;         /* php.ini values fixed for the user (php_admin_value) */
	struct pair_list user_values;    /* … that scripts may change (php_value) */
	struct pair_list env;
	bool clear_env;
	struct text_list limit_extensions;
	unsigned rlimit_files; /* 0: inherited */
	int process_priority;  /* nice, 0: inherited */
	struct php_limits limits;
};

struct webspace {
	const char *name; /* of the file, of the user and of the directory */
	enum webspace_state state;
	struct text_list hosts; /* names or globs; empty: every host */
	struct {
		id_t uid, gid; /* ID_UNSET: chosen by us or by NSS */
	} account;
	const struct site *sites;
	size_t n_sites; /* 0: no name to serve (reason NoNames) */
	struct php_settings php;
	const struct bind *binds;
	size_t n_binds;
	struct text_list bundles; /* names of bundle.h */

	const char *file; /* where it came from */
	uint64_t
		fingerprint; /* of everything above: equal means nothing to do (names lost to others included) */
	struct arena arena;
};

void webspace_free(struct webspace *w);

/* A hash over everything that has a key, and the name. */
uint64_t webspace_fingerprint(const struct webspace *w);

/*
 * Does its PHP have a master of its own, whatever its neighbours? Asked for, or because a script of
 * it could run machine code, which nothing in a shared master holds back: without a jail, or by a
 * bind from which it may run what a user can write.
 */
bool webspace_is_dedicated(const struct webspace *w);

typedef bool webspace_denied_fn(const char *name, void *data);
/* The webspace without those names, and without sites that lost all. It borrows from w; the caller's: webspace_free. */
struct webspace *webspace_without(const struct webspace *w, webspace_denied_fn *denied, void *data);
