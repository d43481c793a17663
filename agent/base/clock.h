/* Time. Pure code takes a time as argument; only the edges ask the clock. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC  UINT64_C(1000000)

/* CLOCK_MONOTONIC, which does not jump. */
uint64_t clock_usec(void);
/* Seconds of the same clock, at least 1: what all processes agree on until the next boot. */
time_t clock_steady(void);
/* Wall time, seconds since 1970, which may jump by years. */
time_t clock_wall(void);
/* RFC 3339, UTC: "2026-11-21T10:15:00Z". ret has room for 21 bytes. */
void clock_rfc3339(time_t t, char ret[static 21]);
/* The other way round; 0: it is not one in this form. NULL is none. */
time_t clock_of_rfc3339(const char *text);
