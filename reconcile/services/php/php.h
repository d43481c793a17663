/*
 * The inside of the php service, shared by its files alone.
 *
 * A *pool* is one webspace's place in PHP. A *line* is a place where pools are
 * served: a version and a shard ("8.2-03"), or a version and one webspace
 * ("8.2-u20001", by uid, since the names of sockets have 107 bytes in all). A
 * *master* is one php-fpm process that serves one generation of a line:
 * "8.2-03.17.1", the first one started for generation 17.
 *
 *   RUN_DIR/php/NAME.sock           → line/8.2-03/NAME.sock     php_pool.c
 *   RUN_DIR/php/line/8.2-03         → ../masters/8.2-03.17.1    php_line.c
 *   RUN_DIR/php/masters/8.2-03.17.1/  sockets and pid file      php_master.c
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/arena.h"
#include "agent/base/clock.h"
#include "agent/base/table.h"
#include "reconcile/manager.h"
#include "reconcile/service.h"
#include "reconcile/services/php/backlog.h"
#include "reconcile/services/php/fastcgi.h"
#include "reconcile/services/queues.h"

#define PHP_VERSION_ROOM 16
#define PHP_LINE_ROOM    40
#define PHP_MASTER_ROOM  80
#define PHP_POOLS_A_LINE 200
#define PHP_LINES_MAX    512
#define PHP_SOCKET_MAX   107 /* unix(7); php-fpm cuts longer ones without a word */
/* That many masters of a line may still be finishing old requests; then its next change waits. */
#define PHP_DRAINING_MAX 8
/* That long a master may take to start. */
#define PHP_PROBE_USEC   (30 * USEC_PER_SEC)
#define PHP_PID_FILE     "master.pid"
#define PHP_OWN_SOCKET   ".webspaces.sock"
#define PHP_PING_PATH    "/ping"

/* php_versions.c: what is installed --------------------------------------- */

struct php_version {
	char name[PHP_VERSION_ROOM];
	uint64_t changed_usec; /* when it was installed, or changed: wall time */
};

struct php_versions {
	struct php_version *items; /* ascending */
	size_t count;
};

/* Looks at the host again. On error the former list stays. */
int php_versions_look(struct php_versions *v, const struct host *host, struct err *e);
void php_versions_clear(struct php_versions *v);
bool php_versions_has(const struct php_versions *v, const char *version);
/* "" if none is installed. */
const char *php_versions_newest(const struct php_versions *v);
/* When its program, its settings or any extensions were changed last, as of the look; 0: unknown. */
uint64_t php_versions_changed(const struct php_versions *v, const char *version);
/* The program of a version, in the arena. */
const char *php_program(const struct host *host, const char *version, struct arena *a);

/* php_id.c: names of lines and masters -------------------------------------- */

struct php_id {
	char line[PHP_LINE_ROOM];
	char version[PHP_VERSION_ROOM];
	uint64_t generation; /* 0 for a line's */
	unsigned attempt;
};

/*
 * How many shared lines so many pools want: php.shards, doubled until none has much more than
 * PHP_POOLS_A_LINE. php-fpm reads its configuration byte by byte and looks each pool's user up in
 * /etc/passwd, so the start of a master grows with its pools times the accounts of the host.
 */
unsigned php_lines_for(const struct host *host, size_t n_pools);
/* The line where a webspace belongs, of that many shared ones. */
void php_id_line(unsigned n_lines, const struct webspace *webspace, const char *version, uid_t uid,
		 char ret[static PHP_LINE_ROOM]);
/* False: not a name that we would give. */
/* Is the line one webspace's alone? */
bool php_id_is_dedicated(const char *line);
bool php_id_parse_line(const char *text, struct php_id *ret);
bool php_id_parse_master(const char *text, struct php_id *ret);

/* php_master.c: one process --------------------------------------------------- */

