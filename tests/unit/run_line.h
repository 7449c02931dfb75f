/* SPDX-License-Identifier: MIT */
/* The command line of `lkvm run` as its tests give it, on an architecture of their own. */
#ifndef RUN_LINE_H
#define RUN_LINE_H

#include "capture.h"

#include <stdio.h>

#include "lkvm/arch.h"
#include "lkvm/cli.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* An architecture of our own: nothing else is linked. */
static const char *const no_kernels[] = { NULL };
const struct arch_platform arch_platform = {
	.name = "test",
	.option_mask = OPT_ARCH_X86,
	.kernel_search = no_kernels,
	.default_console = "ttyS0",
	.ram_base = 2 * GiB,
	.virtio_mmio_max = 8,
};
int arch_config_complete(struct vm_config *cfg)
{
	return 0;
}

bool arch_firmware_takes_kernel(const struct vm_config *cfg)
{
	return false;
}

bool arch_boots_linux(const struct vm_config *cfg, const struct boot *boot)
{
	return true;
}

static int nr_args;
static char *args[32];

static const struct command run_command = {
	.name = "run",
	.usage = "lkvm run [options] [kernel]",
	.options = &run_set,
};
static struct run_options ro;
#define cfg (ro.cfg)

static int run_as(const struct command *command, const char *line)
{
	static char copy[512];
	int ret;

	run_options_destroy(&ro);
	run_options_init(&ro);
	nr_args = 0;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *save = NULL, *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		args[nr_args++] = w;
	args[nr_args] = NULL;
	capture_begin();
	ret = run_options_parse(command, nr_args, args, &ro);
	capture_end();
	if (ret < 0)
		assert_one_line(captured);
	return ret;
}

static int run(const char *line)
{
	return run_as(&run_command, line);
}

static int teardown(void **state)
{
	run_options_destroy(&ro);
	return 0;
}

#endif
