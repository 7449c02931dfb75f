/* SPDX-License-Identifier: MIT */
/* For unit tests: does iasl (acpica-tools) take a table apart and put it together again? */
#ifndef TEST_IASL_H
#define TEST_IASL_H

#include "folder.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IASL_HEADER 36 /* of every table; iasl puts itself down there as the compiler */

static inline bool iasl_missing(void)
{
	return system("command -v iasl >/dev/null 2>&1") != 0;
}

static inline char *iasl_read(const char *dir, const char *name, size_t *len)
{
	char path[256];
	static char buf[1 << 20];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f)
		fail_msg("iasl made no %s", name);
	*len = fread(buf, 1, sizeof(buf) - 1, f);
	buf[*len] = '\0';
	fclose(f);
	return buf;
}

/*
 * False when this iasl cannot compile its own disassembly: that of 2025 asks an SPCR of revision 2
 * for the fields of revision 4.
 */
static inline bool iasl_run(const char *dir, const char *args)
{
	char command[512];
	const char *log;
	size_t len;

	/* -oa: no optimizations, so that the bytes compare. */
	snprintf(command, sizeof(command), "cd %s && iasl -oa %s >log 2>&1", dir, args);
	if (system(command) == 0)
		return true;
	log = iasl_read(dir, "log", &len);
	if (!strstr(log, "Found NULL field - Field name \"Precise Baud rate\""))
		fail_msg("iasl %s: %s", args, log);
	return false;
}

/* What came out of compiling again is @table, without a complaint. */
static inline void iasl_compare(const char *dir, const u8 *table, size_t len)
{
	const u8 *again;
	const char *log;
	size_t n;

	log = iasl_read(dir, "log", &n);
	if (!strstr(log, "0 Errors, 0 Warnings, 0 Remarks"))
		fail_msg("iasl: %s", log);
	again = (const u8 *)iasl_read(dir, "out.aml", &n);
	assert_int_equal(n, len);
	assert_memory_equal(again + IASL_HEADER, table + IASL_HEADER, len - IASL_HEADER);
}

/*
 * @table disassembles and compiles without errors, warnings and remarks, to the same bytes. @source
 * gets the disassembly (valid until the next call) unless NULL.
 */
static inline void iasl_check(const u8 *table, size_t len, const char **source)
{
	char dir[] = "/tmp/lkvm-iasl-XXXXXX", path[64];
	static char dsl[1 << 20];
	size_t n;
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/in.aml", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(table, 1, len, f), len);
	fclose(f);
	assert_true(iasl_run(dir, "-p in -d in.aml"));
	snprintf(dsl, sizeof(dsl), "%s", iasl_read(dir, "in.dsl", &n));
	assert_null(strstr(iasl_read(dir, "log", &n), "ncorrect"));
	if (iasl_run(dir, "-p out in.dsl"))
		iasl_compare(dir, table, len);
	assert_int_equal(remove_folder(dir), 0);
	if (source)
		*source = dsl;
}

#endif
