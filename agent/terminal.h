/*
 * Keeps a command that is started from an admin's terminal from typing into it:
 * TIOCSTI puts characters into the terminal's input, and a shell of root's reads
 * them when the command has ended (CVE-2005-4890 and its many sisters).
 */
#pragma once

#include "agent/base/err.h"

/* For this process and all it starts, for good. Needs no_new_privs. */
int terminal_guard(struct err *e);
