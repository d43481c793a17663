/*
 * Which certificate a site is served with, and whether it is the one that its
 * file asks for. The one place that decides between issuers: the resource that
 * brings certificates about and the service that serves them both ask here.
 */
#pragma once

#include <stdbool.h>
#include <time.h>

#include "acme/acme.h"
#include "agent/model/host.h"
#include "agent/model/webspace.h"

struct site_certificate {
	bool installed; /* there is one to serve TLS with: it has its key, is in date, and is for the names */
	bool trusted; /* … and it is of whom the file asks for: redirect and HSTS may be sent */
	bool wanted;  /* … and there is nothing to wait for */
	char dir[600]; /* below state_dir/certs: "alice/alice.example.org/1"; "": none is installed */
	char rsa_dir[600]; /* of a second one with an RSA key; "": none */
	time_t not_after;  /* of the installed one, of two the sooner; 0: none is installed */
	bool internal;     /* … our own CA issued it */

	/* For the resource: */
	const char *
		reason; /* not wanted: why, for the condition, static: "TermsNotAgreed", "Pending" … */
	char text[1300]; /* … in a sentence */
	const char
		*differs; /* what has to be done something about: "names", "key"; NULL: nothing */
	bool missing;     /* … there is none at all */
	bool copy;        /* … by copying the admin's own files, not by the internal CA */
	bool inherit;     /* … by site_certificate_inherit */
	time_t renew_at;  /* of the one in the store, if it is for us to renew; 0: nothing */
};

/* Cheap while nothing changes: two looks at files. With tls.issuer = "off" nothing is installed. */
void site_certificate_look(struct store *s, const struct host *host,
			   const struct webspace *webspace, const struct site *site, time_t now,
			   struct site_certificate *ret);
/* A certificate that is good for it lies in another place of the webspace: it goes on in this site's. */
int site_certificate_inherit(struct store *s, const struct host *host,
			     const struct webspace *webspace, const struct site *site, time_t now,
			     struct err *e);
