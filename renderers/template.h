/*
 * A template is a real file in templates/, embedded at build. @NAME@ stands for
 * a value, and each template is rendered with a table that says how each of its
 * names is quoted: a value never reaches another program's parser raw.
 */
#pragma once

#include <stddef.h>

#include "agent/base/buf.h"

/* Adds the quoted value to ret. Refuses (-EINVAL) what cannot be said in the target language. */
typedef int quote_fn(struct buf *ret, const char *value);

/* See quote.c: each says which language it speaks. */
int quote_nginx(struct buf *ret,
		const char *value); /* a word or "string" of nginx.conf, $ neutralised */
int quote_nginx_name(
	struct buf *ret,
	const char *value); /* a host name: letters, digits, - . _ and a leading *. only */
int quote_ini(struct buf *ret, const char *value);    /* a "string" of a php-fpm.conf */
int quote_word(struct buf *ret, const char *value);   /* letters, digits, - _ . only */
int quote_number(struct buf *ret, const char *value); /* digits and a leading minus */
int quote_path(struct buf *ret, const char *value);   /* an absolute path of plain characters */
int quote_none(struct buf *ret, const char *value);   /* text that came out of a template */

struct value {
	const char *name; /* "USER" for @USER@ */
	quote_fn *quote;
	const char *text;
};

/*
 * Adds the template with its values to ret. A line whose only content is a
 * value that is NULL is left out. An unknown @NAME@ or an unused value is a
 * fault of the program and aborts: tests render every template.
 */
int template_render(const char *template_name, const struct value *values, size_t n,
		    struct buf *ret);
