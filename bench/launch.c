/* SPDX-License-Identifier: MIT */
/* Notes the time for bench/firstrun.c and becomes the program that its arguments name: what started
 * us is not measured. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec t;
	char text[32];

	if (argc < 2)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &t);
	snprintf(text, sizeof(text), "%lld", t.tv_sec * 1000000000LL + t.tv_nsec);
	setenv("FIRSTRUN_START_NS", text, 1);
	execv(argv[1], argv + 1);
	perror(argv[1]);
	return 1;
}
