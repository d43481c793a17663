/*
 * A terminal of its own for a command that somebody starts from a terminal: a pseudo terminal
 * (pty(7)) between the two, and this program carries what is typed and what is shown. The command
 * and all that it leaves behind hold the pseudo terminal only; when that is closed they have none.
 *
 * What is typed is carried (and the terminal made raw for it) from the start if input and output are
 * both the terminal and nobody else uses it now; else only once the command asks for it, so that
 * "webspaces enter NAME COMMAND | less" leaves the keyboard to less.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

#include "agent/base/err.h"

struct relay {
	int terminal; /* borrowed; -1: none of the standard three is one */
	int master;
	bool attached; /* what is typed is the command's */
	bool is_raw;
	bool ends_lines; /* the command's terminal does */
	struct termios before;
	char typed[1024];
	size_t typed_len;
};

/* ret_files: the command's input, output and error output, numbers of 3 and more; -1: closed here too. The caller's. */
int relay_open(struct relay *r, int ret_files[3], struct err *e);
void relay_close(struct relay *r);

/* Does the shell that started us let us read from the terminal now? True where there is no job control. */
bool relay_is_in_front(const struct relay *r);
/* From now on what is typed is the command's. */
void relay_attach(struct relay *r);
/* The terminal is as the command needs it if we are in front, else as it was. After a stop, a size of another kind. */
void relay_adjust(struct relay *r);
/* As it was. */
void relay_restore(struct relay *r);

/* Carries until `wakes` can be read. */
void relay_carry(struct relay *r, int wakes);
/* Shows what the command has written until now. */
void relay_drain(struct relay *r);
