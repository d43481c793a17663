/*
 * Who may be a webspace: which users that are there already, and which ids a new account gets.
 * Only observes, so that `plan` and the pass refuse the same before anything is made.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/model/host.h"
#include "reconcile/accounts/accounts.h"
#include "reconcile/accounts/creation.h"
#include "reconcile/accounts/ledger.h"

struct admission {
	const struct host *host;
	struct accounts *accounts;
	struct ledger *ledger;
	int home_root; /* -1: not there */
};

/* Why this user may not be a webspace, as the end of a sentence: "is root"; NULL: it may. */
const char *admission_refusal(const struct host *host, const char *name, const struct account *a);

/*
 * Does the webspace's tree belong to this group? False also where there is no tree. It is
 * root's, so nobody else changes that, and it says whose files lie beneath.
 */
bool admission_tree_is_of(const struct admission *a, const char *name, gid_t gid);

/*
 * The ids of a user that is to be made, of which the file may fix either (ID_UNSET: it does not);
 * ret->uid is ID_UNSET if any free one will do, ret->gid then too unless the file fixes it. Returns NULL, or the reason
 * why it may not be made, with a sentence in ret_why.
 */
const char *admission_ids(const struct admission *a, const char *name, id_t want_uid, id_t want_gid,
			  struct creation *ret, struct buf *ret_why);
