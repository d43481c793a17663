/* What PHP makes of the text of a setting, known before it is asked. */
#pragma once

#include "agent/base/arena.h"
#include "agent/base/err.h"

/* Would PHP take this text for that setting, and exactly it? -EINVAL: no, or something else. */
int php_value_check(const char *key, const char *value, struct err *e);
/* The text that this PHP version ("8.2") gets: an expression as its number. The text itself or one in the arena. */
const char *php_value_for(const char *key, const char *value, const char *version, struct arena *a);
