/* The ranges of ids that containers of users may use: subuid(5), subgid(5). */
#pragma once

#include <stdbool.h>

/*
 * Does a range of /etc/subuid or /etc/subgid hold any id from min to max? *ret_file says which file,
 * by its path. A file that cannot be read holds none.
 */
bool subids_meet(unsigned min, unsigned max, const char **ret_file);
