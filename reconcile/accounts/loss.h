/*
 * Accounts that webspaces had and that are gone. A single one is made again with its ids; many
 * gone at once (an old /etc/passwd put back, a directory service that answers for nobody) are
 * more often an accident: they are held, as a mass removal of files is, until they come back or
 * `webspaces confirm` lets them be made again. What is held stays so over restarts:
 * state_dir/accounts.held, a line "NAME\theld" or "NAME\tgo" for each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/err.h"

struct loss;

/* writable false (plan): nothing is written. */
struct loss *loss_open(const char *state_dir, bool writable);
void loss_close(struct loss *l);

/* Waits the account for a person's word? */
bool loss_is_held(const struct loss *l, const char *name);
/* Was the account held at some time, whatever was decided then? */
bool loss_knows(const struct loss *l, const char *name);
void loss_hold(struct loss *l, const char *name);
/* It is there again. */
void loss_end(struct loss *l, const char *name);
/* All that are held may be made again. Returns how many. */
size_t loss_confirm(struct loss *l);
size_t loss_count(const struct loss *l);
int loss_write(struct loss *l, struct err *e);
