/* The program acme-worker: what the agent runs to talk to CAs; the line to it is standard input. */
#include <stdio.h>

#include "acme/worker/worker.h"

int main(int argc, char *argv[])
{
	struct err e;

	if (argc != 4) {
		fputs("Usage: acme-worker VERSION USER CA_FILE\n"
		      "\n"
		      "webspaces starts this with a socket as standard input, by which it says "
		      "what to ask of\n"
		      "a certificate authority, of the DNS and of its own listeners. VERSION is "
		      "that of\n"
		      "webspaces. It becomes USER and gives up whatever it does not need. CA_FILE "
		      "(may be\n"
		      "empty: the system's) has the CAs by which servers are known. Not for "
		      "people.\n",
		      stderr);
		return 64;
	}
	return worker_run(
		       &(struct worker_config){
			       .line = 0, .version = argv[1], .user = argv[2], .ca_file = argv[3] },
		       &e) < 0;
}
