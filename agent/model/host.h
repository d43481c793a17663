/* What /etc/webspaces/webspaces.conf says: the host's own settings, with every preset filled in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/base/arena.h"
#include "agent/base/err.h"
#include "agent/model/webspace.h"

enum manager_kind { MANAGER_AUTO, MANAGER_SYSTEMD, MANAGER_DIRECT };
enum web_access { WEB_ACCESS_ACL, WEB_ACCESS_GROUP };
enum nginx_kind { NGINX_OWN, NGINX_SYSTEM };
enum acme_limits { LIMITS_AUTO, LIMITS_LETSENCRYPT, LIMITS_NONE };
enum acme_preflight { PREFLIGHT_LOCAL, PREFLIGHT_STRICT, PREFLIGHT_OFF };

/* Where Debian's nginx has its configuration, and in it the admin's additions to an nginx of ours. */
#define NGINX_DIR     "/etc/nginx"
#define NGINX_DROPINS NGINX_DIR "/webspaces.d"

struct host {
	const char *file; /* where it was read from */

	const char *config_dir, *home_root, *state_dir, *run_dir, *log_root;
	const char *base_domain; /* "" : none */
	const char *web_user;
	enum web_access web_access;
	enum manager_kind manager;
	const char *name; /* for `hosts`; preset: gethostname(2) */

	struct {
		bool create;
		unsigned uid_min, uid_max;
	} accounts;

	struct {
		enum nginx_kind instance;
		const char *binary;
		const char *main, *include;   /* files of the host's own nginx */
		struct text_list http, https; /* "0.0.0.0:80", "[::]:80" */
		unsigned worker_processes;    /* 0: auto */
		unsigned worker_connections; /* 0: as many as the webspaces can take up, and more */
		unsigned limit_conn;         /* requests at a time from one address, 0: any */
		const char *large_client_header_buffers; /* "4 32k" */
		bool http2;
		struct text_list tls_protocols; /* of the listeners: "TLSv1.2", "TLSv1.3" */
		/* names nobody has: "refuse" (444, handshake rejected) or a status like "404" */
		const char *unknown;
		const char *suspended;      /* the status that suspended webspaces answer: "503" */
		const char *suspended_page; /* a file of the admin's; "": a page of ours */
	} nginx;

	struct {
		unsigned shards;
		const char *binary; /* "/usr/sbin/php-fpm%s": %s is the version */
	} php;

	struct {
		const char *file; /* "": none */
	} metrics;

	struct text_list base; /* host paths copied into every jail's .base */

	struct {
		unsigned settle_ms, full_pass_s, removal_grace_s;
	} reconcile;

	struct {
		enum tls_issuer issuer;
		const char *directory;
		struct text_list contact;
		bool agree_tos;
		const char *ca_file;
		struct {
			/* kid "": none; else one of the others is there */
			const char *kid, *hmac_key, *hmac_key_file;
		} eab;
		const char *account_key; /* "": made in state_dir */
		const char *user;        /* as whom the worker runs */
		enum acme_limits limits;
		enum acme_preflight preflight;
		struct text_list addresses; /* as inet_ntop(3) writes them */
		const char *dns_hook;       /* "": none */
		unsigned dns_hook_timeout;  /* seconds */
		unsigned dns_wait;          /* seconds, 0: not waited for */
		bool wildcard;              /* then base_domain and dns_hook are there */
	} acme;

	/* The text of `defaults`, as parsed options; load.c lays it under every webspace. */
	const struct webspace *defaults;
	const struct site *default_site;
	const struct setting *said; /* `defaults` as it is written, for follow.c; NULL: none */

	/* Looked up by host_resolve, not configured. */
	uid_t web_uid;
	gid_t web_gid;
	const char *
		left_out; /* listeners of a family that the kernel lacks, in a sentence; NULL: none */
	gid_t log_gid;    /* whose members read logs and status: adm, else root */

	struct arena arena; /* owns all of the above */
};

/* Looks up the web user and the group adm: web_uid, web_gid, log_gid. -ENOENT: there is none of that name. */
int host_resolve(struct host *h, struct err *e);
/* Is the file of this webspace meant for this host? */
bool host_has_placed(const struct host *h, const struct webspace *w);
