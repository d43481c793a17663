/*
 * What one webspace has of its own: account, directories, mounts, certificates.
 * A type of resource is five functions and a row in pass.c.
 *
 * The pass takes a slice of webspaces through the types in order. For each type:
 * prepare the slice, desire and observe every item, apply those that are missing
 * or differ, flush, and observe the applied ones again: only what was seen to be
 * in sync counts as done. An error ends that webspace's way through the types,
 * never that of another.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "acme/acme.h"
#include "agent/base/arena.h"
#include "agent/base/err.h"
#include "agent/base/table.h"
#include "agent/model/host.h"
#include "agent/model/webspace.h"
#include "reconcile/accounts/accounts.h"
#include "reconcile/reconcile.h"

/* What all functions of a pass share. */
struct world {
	const struct host *host;
	bool dry;
	int home_root;       /* descriptor in the mount namespace; -1: not there yet (dry) */
	bool in_namespace;   /* we are in the named mount namespace (dry may not be) */
	struct arena *arena; /* lives as long as the slice */
	uint64_t now_usec;   /* clock_usec() at the start of the slice */
	time_t wall;
	struct accounts *accounts;    /* name → uid, gid */
	struct store *store;          /* certificates */
	struct ownership *ownership;  /* what we made (ownership.h) */
	const struct table *subjects; /* name → struct subject, all of them; NULL: not known */
	char thumbprint[44];          /* of the account that answers http-01 here; "": none */
};

enum observed {
	OBSERVED_IN_SYNC,
	OBSERVED_MISSING,
	OBSERVED_DIFFERS,
	OBSERVED_FOREIGN,   /* somebody else's: not touched, the item stops with a plain sentence */
	OBSERVED_NOT_READY, /* cannot be known or done yet: looked at again later, no failure */
	/*
	 * Something else stands in for what is wanted (an internal certificate until the
	 * CA's is there). To the pass the same as IN_SYNC: nothing is applied, and what
	 * comes after goes on. To the condition: False, with reason and text.
	 */
	OBSERVED_PLACEHOLDER,
};

struct item {
	const char *name; /* unique among the type's items of the webspace: "chroot/tmp" */
	const void *want; /* the type's own, in the slice's arena */
};

struct item_list {
	struct item *items;
	size_t count, room;
};
void item_add(struct world *w, struct item_list *list, const char *name, const void *want);

struct finding {
	enum observed state;
	const char *
		reason; /* CamelCase, static, for the condition: "WrongType", "NotAllowed"; NULL: by state */
	const char *what; /* which attribute: "mode", "owner", "source"; NULL: the whole */
	char old_value[200], new_value[200];
	char text
		[1300]; /* FOREIGN, NOT_READY, PLACEHOLDER: the sentence; a CA's may hold a long address */
};

struct resource_type {
	const char *name; /* "mount": in logs, in status, in plan */
	enum condition_type condition;

	/* Once for the process. *state is the type's own. Any of these may be NULL except desire, observe, apply, remove. */
	int (*open)(struct world *w, void **state, struct err *e);
	void (*close)(void *state);
	/* Before a slice: what is cheaper for many at once. */
	int (*prepare)(struct world *w, void *state, const struct webspace *const *slice, size_t n,
		       struct err *e);
	/* What the webspace asks for. Pure: looks at nothing but its arguments. */
	void (*desire)(struct world *w, void *state, const struct webspace *webspace,
		       struct item_list *ret);
	/* Looks, never touches. Always sets ret->state. */
	void (*observe)(struct world *w, void *state, const struct webspace *webspace,
			const struct item *item, struct finding *ret);
	/* Only on MISSING or DIFFERS. */
	int (*apply)(struct world *w, void *state, const struct webspace *webspace,
		     const struct item *item, const struct finding *found, struct err *e);
	/* After the applies of a slice: batches. */
	int (*flush)(struct world *w, void *state, struct err *e);
	/* Ends what this type has of the webspace and keeps its data. Gone already is success. */
	int (*remove)(struct world *w, void *state, const char *name, struct err *e);
	/* Names of webspaces for which something of this type, made by us, is on the machine (a set: values not NULL). */
	int (*list)(struct world *w, void *state, struct table *ret_names, struct err *e);
	/* What is held until a person says so may be done now. Returns for how many webspaces. */
	size_t (*confirm)(struct world *w, void *state, struct err *e);
	size_t (*held)(const void *state);
	/* When time alone will make an item differ (a certificate's renewal): wall time, 0 never. */
	time_t (*next_look)(struct world *w, void *state);
	/* The certificates of this desired state, as last observed. */
	void (*served)(const void *state, const struct webspace *webspace,
		       served_certificate_fn *fn, void *data);
};

extern const struct resource_type account_type;
extern const struct resource_type directory_type;
extern const struct resource_type mount_type;
extern const struct resource_type certificate_type;
