/*
 * FNV-1a, 64 bit: the same on every host and in every release, so that values may
 * be kept on disk. Not for keys that an enemy chooses to collide.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(0xcbf29ce484222325)

/* Going on from h. */
uint64_t hash_bytes(uint64_t h, const void *data, size_t len);
/* By whole words: eight times as fast. Not FNV-1a, and for no value that is kept on disk. */
uint64_t hash_words(uint64_t h, const uint64_t *words, size_t n);
/* Of the text and the NUL at its end, so that "ab", "c" is not "a", "bc". */
uint64_t hash_text(uint64_t h, const char *text);
