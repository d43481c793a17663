/*
 * The nginx that serves the webspaces (nginx_instance.h): started where it is
 * ours, reloaded, asked which generation it serves. A generation is served when nginx says so itself; that a signal was sent or a
 * process runs means nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "agent/base/loop.h"
#include "agent/model/host.h"
#include "reconcile/manager.h"
#include "reconcile/resource.h"
#include "reconcile/services/nginx/survey.h"

struct nginx_daemon;

/* Where the nginx that serves webspaces says its pid, in the arena; the host's own: as far as is known. */
const char *nginx_daemon_pid_file(const struct host *host, struct arena *a);

struct nginx_daemon_config {
	const struct host *host;
	struct loop *loop;
	struct manager *manager;
	struct world *world; /* NULL: no record is kept */
	/* It ended by itself, having served. */
	void (*died)(const char *how, void *data);
	/* What it serves is known now, or known better: it was asked for the first time, or has another answer. */
	void (*answered)(void *data);
	void *data;
};

/* Makes the directories nginx needs, finds one that runs already, and asks it. */
int nginx_daemon_open(const struct nginx_daemon_config *config, struct nginx_daemon **ret,
		      struct err *e);
/* Leaves nginx running. */
void nginx_daemon_close(struct nginx_daemon *d);

/* The host's own, once it is known what that is told: finds it, and asks it. */
void nginx_daemon_follow(struct nginx_daemon *d, const struct survey *s);
/* What it has of ours in its own configuration is put back. 1: it had been changed. */
int nginx_daemon_look(struct nginx_daemon *d, struct err *e);

/* The first answer is still to come. */
bool nginx_daemon_is_asked(const struct nginx_daemon *d);
/* Makes it read what `current` names: by a start or by SIGHUP. */
int nginx_daemon_load(struct nginx_daemon *d, struct err *e);
/* 1: it serves generation, 0: not yet, < 0: it will not. */
int nginx_daemon_probe(struct nginx_daemon *d, uint64_t generation, struct err *e);
/* As far as is known without waiting; asks it anew meanwhile. */
bool nginx_daemon_serves(struct nginx_daemon *d, uint64_t generation);
/* It answered, whatever it was. */
bool nginx_daemon_is_up(const struct nginx_daemon *d);
/* There is no generation to serve. The host's own goes on without us. */
void nginx_daemon_stop(struct nginx_daemon *d);
