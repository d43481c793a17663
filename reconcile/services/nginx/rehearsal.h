/*
 * The host's own nginx with another text in the place of nginx.include: its whole
 * configuration is judged as it would be, and no file of it, and nothing that
 * runs, sees anything of that.
 */
#pragma once

#include "agent/base/arena.h"
#include "agent/model/host.h"

/*
 * The command: with dir, `nginx -t` with the generation there; without (NULL), `nginx -T`
 * with nothing of ours. Strings in the arena.
 */
const char *const *rehearsal_argv(const struct host *host, const char *dir, struct arena *a);
