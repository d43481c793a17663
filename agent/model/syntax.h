/* Is a text of the form that a configuration file has? */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/model/problems.h"

/*
 * Adds a problem for the first fault of form and returns false. What releases of libconfig treat
 * differently is made equal in the text: a comma behind the last element becomes a space.
 */
bool syntax_check(const char *file, char *text, size_t len, struct problems *p);
