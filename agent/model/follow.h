/* Defaults that follow what was said: nobody is refused because of a key that stands in no file. */
#pragma once

#include <stdint.h>

#include "agent/model/setting.h"
#include "agent/model/webspace.h"

/* What was said where; either may be NULL. The program's own defaults stand in neither. */
struct said {
	const struct setting *file;     /* the webspace's */
	const struct setting *defaults; /* the group of the host's file */
};

/* Moves values that contradict one said nearer to the webspace. What is left is for rules.c to refuse. */
void follow(const struct said *said, struct arena *a, struct webspace *w);

/*
 * The longest that these settings of PHP let a script run or a request be read, in seconds;
 * `seconds` where they do not say more.
 */
#define FOR_EVER UINT64_MAX
uint64_t php_script_time(const struct pair_list *settings, uint64_t seconds);
