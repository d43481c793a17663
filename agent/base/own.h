/*
 * Ownership by attribute: what a variable owns goes when it leaves its scope,
 * unless it was taken. take_ptr and take_fd hand ownership on.
 */
#pragma once

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static inline void own_free(void *p)
{
	free(*(void **)p);
}

static inline void own_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void own_closedir(DIR *const *d)
{
	if (*d)
		closedir(*d);
}

#define autofree __attribute__((cleanup(own_free)))
#define autofd   __attribute__((cleanup(own_close)))
#define autodir  __attribute__((cleanup(own_closedir)))

#define take_ptr(p)                 \
	({                          \
		typeof(p) t_ = (p); \
		(p) = NULL;         \
		t_;                 \
	})

#define take_fd(fd)            \
	({                     \
		int t_ = (fd); \
		(fd) = -1;     \
		t_;            \
	})

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
