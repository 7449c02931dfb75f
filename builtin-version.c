/* SPDX-License-Identifier: MIT */
/* `lkvm version`: version, architecture, and which optional parts are built in. */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/measure.h"

static const struct {
	const char *name;
	bool built_in;
} optional_parts[] = {
#ifdef HAVE_ZLIB
	{ "zlib", true },
#else
	{ "zlib", false },
#endif
#ifdef HAVE_ZSTD
	{ "zstd", true },
#else
	{ "zstd", false },
#endif
#ifdef HAVE_LIBURING
	{ "io_uring", true },
#else
	{ "io_uring", false },
#endif
};

static int cmd_version_main(const struct command *cmd, int argc, char **argv)
{
	int words, rest;
	int ret = options_parse(cmd, argc, argv, NULL, &words, &rest);

	if (ret)
		return ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	if (words || rest < argc) {
		err("version: takes no arguments");
		return EXIT_USAGE;
	}
	printf("lkvm %s\narchitecture: %s\n", LKVM_VERSION, arch_platform.name);
	for (size_t i = 0; i < ARRAY_SIZE(optional_parts); i++)
		printf("%s: %s\n", optional_parts[i].name,
		       optional_parts[i].built_in ? "yes" : "no");
	printf("SHA-2: %s\n", hash_library() ? hash_library() : "no");
	return EXIT_SUCCESS;
}

const struct command cmd_version = {
	.name = "version",
	.summary = "Show the version and the optional parts built in",
	.usage = "lkvm version",
	.description =
		"Prints the version, the architecture, and for each optional part whether it "
		"is built in.",
	.run = cmd_version_main,
};
