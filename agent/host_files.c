/* See host_files.h. A change of any of them is a reason to look at more than one webspace. */
#include "agent/host_files.h"

#include <string.h>

#include "agent/base/memory.h"

#define OTHERS 5 /* than the base's sources, and the end */

const char **host_files(const struct host *host)
{
	const char **files = memory_new((host->base.count + OTHERS) * sizeof(*files));
	size_t n = 0;

	files[n++] = "/etc/passwd";
	files[n++] = "/etc/group";
	if (host->nginx.instance == NGINX_OWN)
		files[n++] = NGINX_DROPINS;
	if (*host->file == '/')
		files[n++] = host->file;
	/* Who writes to /dev/null does not change it, and everybody does all the time. */
	for (size_t i = 0; i < host->base.count; i++)
		if (strncmp(host->base.items[i], "/dev/", 5) != 0)
			files[n++] = host->base.items[i];
	return files;
}
