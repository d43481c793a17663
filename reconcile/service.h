/*
 * What all webspaces share: nginx and the PHP masters. A service turns
 * webspaces into the members of its units; a unit is one daemon with one
 * generation of configuration, and unit.c takes it from one generation to the
 * next: compose → validate → publish → reload or replace → verify | roll back,
 * with one of these in flight per unit, and a bisection to the member at fault
 * when a generation does not validate.
 *
 * On disk: state_dir/<unit's dir>/<generation>/…, and beside them `current`, a
 * symbolic link to the generation in force, swapped by rename. Five stay.
 * Generation numbers count over all units, so each names one publishing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme/acme.h"
#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/loop.h"
#include "agent/base/spawn.h"
#include "agent/base/table.h"
#include "agent/model/host.h"
#include "agent/model/webspace.h"
#include "reconcile/accounts/accounts.h"
#include "reconcile/manager.h"
#include "reconcile/reconcile.h"
#include "reconcile/units/gate.h"

/* A webspace's part of a configuration, as sections of text that the renderer put together. Immutable. */
#define FRAGMENT_SECTIONS 9
struct fragment {
	unsigned refs;
	size_t len[FRAGMENT_SECTIONS];
	char text[]; /* all sections, one after the other, no NUL between */
};
struct fragment *fragment_new(const struct buf sections[static FRAGMENT_SECTIONS]);
struct fragment *fragment_keep(struct fragment *f); /* one more owner */
void fragment_free(struct fragment *f);             /* one owner less */
bool fragment_contains(const struct fragment *f, const char *text, size_t len);
bool fragment_same(const struct fragment *a, const struct fragment *b);
const char *fragment_section(const struct fragment *f, size_t section, size_t *ret_len);

struct member {
	const char *name;      /* the webspace's */
	struct fragment *want; /* NULL: to be left out */
	struct fragment *good; /* what validated last; == want when all is well; NULL: none */
	bool changed;          /* want has not been validated yet */
	char *quarantined;     /* why want is not in force; NULL: it is, or will be */

	/* Private to the unit. */
	uint64_t quarantined_usec; /* since when */
	struct fragment *trial;    /* want as it was when the flight began; NULL: not on trial */
	size_t place;              /* among those on trial */
	bool former; /* in force since before we were started, and nobody has said yet what it should be */
	bool leaving; /* the generation in flight is without it */
};

struct unit;

#define UNIT_FILES 7 /* the last is the unit's own (members.h) */
struct unit_file {
	const char *name; /* in the generation's directory: "nginx.conf" */
	struct buf text;
};

struct unit_type {
	const char *service; /* "nginx", "php" */
	/*
	 * The generation's files from these members' fragments: pure, and the same text for
	 * the same members whatever the generation is called (dir is where they will lie).
	 * files[i].name is set for each used one.
	 */
	void (*compose)(const struct unit *u, const char *dir,
			const struct fragment *const *fragments, const char *const *names, size_t n,
			struct unit_file files[UNIT_FILES]);
	/*
	 * argv (and environment, may stay NULL) of the command that validates what lies in dir.
	 * Strings in the arena. < 0: nothing can be validated, by the host's fault.
	 */
	int (*check)(const struct unit *u, const char *dir, struct arena *a,
		     const char *const **ret_argv, const char *const **ret_env, struct err *e);
	/*
	 * Begins to use the generation (`current` names it already). Returns at once. An errno
	 * that only the host can have caused (-EADDRINUSE, -ENOSPC, -EMFILE, -EROFS … and
	 * -EHOSTDOWN for any other) from here or from probe blames nobody.
	 */
	int (*activate)(struct unit *u, uint64_t generation, struct err *e);
	/* The check's message in words of whoever has to act on it; dir as above. May be NULL. */
	void (*explain)(const char *dir, const char *message, struct buf *ret);
	/*
	 * May what this member says break by itself, as it names files that are not in the
	 * generation? Then a generation in force that fails its check is no proof against the host.
	 * May be NULL: none may.
	 */
	bool (*may_break)(const char *member);
	/* 1: it serves this generation; 0: not yet; < 0: it never will. Never blocks. */
	int (*probe)(struct unit *u, uint64_t generation, struct err *e);
	/*
	 * The probe said 1: takes everybody over and lets go of what was before. May be NULL. What
	 * fails here is the host's fault; what was before goes on to serve.
	 */
	int (*commit)(struct unit *u, uint64_t generation, struct err *e);
	/* activate, probe or commit failed; `current` is back at `generation` (0: none): goes on with that. */
	void (*revert)(struct unit *u, uint64_t generation);
	/* The unit has no members left and need_members is set, or it ends: stops the daemon. */
	void (*stop)(struct unit *u);
	/* Is the daemon alive and serving `generation`? Asked at start and at each full pass; false → activate again. */
	bool (*alive)(struct unit *u, uint64_t generation);
};

struct unit_config {
	const struct unit_type *type;
	const char *name; /* "nginx", "php 8.2-03": in logs and reports; copied */
	const char *dir;  /* below state_dir: "nginx", "php/8.2-03"; copied */
	const struct host *host;
	struct loop *loop;
	bool dry;
	bool need_members;   /* false: runs without any (nginx) */
	struct gate *gate;   /* who may take off; NULL: nobody has to wait */
	uint64_t check_usec; /* deadline of the check command */
	uint64_t probe_usec; /* how long probe may say 0 */
	report_fn *
		report; /* HOST_FAULT, QUARANTINED, PUBLISHED, ROLLED_BACK, PLANNED; subject is NULL, item the member's name */
	/* Called when a member's standing changed: in force, quarantined (member->quarantined), or left out. */
	void (*settled)(struct unit *u, struct member *m, void *data);
	void *data;  /* for report and settled */
	void *owner; /* the service's own: unit_owner */
};

