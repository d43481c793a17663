/*
 * The listening sockets of one process, borrowed: does anybody wait to be
 * accepted there? One poll(2) tells it of all, at a cost that depends on this
 * process alone and not on how many sockets the host has (backlog.h does).
 *
 * While borrowed they listen on even if their owner ends: give them back before
 * it is told to.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/base/err.h"

struct queues;

/*
 * Of the process that listens below the directory dir (so a reused pid is nobody's: -ESRCH), at
 * most max descriptors (-EMFILE). -EPERM, -ENOSYS: a filter, a capability or the kernel forbids it.
 */
int queues_borrow(pid_t pid, const char *dir, size_t max, struct queues **ret, struct err *e);
/* Somebody waits at one of them at least. When in doubt, true. */
bool queues_waiting(const struct queues *q);
/* How many descriptors this takes. */
size_t queues_count(const struct queues *q);
void queues_return(struct queues *q);
