/*
 * The shape of a site: what its server block says in directives that take no
 * variables. Sites of one shape share one block, whatever their number; all else
 * that differs between them is in maps. So shapes have to stay few: sizes and
 * times are rounded up to steps.
 */
#pragma once

#include <stdbool.h>

#include "renderers/renderers.h"
#include "renderers/template.h"

enum shape_kind { SHAPE_REFUSE, SHAPE_REDIRECT, SHAPE_SUSPENDED, SHAPE_SITE };

struct nginx_shape {
	enum shape_kind kind;
	bool tls;  /* on the https listeners */
	bool dual; /* … with a second certificate, of an RSA key */
	/* Of SHAPE_SITE only; zero else, so that equal blocks have equal shapes. */
	bool chroot, disable_symlinks;
	bool hides_backups; /* … and other files that an application leaves beside its code */
	unsigned body_mib;  /* 0: unlimited */
	unsigned php_timeout;
	const char *extensions; /* what PHP runs: "php|phtml"; NULL: nothing */
	const char *index;      /* as nginx reads it: words or "strings"; NULL: none */
};

/*
 * The shape of a webspace's i-th site. Its texts are in the arena. -EINVAL: a
 * value that nginx cannot be told.
 */
int shape_of_site(const struct host *host, const struct webspace *webspace, size_t i,
		  const struct site_facts *facts, bool tls, struct arena *a,
		  struct nginx_shape *ret, struct err *e);

/* A line of text that is equal for equal shapes, and back. */
void shape_write(const struct nginx_shape *shape, struct buf *ret);
bool shape_read(const char *line, struct arena *a, struct nginx_shape *ret);

/* What a block says about its site: variables where many share it, values where it stands alone. */
struct shape_place {
	quote_fn *quote;                  /* how the texts below go into a "string" */
	const char *user, *subdir, *hsts; /* hsts NULL: none */
	const char *tls, *rsa; /* directories of certificates; where the shape has none, not read */
	const char *names;     /* server_name lines; NULL: default server */
	const struct nginx_around *around; /* the host's nginx; NULL: ours alone */
	const char *settings;              /* where settings.conf lies; NULL: in http {} */
};
extern const struct shape_place shape_shared;

/* Adds the server block; nothing where that is for unknown names and each of its addresses is shared. */
int shape_block(const struct host *host, const struct nginx_shape *shape,
		const struct shape_place *place, struct buf *ret, struct err *e);
