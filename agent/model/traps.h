/* What libconfig would take without a word and we do not. */
#pragma once

#include <stddef.h>

#include "agent/model/load.h"

/*
 * Looks through a file's text before libconfig sees it. Adds a problem for each
 * trap; returns true if the text is safe to parse. See traps.c for the list.
 */
bool traps_scan(const char *file, const char *text, size_t len, struct problems *p);
