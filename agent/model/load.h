/*
 * From text to struct. The only face of libconfig (load.c), which is kept away
 * from files: it never opens one, never sees an @include, and its tree is
 * freed before we return. See the head of load.c for each of its traps.
 */
#pragma once

#include <stddef.h>

#include "agent/base/err.h"
#include "agent/model/host.h"
#include "agent/model/problems.h"
#include "agent/model/webspace.h"

#define LOAD_MAX_BYTES 65536

/*
 * Reads a configuration file safely: regular, ours or root's, not writable by others, ≤ 64 KiB.
 * A link is followed where every step is root's (trusted.h). -ENOENT: neither file nor link is there.
 * *ret_text is the caller's, NUL-terminated.
 */
int load_read(int dir, const char *name, char **ret_text, size_t *ret_len, struct err *e);

/*
 * The host's file. path NULL or absent file: presets alone (an explicitly named
 * file that is absent is a problem: missing_ok says which). -EINVAL with
 * problems. *ret is the caller's: host_free.
 */
int load_host(const char *path, bool missing_ok, struct host **ret, struct problems *p);
void host_free(struct host *h);

/* A webspace from its text. file is for messages. -EINVAL with problems. *ret is the caller's: webspace_free. */
int load_webspace(const struct host *h, const char *name, const char *file, const char *text,
		  size_t len, struct webspace **ret, struct problems *p);
