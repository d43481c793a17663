/* Two directives, of Apache 2.4 and of 2.2, where they are not for some files or methods only. */
#include "agent/htaccess.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "agent/base/own.h"
#include "agent/base/path.h"

#define FILE_MAX 65536

static const char *const denials[] = { "require all denied", "deny from all" };
/* In these it holds for everything, if it holds. */
static const char *const conditions[] = { "<ifmodule", "<ifversion", "<ifdefine" };

static bool begins_with_any(const char *line, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strncasecmp(line, list[i], strlen(list[i])) == 0)
			return true;
	return false;
}

/* One blank between words, none around them. */
static void squeeze(char *line)
{
	char *to = line;

	for (const char *from = line; *from; from++) {
		bool blank = *from == ' ' || *from == '\t' || *from == '\r';

		if (!blank)
			*to++ = *from;
		else if (to > line && to[-1] != ' ')
			*to++ = ' ';
	}
	while (to > line && to[-1] == ' ')
		to--;
	*to = '\0';
}

static bool denies_all(char *text)
{
	int inside = 0; /* sections that are for a part only */
	char *line;

	while ((line = strsep(&text, "\n"))) {
		squeeze(line);
		if (line[0] == '<' && line[1] == '/')
			inside -= inside > 0;
		else if (line[0] == '<' &&
			 (inside > 0 || !begins_with_any(line, conditions, ELEMENTS(conditions))))
			inside++;
		else if (inside == 0)
			for (size_t i = 0; i < ELEMENTS(denials); i++)
				if (strcasecmp(line, denials[i]) == 0)
					return true;
	}
	return false;
}

bool htaccess_denies_all(const char *directory)
{
	autofd int dir = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autofree char *text = NULL;
	size_t len;

	return dir >= 0 && path_read(dir, ".htaccess", FILE_MAX, &text, &len, NULL) == 0 &&
	       denies_all(text);
}