enum master_state {
	PHP_STARTING,
	PHP_SERVING,
	PHP_DRAINING, /* the line's link names another: nobody new comes, some may still wait to be accepted */
	PHP_ENDING, /* told to finish what it has */
};

struct php_service;
struct php_line;

struct master {
	struct php_service *service;
	struct php_line *line; /* NULL: a leftover of a former agent, or its line has ended */
	struct master *next;
	char id[PHP_MASTER_ROOM];
	uint64_t generation;
	enum master_state state;
	struct daemon *daemon; /* NULL: it has ended */
	char *end;             /* how it ended, NULL: it runs */
	uint64_t since_usec;   /* when it came into this state */
	unsigned n_quiet;      /* looks in a row at which nobody waited */
	bool asked, busy;      /* of the look at hand */
	struct queues *queues; /* its sockets, while it drains and they can be had */
	bool unborrowable;     /* they cannot */
	bool killed;
};

int master_start(struct php_line *line, uint64_t generation, struct master **ret, struct err *e);
/* Takes over one that runs. line NULL: as a leftover. -ESRCH: it does not run. */
int master_adopt(struct php_service *s, struct php_line *line, const char *id, struct master **ret,
		 struct err *e);
/* Lets it finish once nobody waits at its sockets. */
void master_drain(struct master *m);
/* Ends it now: nobody was ever sent to it. */
void master_end(struct master *m);
/* Was it started before that (wall time)? */
bool master_is_older(const struct master *m, uint64_t usec);
/* It has ended or is left alone: frees what we know of it. */
void master_forget(struct master *m);
/* RUN_DIR/php/masters/ID, in the arena. */
const char *master_path(const struct host *host, const char *id, struct arena *a);
/*
 * How to run the master of that name, from the name alone: who is started by systemd
 * (php_exec) knows no more. Strings in the arena. -EINVAL: not the name of a master.
 */
int master_spec(const struct host *host, const char *id, struct arena *a, struct daemon_spec *ret,
		struct err *e);

#define PHP_CONF       "php-fpm.conf"
#define PHP_TRIAL_CONF "trial.conf" /* what of it was never in force */

/* What validates or runs the file conf in dir: sockets is where its sockets will lie. */
struct php_command {
	const char *version, *dir, *conf, *sockets, *generation;
	bool test;
};
void php_command(const struct host *host, const struct php_command *c, struct arena *a,
		 const char *const **ret_argv, const char *const **ret_env);

/* php_drain.c: letting go of masters ------------------------------------------ */

struct php_drain {
	struct loop_source *timer;
	struct backlog *question; /* under way, or NULL */
	uint64_t pause_usec;
};

/* Some master came into PHP_DRAINING or PHP_ENDING. */
void php_drain_wake(struct php_service *s);
void php_drain_close(struct php_service *s);

/* php_line.c: one unit ---------------------------------------------------------- */

struct php_line {
	struct php_service *service;
	char id[PHP_LINE_ROOM];
	char version[PHP_VERSION_ROOM];
	struct unit *unit;
	struct master *serving, *starting;
	struct fastcgi_ask ping;
	unsigned n_draining;
	struct table held; /* name → struct php_held: changes that wait until fewer masters drain */
	struct buf trial;
	char trial_dir[256]; /* of which generation `trial` is a part; "": checked already */
	bool adopted;        /* we have looked for a master of a former agent */
	bool dirty;          /* something was set since the last publish */
	bool due;            /* … and is to be published as soon as there is room */
	bool left;           /* somebody has moved away: that may wait until no line is in flight */
	struct php_limits limits; /* of its masters */
	bool knows_limits;        /* somebody has said what they are */
};

