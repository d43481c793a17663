/*
 * Which webspaces in force have no file, since when, and what was decided about
 * them: in state_dir/good/.absent, so that the two looks that a removal takes
 * may be those of two processes (`webspaces apply` from a timer), and so that
 * what was held or begun before a crash is still so after it.
 */
#pragma once

#include "agent/model/item.h"

/* Items are there already; lines about others are passed over. */
void absence_restore(struct catalog *c);
int absence_put(struct catalog *c, struct err *e);
