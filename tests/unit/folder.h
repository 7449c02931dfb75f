/* SPDX-License-Identifier: MIT */
/* The end of a test's own folder. */
#ifndef TEST_FOLDER_H
#define TEST_FOLDER_H

#include <stdio.h>
#include <stdlib.h>

/* With all that is in it; 0, or something else. */
static inline int remove_folder(const char *path)
{
	char command[4200];

	snprintf(command, sizeof(command), "rm -r '%s' </dev/null", path);
	return system(command);
}

#endif