/* Found or opened. */
int php_line_get(struct php_service *s, const char *id, struct php_line **ret, struct err *e);
/* Leaves its master alone. */
void php_line_close(struct php_line *l);
/* What the pool should be in this line; takes ownership; NULL: leaves. */
void php_line_set(struct php_line *l, const char *name, struct fragment *fragment);
/* Publishes what was set, as soon as there is room for one more draining master. */
void php_line_publish(struct php_line *l);
/* What was due, if there is room now. */
void php_line_publish_due(struct php_line *l);
/* Is this what the pool should be there already? */
bool php_line_has(const struct php_line *l, const char *name, const struct fragment *fragment);
/* Its unit is looked at; a master of a PHP that was upgraded since is replaced. */
void php_line_look(struct php_line *l);
/* Is or will the pool be part of it? */
bool php_line_holds(const struct php_line *l, const char *name);
/* Does a master serve what is in force? */
bool php_line_serves(const struct php_line *l);
bool php_line_idle(const struct php_line *l);
bool php_line_empty(const struct php_line *l);
/* One of its masters ended. Called by php_master.c, which frees it afterwards. */
void php_line_ended(struct php_line *l, struct master *m, const char *how);

/* php_limit.c: cgroups ------------------------------------------------------------- */

/* Gives it the limits of its line. */
void master_limit(struct master *m);
/* Limits of whoever serves there, now and later: those of the webspace, if the master is its own. */
void php_line_limit(struct php_line *l, const struct webspace *w);
/* Why the limits that are asked for do not hold; NULL: they do, or none are. */
const char *php_line_unlimited(const struct php_line *l);

/* php_pool.c: one webspace ------------------------------------------------------- */

struct php_standing {
	enum condition_status status;
	const char *reason;
	char *message;
};

struct php_pool {
	struct php_service *service;
	char *name;
	struct php_line *line; /* its link leads there, or will; NULL: nowhere yet */
	struct php_line *next; /* where it moves to; NULL: it does not */
	bool linked;
	bool former; /* served since before our start; its link is put back if need be (a reboot) */
	bool leaving;
	uint64_t fingerprint;
	unsigned n_lines; /* of the service, when it was placed */
	uid_t uid;
	gid_t gid;
	char version[PHP_VERSION_ROOM]; /* resolved; "": nothing has been set yet */
	struct php_standing standing;
};

/* What a line that was found at our start holds. */
void php_pools_restore(struct php_line *l);
void php_pool_serve(struct php_service *s, const struct webspace *webspace);
void php_pool_withdraw(struct php_service *s, const char *name);
/* True once no line holds it; then its link is gone too. */
bool php_pool_gone(struct php_service *s, const char *name);
/* A line's unit has settled what becomes of it there. */
void php_pool_settled(struct php_line *l, const struct member *m);
/* The line came up, or failed for a reason that is nobody's: its pools are told where they stand. */
void php_pools_tell(struct php_line *l);
/* Links that are not as they should be are put back. */
void php_pools_look(struct php_service *s);
void php_pool_free(struct php_pool *p);

/* php_leftovers.c: what former agents left ----------------------------------------- */

void php_leftovers_look(struct php_service *s);

/* php_service.c ------------------------------------------------------------------ */

struct php_service {
	struct service_config config;
	struct php_versions versions;
	struct table lines; /* id → struct php_line */
	struct table pools; /* name → struct php_pool */
	struct master *masters;
	struct php_drain drain;
	struct gate gate;               /* of the lines' units */
	struct loop_source *soon;       /* tidies after callbacks, and publishes what had to wait */
	int dir, line_dir, masters_dir; /* RUN_DIR/php, /line, /masters; -1: dry and not there */
	unsigned longest_request_s;
	unsigned n_lines; /* shared ones; it only grows while we run */
	bool published;   /* since we were opened: webspaces are known */
	bool leaving;     /* some pool may be */
};

/* Something is to be tidied up, or what waited may be published, once the callback at hand is over. */
void php_service_soon(struct php_service *s);
/* "could not …", told to whom it may concern. */
void php_service_failed(struct php_service *s, const char *item, const struct err *e);
void php_service_repaired(struct php_service *s, const char *item);
