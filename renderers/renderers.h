/*
 * The face of this folder: what a webspace is, in the words of nginx and
 * php-fpm. Pure: structs in, text out; no files, no clock, no globals.
 *
 * Each daemon has two functions. `fragment` renders one webspace's part, kept
 * by its owner until the webspace changes. `compose` joins fragments with what
 * all share, and does nothing per webspace but copy.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/arena.h"
#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/model/host.h"
#include "agent/model/webspace.h"

#define RENDER_SECTIONS 9 /* of a fragment; what each holds is the renderer's own affair */

/* Facts about a site that are not in its file. */
struct site_facts {
	bool certificate; /* there is one to serve TLS with */
	bool trusted;     /* … and it is the wanted one: redirect and HSTS may be sent */
	/* Below state_dir/certs: "alice/alice.example.org/1", ".host/_.example.org/1" (the host's own). */
	const char *certificate_dir;
	/* … of a second one with an RSA key, for clients that know no other; NULL: none. */
	const char *rsa_dir;
};

/* nginx --------------------------------------------------------------- */

/* Directives of http {} that can be said once. */
enum nginx_size {
	SIZE_NAMES_BUCKET, /* server_names_hash_bucket_size */
	SIZE_NAMES_MAX,
	SIZE_MAP_BUCKET, /* map_hash_bucket_size */
	SIZE_MAP_MAX,
	NGINX_SIZES,
};
extern const char *const nginx_size_names[NGINX_SIZES];

/*
 * The host's own nginx, of whose http {} we are a part (instance = "system"). shared: bit i for
 * host->nginx.http.items[i] or https.items[i], which a server of the host's has too: its default
 * server, and whether it speaks HTTP/2, are the host's affair. sizes: bit i for each that the host
 * says itself.
 */
struct nginx_around {
	uint64_t http_shared, https_shared;
	unsigned sizes;
};
#define NGINX_ADDRESSES_MAX 64 /* bits of *_shared */

/* Facts about the host that are not in its file. */
struct nginx_facts {
	const char *thumbprint; /* of the ACME account's key (RFC 7638), base64url; "": none */
	const struct nginx_around *around; /* NULL: nginx is ours alone */
};

/* facts: one for each of webspace->sites. Adds to each section. -EINVAL: cannot be said safely. */
int nginx_fragment(const struct host *host, const struct webspace *webspace,
		   const struct site_facts *facts, struct buf sections[static RENDER_SECTIONS],
		   struct err *e);

struct text_view {
	const char *text;
	size_t len;
};

#define NGINX_FILES 5
/* "nginx.conf", "maps.conf", "sites.conf", "settings.conf", "dropins.conf" */
extern const char *const nginx_file_names[NGINX_FILES];

/*
 * sections[i][s]: section s of fragment i. dir: where the files will lie, for their includes.
 * The generation is not part of it: nginx reads it from dir/generation.conf, which the service
 * writes. The caller makes
 * RUN_DIR/nginx (0700), RUN_DIR/http01, LOG_ROOT and STATE_DIR/nginx-temp.
 *
 * nginx.conf is a whole configuration or, with facts->around, a part of the host's http {}; only
 * then there is a settings.conf, else its text is empty. dropins.conf is only for the former.
 *
 * http-01 is answered in every block, for every name: RUN_DIR/http01/.well-known/acme-challenge/TOKEN
 * if there is such a file, else TOKEN.THUMBPRINT.
 */
void nginx_compose(const struct host *host, const struct nginx_facts *facts, const char *dir,
		   const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
		   struct buf files[static NGINX_FILES]);

/*
 * One of the admin's additions as a fragment: its text, under a line that names the file, by which
 * they are sorted. seen: a hash of all that the text may include, 0: it includes nothing.
 */
#define NGINX_DROPIN_MARK "# Copy of "
void nginx_dropin(const char *path, uint64_t seen, struct text_view text,
		  struct buf sections[static RENDER_SECTIONS]);

/* What dir/generation.conf has to say; it is there before `nginx -t` looks at dir. */
void nginx_generation_conf(uint64_t generation, struct buf *ret);

/* What the host's nginx is given to include: whatever generation STATE_DIR/nginx-system/current names. */
void nginx_include_conf(const struct host *host, struct buf *ret);

/* `render NAME nginx`: the effective configuration as if the webspace stood alone, with blocks of its own. */
int nginx_render_alone(const struct host *host, const struct nginx_facts *facts,
		       const struct webspace *webspace, const struct site_facts *sites,
		       struct buf *ret, struct err *e);

/* php-fpm ------------------------------------------------------------- */

struct php_facts {
	uid_t uid;
	gid_t gid;
	const char *version; /* "8.2" */
};

/* Adds nothing if the webspace has PHP off; a suspended one's pool is the caller's to leave out. */
int php_fragment(const struct host *host, const struct webspace *webspace,
		 const struct php_facts *facts, struct buf sections[static RENDER_SECTIONS],
		 struct err *e);

/* `render NAME php`: the webspace's pool, with values for variables. Nothing where it has none. */
int php_render_alone(const struct host *host, const struct webspace *webspace,
		     const struct php_facts *facts, struct buf *ret, struct err *e);

/*
 * The master's php-fpm.conf: [global], a pool of our own, the webspaces' pools. It takes what
 * php_environment says from its environment, so the text is the same in every generation and for
 * every master of a line. line names the log.
 */
void php_compose(const struct host *host, const char *line, const char *version,
		 const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
		 struct buf *ret_conf);

/*
 * "NAME=value", NULL-ended, in the arena: without all of them the text above is refused by php-fpm.
 * run: the directory of the master's sockets and its pid file; generation: what /ping at
 * .webspaces.sock answers.
 */
const char *const *php_environment(const struct host *host, const char *run, const char *generation,
				   struct arena *a);

/*
 * The ini file laid over the distribution's: OPcache's guards, FFI off … and in a master that is not
 * dedicated to one webspace, what its pools would have in common.
 */
void php_compose_ini(const struct host *host, bool dedicated, struct buf *ret);
