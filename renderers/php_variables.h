/* The values that pools name by a letter: private to the renderer of pools. */
#pragma once

#include "agent/base/arena.h"

/* Below HOME_ROOT/NAME. */
#define PHP_ACCESS_LOG "logs/php-access.log"
#define PHP_SLOW_LOG   "logs/php-slow.log"

const char *php_access_format(void);
const char *php_path(void);
/* Of @exec, of @strict, or the list itself; NULL: none. */
/* All functions by which scripts share memory, semaphores and messages with others of their IPC namespace. */
const char *php_ipc_functions(void);
const char *php_disabled_functions(const char *wanted);
/* "${F}", in the arena; NULL: no variable has this text. */
const char *php_variable_for(const char *text, struct arena *a);
