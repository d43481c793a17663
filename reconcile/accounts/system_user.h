/* An account of the host's own, without a home, a shell or a password. */
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"

/* 1: made, 0: was there. -ENOENT: it is not there, and none may be made. */
int system_user_make(const char *name, const char *comment, bool may_make, struct err *e);
