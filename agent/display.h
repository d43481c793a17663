/*
 * Text for a person: colours where it goes to a terminal (and NO_COLOR,
 * https://no-color.org, does not forbid it), columns counted as they are shown,
 * lines no wider than the terminal. Elsewhere the text alone, uncut, so that it
 * can be searched. What a terminal would obey is written as its bytes (agent/base/shown.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

enum hue { HUE_PLAIN, HUE_GOOD, HUE_BAD, HUE_WARN, HUE_DIM, HUE_STRONG };

struct display {
	FILE *to;
	bool colours;
	size_t width; /* columns of the terminal; 0: no terminal, no limit */
	size_t at;    /* the column of what comes next */
};

void display_open(struct display *d, FILE *to);
void display_add(struct display *d, enum hue hue, const char *text);
void display_printf(struct display *d, enum hue hue, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Blanks up to that column, one at least. */
void display_to(struct display *d, size_t column);
/* The text in what is left of the line, cut with "…" if need be. */
void display_cut(struct display *d, enum hue hue, const char *text);
/* The text from here on over as many lines as it takes, each beginning at that column. */
void display_wrap(struct display *d, enum hue hue, size_t column, const char *text);
void display_line(struct display *d); /* ends the line */

/* Columns that a terminal needs for it. Pure. */
size_t display_columns(const char *text);
/* "12 s", "3 min", "5 h", "2 days": how long ago that was. Pure. */
const char *display_age(time_t since, time_t now, char ret[static 24]);
