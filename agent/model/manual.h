/* The table of options as a reader wants it: text, a manual's section, a sample file, JSON. Pure. */
#pragma once

#include "agent/base/buf.h"
#include "agent/model/option.h"

enum manual_format { MANUAL_TEXT, MANUAL_MAN, MANUAL_SAMPLE, MANUAL_JSON };

void manual_write(enum manual_format format, struct buf *ret);

/* A number in the units of the option: 33554432 → "32M" for a size, 90 → "90s" for a duration. */
void manual_number(const struct option *o, long long n, struct buf *b);
/* What the option takes, in its units: "1 to 64", or each where they go in steps. */
void manual_range(const struct option *o, struct buf *b);
