/*
 * What has to be known about a certificate besides itself, in two files beside
 * its generations:
 *
 *     state.json   who issued what is installed, what failed last, when to try again, the CA's window
 *     order.json   only while an order is in flight: enough to go on with it after a crash
 *
 * State is derived from the artefacts: what a record says of a certificate is
 * believed only while that very certificate is the one that is installed.
 */
#pragma once

#include "acme/acme.h"
#include "agent/base/err.h"

/* dir: of the site, below certs. A file that cannot be read is as none; nothing fails by it. */
void record_read(int dir, struct record *ret);
/* What is lost of it by a crash is found out again, except after a certificate: see cert_done. */
int record_write(int dir, const struct record *r, struct err *e);
void record_clear(struct record *r);

void record_set_text(char **field, const char *text);
void record_set_problem(struct record *r, const char *reason, const char *problem);
/* The names of `names` that are not held at `now`; ret has room for n. Borrowed from names. */
size_t record_active(const struct record *r, const char *const *names, size_t n, time_t now,
		     const char **ret);
const struct held_name *record_held(const struct record *r, const char *name);
/* Owned by the record, until the next name is held or released. */
struct held_name *record_hold(struct record *r, const char *name, time_t until, const char *why);
/* Times that lie further ahead than any that we set: a clock that was wrong has written them. They are over. */
void record_mend_times(struct record *r, time_t now);
void record_release(struct record *r, const char *name);
/* What is known about a certificate that goes on in another place. How it was wanted is left as it is. */
void record_inherit(struct record *r, const struct record *from);

struct order_record {
	char *ca, *url, *finalize; /* url, finalize: NULL: it is only about to be ordered */
	char **names;
	size_t n_names;
	unsigned generation; /* whose key was, or will be, certified */
	bool replaces;       /* it renews by the CA's window */
};
/* -ENOENT: there is none that could be read, or none that the CA knows of. */
int order_read(int dir, struct order_record *ret);
/* It and its key are on disk for certain after store_settle. */
int order_write(int dir, const struct order_record *o, struct err *e);
void order_drop(int dir);
void order_clear(struct order_record *o);
