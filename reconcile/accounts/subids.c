/*
 * Whoever has a range there may become each of its ids in a container of his
 * own, so a webspace with one of them would be his.
 */
#include "reconcile/accounts/subids.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/base/path.h"

#define FILE_MAX (16u << 20)

/* NAME:START:COUNT */
static bool line_meets(char *line, unsigned min, unsigned max)
{
	unsigned long start, count;
	char *end;

	(void)strsep(&line, ":");
	if (!line)
		return false;
	start = strtoul(line, &end, 10);
	if (*end != ':')
		return false;
	count = strtoul(end + 1, NULL, 10);
	return count > 0 && start <= max && min < start + count;
}

static bool file_meets(int etc, const char *name, unsigned min, unsigned max)
{
	autofree char *text = NULL;
	char *rest, *line;
	size_t len;

	if (path_read(etc, name, FILE_MAX, &text, &len, NULL) < 0)
		return false;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		if (line_meets(line, min, max))
			return true;
	return false;
}

bool subids_meet(unsigned min, unsigned max, const char **ret_file)
{
	autofd int etc = path_open_dir("/etc", NULL);

	if (etc < 0)
		return false;
	if (file_meets(etc, "subuid", min, max)) {
		*ret_file = "/etc/subuid";
		return true;
	}
	if (file_meets(etc, "subgid", min, max)) {
		*ret_file = "/etc/subgid";
		return true;
	}
	return false;
}
