/* SPDX-License-Identifier: MIT */
/* The command line of `lkvm run`: the options of a VM and what else may be asked for. */
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define MEMBER(m) .offset = offsetof(struct run_options, m)

static int parse_loglevel(const char *shown, const char *arg, void *target)
{
	enum log_level level;

	if (!log_level_parse(arg, &level)) {
		log_set_level(level);
		return 0;
	}
	err("%s %s: is not one of error, warning, info, debug", shown, arg);
	return -EINVAL;
}

/* kvmtool's: messages about ports and addresses without a device are among those. */
static int parse_debug(const char *shown, const char *arg, void *target)
{
	log_set_level(LOG_DEBUG);
	return 0;
}

/* kvmtool's, for what is never done here. */
static int parse_nothing(const char *shown, const char *arg, void *target)
{
	return 0;
}

/* kvmtool's, for what has no sense here: the machine is as good without. */
static int parse_no_screen(const char *shown, const char *arg, void *target)
{
	warn("%s: has no effect: the guest has no screen; its console is on this terminal", shown);
	return 0;
}

static int parse_no_delay(const char *shown, const char *arg, void *target)
{
	warn("%s: has no effect: no access to a port is delayed", shown);
	return 0;
}

/* What a guest starts from: a kernel in one place replaces the firmware of another. */

static struct run_start take_start(struct vm_config *cfg)
{
	struct run_start start = { cfg->kernel, cfg->firmware };

	cfg->kernel = cfg->firmware = NULL;
	return start;
}

static void put_start(struct vm_config *cfg, struct run_start *start)
{
	cfg->kernel = start->kernel;
	cfg->firmware = start->firmware;
	*start = (struct run_start){ 0 };
}

static void free_start(struct run_start *start)
{
	free(start->kernel);
	free(start->firmware);
	*start = (struct run_start){ 0 };
}

/* Options take effect in their order: those after it on the command line replace the file's. */
static int parse_config(const char *shown, const char *arg, void *target)
{
	struct run_options *run = target;
	struct run_start before = take_start(&run->cfg), now;
	int ret = options_load(&run_set, shown, arg, run) ? -EINVAL : 0;

	now = take_start(&run->cfg);
	if (now.kernel || now.firmware) {
		free_start(&before);
		free_start(&run->from_file);
		run->from_file = now;
	} else {
		put_start(&run->cfg, &before);
	}
	return ret;
}

/* clang-format off */
const struct option_spec loglevel_options[] = {
	{ .type = OPT_GROUP, .help = "Diagnosis" },
	{ .type = OPT_CALL, .name = "loglevel", .parse = parse_loglevel, .choices = log_level_names,
	  .help = "print messages of this level and more important ones", .def = "info" },
	OPT_END
};

const struct option_spec run_config_options[] = {
	{ .type = OPT_GROUP, .help = "Configuration" },
	{ .type = OPT_CALL, .name = "config", .arg = "FILE", .parse = parse_config,
	  .help = "take options from FILE, or - for standard input, a name and a value on each line; "
		  "later options replace or add to them", .flags = OPT_REPEATABLE | OPT_ONCE },
	OPT_END
};

const struct option_spec run_own_options[] = {
	{ .type = OPT_GROUP, .help = "Configuration" },
	{ .type = OPT_STRING, .name = "save-config", .arg = "FILE", MEMBER(save_config),
	  .flags = OPT_PATH | OPT_ONCE,
	  .help = "write the checked configuration to FILE, or - for standard output, for --config, and exit" },

	{ .type = OPT_GROUP, .help = "Diagnosis" },
	{ .type = OPT_FLAG, .name = "dry-run", MEMBER(dry_run), .flags = OPT_ONCE,
	  .help = "print the checked configuration and exit" },
	{ .type = OPT_FLAG, .name = "boot-time", MEMBER(boot_time), .flags = OPT_ONCE,
	  .help = "say at the end when the guest began, its first byte came, Linux ran init, and the guest set "
		  "marks, in nanoseconds since lkvm began" },
	{ .type = OPT_CALL, .name = "debug", .parse = parse_debug, .flags = OPT_HIDDEN,
	  .help = "--loglevel debug" },
	{ .type = OPT_CALL, .name = "debug-ioport", .parse = parse_debug, .flags = OPT_HIDDEN,
	  .help = "--loglevel debug" },
	{ .type = OPT_CALL, .name = "debug-mmio", .parse = parse_debug, .flags = OPT_HIDDEN,
	  .help = "--loglevel debug" },
	{ .type = OPT_CALL, .name = "debug-iodelay", .arg = "MS", .parse = parse_no_delay,
	  .flags = OPT_HIDDEN, .help = "nothing" },
	{ .type = OPT_CALL, .name = "sdl", .parse = parse_no_screen, .flags = OPT_HIDDEN,
	  .help = "nothing" },
	{ .type = OPT_CALL, .name = "gtk", .parse = parse_no_screen, .flags = OPT_HIDDEN,
	  .help = "nothing" },
	{ .type = OPT_CALL, .name = "vnc", .parse = parse_no_screen, .flags = OPT_HIDDEN,
	  .help = "nothing" },
	{ .type = OPT_CALL, .name = "vidmode", .arg = "N", .parse = parse_no_screen,
	  .flags = OPT_HIDDEN, .help = "nothing" },
	{ .type = OPT_CALL, .name = "no-dhcp", .parse = parse_nothing, .flags = OPT_HIDDEN,
	  .help = "add no ip=dhcp to the kernel's command line" },
	OPT_END
};
/* clang-format on */

static const struct option_source sources[] = {
	CONFIG_OPTIONS(offsetof(struct run_options, cfg), 0, NULL),
	{ .rows = run_config_options },
	{ .rows = run_own_options },
	{ .rows = loglevel_options },
	{ 0 },
};

const struct option_set run_set = {
	.sources = sources,
	.foreign = foreign_options,
	.here = &arch_platform.option_mask,
};

void run_options_init(struct run_options *run)
{
	memset(run, 0, sizeof(*run));
	run->start_ns = now_ns();
	config_init(&run->cfg);
}

void run_options_destroy(struct run_options *run)
{
	free_start(&run->from_file);
	config_destroy(&run->cfg);
	options_destroy(&run_set, run);
}

int run_options_parse(const struct command *cmd, int argc, char **argv, struct run_options *run)
{
	struct vm_config *cfg = &run->cfg;
	int words, rest, ret;

	/* Around a command's own words there are to be none but of what is wrong. */
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--"))
			log_set_level(LOG_WARNING);
	ret = options_parse(cmd, argc, argv, run, &words, &rest);
	if (ret)
		return ret;
	if (rest < argc)
		cfg->root.command = argv + rest;
	if (words && cfg->kernel) {
		err("'%s': the kernel is '%s' already; omit one of them (kernel parameters go to "
		    "--params)",
		    argv[0], cfg->kernel);
		return -EINVAL;
	}
	if (words > 1) {
		err("unexpected word '%s' after the kernel '%s'; 'lkvm help run' lists the options",
		    argv[1], argv[0]);
		return -EINVAL;
	}
	if (words)
		cfg->kernel = xstrdup(argv[0]);
	if (!cfg->kernel && !cfg->firmware)
		put_start(cfg, &run->from_file);
	free_start(&run->from_file);
	return options_check(&run_set, run);
}
