/*
 * .git/HEAD names a commit or a branch; a branch is a file below .git or a line
 * of packed-refs (gitrepository-layout(5)). The work tree may begin a few
 * directories above. Nothing is run and no link below .git is followed, since
 * a hook or a configured command in there is nobody's business here.
 */
#include "agent/model/revision.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define PARENTS_MAX 3
#define HEAD_MAX    512
#define PACKED_MAX  (1 << 20)

/* The hash at the beginning of text, if one is there, in memory of its own. */
static char *hash_at(const char *text)
{
	size_t len = strspn(text, "0123456789abcdef");

	if ((len != 40 && len != 64) || (text[len] && !strchr(" \n\r", text[len])))
		return NULL;
	return strndup(text, len);
}

static bool is_plain_ref(const char *ref)
{
	return strncmp(ref, "refs/", 5) == 0 && !strstr(ref, "..") && !strstr(ref, "//") &&
	       strlen(ref) < 256;
}

static char *from_packed(int git, const char *ref)
{
	autofree char *text = NULL;
	char *rest, *line;
	size_t len;

	if (path_read(git, "packed-refs", PACKED_MAX, &text, &len, NULL) < 0)
		return NULL;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		const char *space = strchr(line, ' ');

		if (space && strcmp(space + 1, ref) == 0)
			return hash_at(line);
	}
	return NULL;
}

static char *from_git(int git)
{
	autofree char *head = NULL, *text = NULL;
	size_t len;

	if (path_read(git, "HEAD", HEAD_MAX, &head, &len, NULL) < 0)
		return NULL;
	if (strncmp(head, "ref: ", 5) != 0)
		return hash_at(head);
	head[strcspn(head, "\r\n")] = '\0';
	if (!is_plain_ref(head + 5))
		return NULL;
	if (path_read(git, head + 5, HEAD_MAX, &text, &len, NULL) == 0)
		return hash_at(text);
	return from_packed(git, head + 5);
}

char *revision_read(const char *dir)
{
	autofd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i <= PARENTS_MAX; i++) {
		autofd int git = path_open(fd, ".git", O_PATH | O_DIRECTORY, NULL);
		int parent;

		if (git >= 0)
			return from_git(git);
		parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = parent;
	}
	return NULL;
}
