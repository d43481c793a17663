/* What is wrong with a value that its key does not take, and what to write instead. */
#pragma once

#include "agent/base/err.h"
#include "agent/model/option.h"

/* "a number", "a list" */
const char *mismatch_found(const struct setting *s);
/* Of another type than the key's, or a text that is no size or duration. -EINVAL. */
int mismatch_type(const struct option *o, const struct setting *s, struct err *e);
/* 0 if the number is in the key's range, else -EINVAL. */
int mismatch_range(const struct option *o, const struct setting *s, long long n, struct err *e);
/* A text that is none of the key's words. -EINVAL. */
int mismatch_word(const struct option *o, const char *text, struct err *e);
