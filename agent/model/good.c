/*
 * Nothing is synced: ten thousand fsyncs take seconds, and one syncfs(2) may
 * wait for whatever else the host writes. The hash makes up for it: after a
 * power cut a damaged text is as if it were not there, and the file in
 * config_dir is read instead.
 */
#include "agent/model/good.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/hash.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "agent/model/load.h"
#include "agent/model/option.h"

#define HEAD     "# good %016" PRIx64 "\n"
#define HEAD_LEN 24

int good_open(const char *state_dir, bool writable, struct good *ret, struct err *e)
{
	autobuf struct buf path = { 0 };
	int r;

	*ret = (struct good){ .dir = -1, .writable = writable };
	buf_adds(&path, state_dir);
	buf_adds(&path, "/good");
	if (writable) {
		r = path_make_dirs(buf_text(&path), 0700, e);
		if (r < 0)
			return r;
	}
	ret->dir = open(buf_text(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->dir < 0 && writable)
		return err_sys(e, "%s", buf_text(&path));
	return 0;
}

void good_close(struct good *g)
{
	if (g->dir >= 0)
		close(g->dir);
	g->dir = -1;
}

uint64_t good_hash(const char *text, size_t len)
{
	uint64_t h = hash_bytes(HASH_START ^ len, text, len);

	return h ? h : 1;
}

char *good_read(const struct good *g, const char *file, size_t *ret_len, uint64_t *ret_hash)
{
	autofree char *text = NULL;
	char head[HEAD_LEN + 8];
	size_t len;

	if (g->dir < 0 ||
	    path_read(g->dir, file, HEAD_LEN + LOAD_MAX_BYTES, &text, &len, NULL) < 0 ||
	    len < HEAD_LEN)
		return NULL;
	len -= HEAD_LEN;
	*ret_hash = good_hash(text + HEAD_LEN, len);
	snprintf(head, sizeof(head), HEAD, *ret_hash);
	if (strncmp(text, head, HEAD_LEN) != 0)
		return NULL;
	memmove(text, text + HEAD_LEN, len + 1);
	*ret_len = len;
	return take_ptr(text);
}

int good_put(struct good *g, const char *file, const char *text, size_t len, struct err *e)
{
	autobuf struct buf all = { 0 };
	int r;

	if (!g->writable)
		return 0;
	buf_printf(&all, HEAD, good_hash(text, len));
	buf_add(&all, text, len);
	r = put_file(g->dir, file, 0600, all.data, all.len, PUT_BATCH, e);
	if (r < 0)
		(void)err_in(e, "keep the last good %s", file);
	return r;
}

void good_drop(struct good *g, const char *file)
{
	if (g->writable)
		(void)unlinkat(g->dir, file, 0);
}
