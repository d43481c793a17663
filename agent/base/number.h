/* Numbers as names of files and directories: "12". */
#pragma once

#include <stdint.h>

struct number {
	char text[24];
};
struct number number_of(uint64_t n);
/* 0: not a number as number_of writes them, or 0. */
uint64_t number_parse(const char *text);
