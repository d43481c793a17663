/*
 * A template is a real file in templates/, embedded at build. @NAME@ stands for
 * a value, and each template is rendered with a table that says how each of its
 * names is quoted: a value never reaches another program's parser raw.
 */
#pragma once

#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

/*
 * Adds the quoted value to ret. Refuses (-EINVAL) what cannot be said in the
 * target language; ret then holds a part of it, which the caller cuts off.
 */
typedef int quote_fn(struct buf *ret, const char *value);

/* A word or "string" of nginx.conf. A $ becomes ${ws_dollar}: only where nginx takes variables. */
int quote_nginx(struct buf *ret, const char *value);
/* The same for a place between the quotes of a "string" that the template has. */
int quote_nginx_part(struct buf *ret, const char *value);
/* A host name for server_name: letters, digits, - . _ and a leading "*." only. */
int quote_nginx_name(struct buf *ret, const char *value);
/* The key of a map: a name as above or with slashes; never one of map's own words. */
int quote_nginx_key(struct buf *ret, const char *value);
/* Letters, digits, - _ only: it may stand for itself in an expression of nginx. */
int quote_extension(struct buf *ret, const char *value);
int quote_ini(struct buf *ret, const char *value);    /* a 'string' of a php-fpm.conf */
int quote_word(struct buf *ret, const char *value);   /* letters, digits, - _ . only */
int quote_number(struct buf *ret, const char *value); /* digits and a leading minus */
int quote_path(struct buf *ret, const char *value);   /* an absolute path of plain characters */
int quote_none(struct buf *ret, const char *value);   /* text that came out of a template */

struct value {
	const char *name; /* "USER" for @USER@ */
	quote_fn *quote;
	const char *text;
};

#define TEMPLATE_VALUES_MAX 64

/*
 * Adds the template with its values to ret. A line that holds a value whose
 * text is NULL is left out; so are lines that begin with "@#", which are for
 * readers of the template. A value that ends with a newline ends its line.
 * -EINVAL: a value was refused; ret is as it was. An unknown @NAME@ or a value
 * that is not used is a fault of the program and aborts: tests render every
 * template.
 */
int template_render(const char *template_name, const struct value *values, size_t n,
		    struct buf *ret, struct err *e);
