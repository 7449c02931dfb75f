/* SPDX-License-Identifier: MIT */
/* For unit tests: does dtc (device-tree-compiler) take a tree apart without a warning? */
#ifndef TEST_DTC_H
#define TEST_DTC_H

#include "folder.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline bool dtc_missing(void)
{
	return system("command -v dtc >/dev/null 2>&1") != 0;
}

static inline void dtc_read(const char *dir, const char *name, char *buf, size_t size)
{
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	fclose(f);
}

/* No error and no warning; returns the source (valid until the next call). */
static inline const char *dtc_check(const void *blob, size_t len)
{
	static char dts[1 << 20];
	char dir[] = "/tmp/lkvm-dtc-XXXXXX", path[64], command[160], log[4096];
	FILE *f;
	int ret;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/in", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(blob, 1, len, f), len);
	fclose(f);
	snprintf(command, sizeof(command), "cd %s && dtc -I dtb -O dts -o out in >log 2>&1", dir);
	ret = system(command);
	dtc_read(dir, "log", log, sizeof(log));
	if (ret || log[0])
		fail_msg("dtc: %s", log);
	dtc_read(dir, "out", dts, sizeof(dts));
	assert_int_equal(remove_folder(dir), 0);
	return dts;
}

#endif
