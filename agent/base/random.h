/* Bytes that nobody can guess, from the kernel. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Ends the process if there are none, as "no memory" does. */
void random_bytes(void *ret, size_t len);
uint64_t random_number(void);
