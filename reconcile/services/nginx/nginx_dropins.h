/*
 * The admin's own additions to the nginx of the webspaces, NGINX_DROPINS/NAME.conf: each file is a
 * member of nginx's unit, by its path. So a broken one is found and left out (or left as it was when
 * it last worked) as a webspace's part would be, and the rest of the host goes on.
 *
 * A generation holds copies. Its own files and what relative paths in a copy name (links to all
 * entries of NGINX_DIR) lie in the same directory, the one that nginx takes relative paths from.
 */
#pragma once

#include "reconcile/service.h"

struct nginx_dropins {
	bool any;
	struct table unread; /* path → why it cannot be read, owned */
};

bool nginx_dropins_is_member(const char *name);

/* Gives the unit what lies there now. Reports a file that cannot be read, once. */
void nginx_dropins_read(struct nginx_dropins *d, struct unit *u, report_fn *report, void *data);
void nginx_dropins_clear(struct nginx_dropins *d);

/* Adds a sentence for each file that is left out, or not in force as it is now. */
void nginx_dropins_complain(const struct nginx_dropins *d, const struct unit *u, struct buf *ret);

/* Puts the links into a generation's directory, where there is any such file. */
int nginx_dropins_link(const struct nginx_dropins *d, const char *dir, struct err *e);

/* nginx's message about the generation in dir, with the admin's paths and lines for those of copies and links. */
void nginx_dropins_explain(const char *dir, const char *message, struct buf *ret);
