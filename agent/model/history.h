/*
 * What webspaces' files said before they changed: state_dir/history/<generation>/
 * holds, for each webspace that changed while that generation was the newest, the
 * good text that it had until then (NAME.conf), or that it had none (NAME.new).
 * So what was in force as of a generation is, for each webspace, its text at the
 * first point from there on that has one; a webspace without any never changed.
 *
 * A text is not copied but linked from good/, so a point costs its names alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "agent/base/err.h"
#include "agent/base/table.h"
#include "agent/model/names.h"

#define HISTORY_KEPT 10 /* points */

struct history {
	int dir; /* -1: there is none */
	bool writable;
	uint64_t point; /* what changes from now on changes after this generation; 0: none yet */
};

/* Not there yet and not writable is no error. */
int history_open(const char *state_dir, bool writable, struct history *ret, struct err *e);
void history_close(struct history *h);

/* The webspace is about to have another text. dir/name.conf is the one it has; if that is not there, it is new. */
int history_keep(struct history *h, const char *name, int dir, struct err *e);
/* Nothing is left of the webspace at any point: going back does not bring it back. */
int history_forget(const struct history *h, const char *name, struct err *e);
/* How that is called: "alice.conf", "alice.new". */
const char *history_file(const char *name, bool is_new, char ret[static NAME_FILE_MAX + 8]);
/* The name, if the file is called so. */
bool history_name(const char *file, bool *ret_is_new, char ret[static NAME_FILE_MAX + 1]);

/* The point below this generation, 0: none. Begin with UINT64_MAX. */
uint64_t history_before(const struct history *h, uint64_t generation);
/* The first generation that can be gone back to; before it something is not known any more. */
uint64_t history_oldest(const struct history *h);
/* Since when something else is in force; 0: there is no such point. */
time_t history_when(const struct history *h, uint64_t point);
/* Webspaces that changed at the point: name → not NULL. */
void history_names(const struct history *h, uint64_t point, struct table *ret);
/*
 * Links what differs from that generation on into the directory `to`, where it replaces what is
 * there; *ret_n: how many webspaces.
 */
int history_since(const struct history *h, uint64_t generation, int to, size_t *ret_n,
		  struct err *e);