/* Finds the generation in force on disk; knows nothing of members yet. */
int unit_open(const struct unit_config *config, struct unit **ret, struct err *e);
/* Leaves the daemon alone. */
void unit_close(struct unit *u);
void *unit_owner(const struct unit *u);
const char *unit_name(const struct unit *u);
const struct host *unit_host(const struct unit *u);
struct loop *unit_loop(const struct unit *u);

/* What this member should have; takes ownership. Nothing happens if it is the same. fragment NULL: leaves. */
void unit_set(struct unit *u, const char *member, struct fragment *fragment);
struct member *unit_member(const struct unit *u, const char *name);
const struct table *unit_members(const struct unit *u); /* name → struct member */

/* Publish if something is to be published, once nothing is in flight. dry: reports what would change. */
void unit_publish(struct unit *u);
/* What all share is other than before: publish, whether or not a member has changed. */
void unit_force(struct unit *u);
/* Compare files on disk with what we put there, and ask alive(): repairs both by publishing again. */
void unit_look(struct unit *u);
/* The daemon ended by itself: report it and start it again, with back-off. */
void unit_died(struct unit *u, const char *how);
/* Nothing in flight and nothing to do. */
bool unit_idle(const struct unit *u);
/* In force and seen to be served; 0: none. */
uint64_t unit_generation(const struct unit *u);
/* Why the last flight failed, if that was nobody's fault; NULL: it did not. */
const char *unit_fault(const struct unit *u);
/* No generation in force holds this member. */
bool unit_has_left(const struct unit *u, const char *name);
/* state_dir/dir/generation, in the arena. */
const char *unit_path(const struct unit *u, uint64_t generation, struct arena *a);

/* The next number, over all units of this state directory. */
uint64_t generation_next(const struct host *host);
/* The last one that was given, 0: none. */
uint64_t generation_last(const struct host *host);

/* What a service is to the pass. */
struct service_config {
	const struct host *host;
	struct loop *loop;
	struct manager *manager; /* NULL when dry */
	struct accounts *accounts;
	struct store *store;
	struct world *world; /* for the record of what was made of the host's own; NULL: not kept */
	const struct table *webspaces; /* all there are, by name: how many; NULL: not known */
	const char *thumbprint;        /* of the account that answers http-01 here; "": none */
	bool dry, one_shot;
	report_fn *report; /* passes on what units report */
	/* Something about it changed that no watcher sees: look at the webspace again, or at all (NULL). */
	void (*again)(const char *webspace, void *data);
	/* A webspace's standing in this service changed. */
	void (*condition)(const char *webspace, enum condition_type type,
			  enum condition_status status, const char *reason, const char *message,
			  void *data);
	void *data;
};

struct service_type {
	const char *name;
	int (*open)(const struct service_config *config, void **ret, struct err *e);
	void (*close)(void *service);
	/*
	 * The webspace as it is to be served; its resources are in place. Cheap when nothing
	 * changed. Reports its condition (at once if it is settled, else later).
	 */
	void (*serve)(void *service, const struct webspace *webspace);
	/* It is to be served no longer. */
	void (*withdraw)(void *service, const char *name);
	/* Names of those it has, those of before our start included (a set: values not NULL). May be NULL. */
	void (*list)(void *service, struct table *ret_names);
	/* True once no generation in force holds it any more. */
	bool (*withdrawn)(void *service, const char *name);
	/* The burst is over: publish what changed. */
	void (*publish)(void *service);
	/* Full pass, or a hint about the host: daemons alive, files as written, leftovers pruned. */
	void (*look)(void *service);
	bool (*idle)(void *service);
	uint64_t (*generation)(void *service);
	/* A verb of the agent's door. 1: done, -1: refused, with a sentence either way; 0: not mine. May be NULL. */
	int (*ask)(void *service, const char *verb, const char *word, struct buf *ret_message);
	/* Adds what is wrong with the host's own part of it, in sentences. May be NULL. */
	void (*complain)(const void *service, struct buf *ret);
	/* Its own part of the figures; the rest is not touched. May be NULL. */
	void (*measure)(const void *service, struct reconcile_figures *ret);
};

extern const struct service_type acme_service_type;
extern const struct service_type nginx_service_type;
extern const struct service_type php_service_type;

/*
 * Becomes the PHP master of that name, as its systemd unit asks by `webspaces exec-php ID`.
 * Returns only if it cannot. -EINVAL: not the name of a master.
 */
int php_exec(const struct host *host, const char *id, struct err *e);
/* Becomes nginx with the generation in force, for `webspaces exec-nginx`. Returns only if it cannot. */
int nginx_exec(const struct host *host, struct err *e);
/*
 * Becomes the check of the host's own nginx with the generation in dir, or, with dir NULL, what
 * prints its configuration without us (rehearsal.h), in mounts of its own. Returns only if it cannot.
 */
int nginx_rehearse(const struct host *host, const char *dir, struct err *e);
