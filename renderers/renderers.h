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

#define RENDER_SECTIONS 7 /* of a fragment; what each holds is the renderer's own affair */

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

/* Facts about the host that are not in its file. */
struct nginx_facts {
	const char *thumbprint; /* of the ACME account's key (RFC 7638), base64url; "": none */
};

/* facts: one for each of webspace->sites. Adds to each section. -EINVAL: cannot be said safely. */
int nginx_fragment(const struct host *host, const struct webspace *webspace,
		   const struct site_facts *facts, struct buf sections[static RENDER_SECTIONS],
		   struct err *e);

struct text_view {
	const char *text;
	size_t len;
};

#define NGINX_FILES 3
extern const char
	*const nginx_file_names[NGINX_FILES]; /* "nginx.conf", "maps.conf", "sites.conf" */

/*
 * sections[i][s]: section s of fragment i. dir: where the files will lie, for their includes.
 * The generation is not part of it: nginx reads it from dir/generation.conf, which the service
 * writes. An include of /etc/nginx/webspaces.d is the admin's. The caller makes
 * RUN_DIR/nginx (0700), RUN_DIR/http01, LOG_ROOT and STATE_DIR/nginx-temp.
 *
 * http-01 is answered in every block, for every name: RUN_DIR/http01/.well-known/acme-challenge/TOKEN
 * if there is such a file, else TOKEN.THUMBPRINT.
 */
void nginx_compose(const struct host *host, const struct nginx_facts *facts, const char *dir,
		   const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
		   struct buf files[static NGINX_FILES]);

/* What dir/generation.conf has to say; it is there before `nginx -t` looks at dir. */
void nginx_generation_conf(uint64_t generation, struct buf *ret);

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

/* The ini file laid over the distribution's: OPcache's guards, FFI off … */
void php_compose_ini(const struct host *host, struct buf *ret);
