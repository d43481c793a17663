/* Texts with a grammar of their own: each value_… is the check of one or more rows of options.c. */
#pragma once

#include "agent/base/arena.h"
#include "agent/base/err.h"
#include "agent/model/option.h"
#include "agent/model/webspace.h"

value_check value_host_name;    /* "example.org" */
value_check value_host_or_none; /* … or "" */
value_check value_site_name;    /* … or "*.example.org" */
value_check value_absolute;     /* "/a/b" */
value_check value_absolute_or_none;
value_check value_relative;     /* "a/b", "" */
value_check value_file_name;    /* "index.html": one component */
value_check value_buffers;      /* "4 32k", made "4 32768" */
value_check value_listen;       /* "0.0.0.0:80", "[::]:80" */
value_check value_user;         /* any user's name */
value_check value_glob;         /* for host names: "web*" */
value_check value_status;       /* "refuse" or "404" */
value_check value_error_status; /* "503" */
value_check value_url;          /* "https://…" */
value_check value_url_or_none;  /* … or "" */
value_check value_address;      /* "192.0.2.1", "2001:db8::1", as inet_ntop(3) writes them */
value_check value_key_id;       /* printable, no space; "" */
value_check value_base64url;    /* RFC 4648, 5, with or without padding; "" */
value_check value_contact;      /* "mailto:…" */
value_check value_word;         /* letters, digits, - _ */
value_check value_hsts;         /* "1y; includeSubDomains; preload" → the header's value */
value_check value_php_binary;   /* an absolute path with one %s */
value_check value_php_version;  /* "8.2", "" */
value_check value_uri_path;     /* "/status", "" */
value_check value_socket_mode;  /* "0600", "0660" */
value_check value_functions;    /* "@exec", "@strict", "exec,system", "" */
value_check value_open_basedir; /* "", "none", "/a:/b" */
value_check value_extension;    /* ".php" */
value_check value_tls_protocol; /* "TLSv1.2", "TLSv1.3" */

pair_check value_pair_php; /* a php.ini value that has no key of its own here */
pair_check value_pair_env;

/* "SOURCE[:TARGET[:rw,exec,dev,suid]]" */
int value_bind(struct arena *a, const char *text, struct bind *ret, struct err *e);
/* "20s", "15m", "2h", "1d", "1w", "1y" in seconds. -EINVAL without a message. */
int value_duration(const char *text, long long *ret_seconds);
/* "32M", "1G", "512" in bytes. -EINVAL without a message. */
int value_size(const char *text, long long *ret_bytes);
