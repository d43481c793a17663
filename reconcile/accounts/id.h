/* Ids as text. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* False: not a number from 0 to 4294967294 (all bits set means nobody to the system calls). */
bool id_read(const char *text, id_t *ret);
