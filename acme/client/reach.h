/* Where one of our own listeners is reached from here. */
#pragma once

#define REACH_MAX 80

/* "0.0.0.0:80" → "127.0.0.1:80", "[::]:443" → "[::1]:443"; a certain address is itself. */
void reach_of(const char *listen, char ret[static REACH_MAX]);
