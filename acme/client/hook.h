/* The admin's program for the TXT records of dns-01. One runs at a time: DNS providers' interfaces seldom bear more. */
#pragma once

#include <stdbool.h>

#include "agent/base/loop.h"

struct hooks;
struct hook_call;
/* problem: NULL, or what went wrong with which name, in a sentence; ends with the call. */
typedef void hook_fn(const char *problem, void *data);
struct hooks *hooks_open(struct loop *l, const char *path, unsigned timeout_s);
/* Drops what waits; what runs is killed. */
void hooks_close(struct hooks *h);
/*
 * Runs "path present" or "path cleanup", one at a time, with WEBSPACES_NAME, WEBSPACES_RECORD and
 * WEBSPACES_VALUE in its environment (webspaces.conf(5)). fn is called later, once, unless dropped.
 */
struct hook_call *hook_run(struct hooks *h, bool present, const char *name, const char *value,
			   hook_fn *fn, void *data);
/* True: it has begun, and goes on to its end, unheard: half a change of a zone is worse than a whole one. */
bool hook_drop(struct hook_call *c);
