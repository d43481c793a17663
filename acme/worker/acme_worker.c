/* The program acme-worker: what the agent runs to talk to CAs; the line to it is standard input. */
#include <stdio.h>
#include <sys/prctl.h>

#include "acme/worker/worker.h"

#define NAME "acme-worker"

static const char usage[] =
	"Usage: " NAME " VERSION USER CA_FILE\n"
	"\n"
	"webspaces starts this with a socket as standard input, and says by it what\n"
	"to ask of CAs, of the DNS and of its own listeners. VERSION is its own.\n"
	"CA_FILE (may be empty: the system's) has the CAs by which servers are\n"
	"known. It becomes USER and gives up all other rights. Not for people.\n";

int main(int argc, char *argv[])
{
	struct err e;

	/* It is run by a descriptor, whose number would be its name. */
	(void)prctl(PR_SET_NAME, NAME);
	if (argc != 4) {
		fputs(usage, stderr);
		return 64;
	}

	const struct worker_config config = {
		.line = 0, .version = argv[1], .user = argv[2], .ca_file = argv[3]
	};

	if (worker_run(&config, &e) < 0) {
		fprintf(stderr, NAME ": %s\n", e.text);
		return 1;
	}
	return 0;
}
