/* What can be known before the CA is asked, at no cost to it: does nginx answer for the name, does it have an address, may this CA certify it? */
#pragma once

#include "acme/client.h"

enum verdict_kind {
	VERDICT_GOOD,
	VERDICT_LISTENER,  /* our own nginx does not answer as it should */
	VERDICT_DNS,       /* no address */
	VERDICT_ELSEWHERE, /* none of ours (strict) */
	VERDICT_CAA,
	VERDICT_HOOK, /* there is no program for dns-01 */
};

struct verdict {
	char *name;
	enum verdict_kind kind;
	char text[300];
};

struct preflight;
/* fn is called once, later, with a verdict for each name; they end with the call. */
struct preflight *preflight_begin(struct ca *ca, const char *const *names, size_t n, bool dns_01,
				  void (*fn)(const struct verdict *verdicts, size_t n, void *data),
				  void *data);
void preflight_drop(struct preflight *p);
