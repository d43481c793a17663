/* Is there room on the disk for a certificate? To be asked before a CA is asked for one. */
#pragma once

#include "agent/base/err.h"

/* dir: where it shall be. 0, or -errno: a full disk or quota, one that can only be read, one that is broken. */
int room_check(int dir, struct err *e);
