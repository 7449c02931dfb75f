/* SPDX-License-Identifier: MIT */
/* `lkvm selftest`: its options, and what it runs. */
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/selftest.h"
#include "lkvm/signals.h"
#include "lkvm/util.h"

/* What the built-in guest has room for (guest/selftest, GUEST_MAX_CPUS in guest/build.mk). */
#define BUILT_IN_CPUS	512u
#define BUILT_IN_ROUNDS 16384u
/* The memory in which selftest/run.c lets fresh pages be touched ends here. */
#define EXITS_MEMORY (256 * MiB)
#define IN_MEMORY    (16 * MiB)

static const char *const transport_names[] = { "both", "pci", "mmio", NULL };

#define MEMBER(m) .offset = offsetof(struct selftest_options, m)

/* clang-format off */
static const struct option_spec selftest_options[] = {
	{ .type = OPT_GROUP, .help = "What to do" },
	{ .type = OPT_FLAG, .name = "exits", MEMBER(exits),
	  .help = "measure how long each kind of exit takes, instead of the checks" },
	{ .type = OPT_U32, .name = "rounds", .arg = "N", MEMBER(rounds), .min = 1,
	  .max = BUILT_IN_ROUNDS,
	  .help = "with --exits: samples of each kind, at most 16384",
	  .def = "as many as a tenth of a second holds" },
	{ .type = OPT_FLAG, .name = "json", MEMBER(json),
	  .help = "print JSON" },
	{ .type = OPT_U32, .name = "timeout", .arg = "SECONDS", MEMBER(timeout), .min = 1,
	  .help = "maximum time that a VM may run", .def = "30" },

	{ .type = OPT_GROUP, .help = "Machine" },
	{ .type = OPT_CHOICE, .name = "virtio-transport", MEMBER(transports), .choices = transport_names,
	  .help = "how virtio devices are attached", .def = "both, one after the other; pci with "
	  "--exits or an image" },
	OPT_END
};
/* clang-format on */

/* Where the options of `lkvm run` have another default here. */
static const struct option_default defaults[] = {
	{ "cpus", "2" },
	{ "mem", "4G; 256M with --exits" },
	{ "loglevel", "warning" },
	{ 0 },
};

static const struct option_source sources[] = {
	{ .rows = selftest_options },
	CONFIG_OPTIONS(offsetof(struct selftest_options, cfg), OPT_SELFTEST, defaults),
	{ .rows = loglevel_options, .defaults = defaults },
	{ 0 },
};

static const struct option_set selftest_set = {
	.sources = sources,
	.here = &arch_platform.option_mask,
};

/* Options that mean nothing to the built-in guest. */
static int check_image(const struct selftest_options *o)
{
	static const char *const for_images[] = { "params", "kernel-format" };

	if (o->image && !*o->image) {
		err("image: the name is empty");
		return -EINVAL;
	}
	if (o->image && o->exits) {
		err("image '%s': --exits measures with the built-in guest; omit one of them",
		    o->image);
		return -EINVAL;
	}
	for (size_t i = 0; !o->image && i < ARRAY_SIZE(for_images); i++) {
		if (!options_given(&selftest_set, o, for_images[i]))
			continue;
		err("--%s: is for a test image; name one or omit it", for_images[i]);
		return -EINVAL;
	}
	return 0;
}

static int check_built_in(const struct selftest_options *o)
{
	u64 min = o->exits ? EXITS_MEMORY : IN_MEMORY;
	char size[32], given[32];

	if (o->image)
		return 0;
	if (o->cfg.cpus > BUILT_IN_CPUS) {
		err("--cpus %u: the built-in guest drives at most %u CPUs", o->cfg.cpus,
		    BUILT_IN_CPUS);
		return -EINVAL;
	}
	if (o->cfg.memory && o->cfg.memory < min) {
		err("--mem %s: the built-in guest needs at least %s",
		    format_size(o->cfg.memory, given, sizeof(given)),
		    format_size(min, size, sizeof(size)));
		return -EINVAL;
	}
	if (o->rounds && !o->exits) {
		err("--rounds: is for --exits; add it, or omit --rounds");
		return -EINVAL;
	}
	return 0;
}

static int parse(const struct command *cmd, int argc, char **argv, struct selftest_options *o)
{
	int words, rest, ret;

	ret = options_parse(cmd, argc, argv, o, &words, &rest);
	if (ret)
		return ret;
	if (words > 1 || rest < argc) {
		err("unexpected word '%s'; selftest takes at most one image",
		    words > 1 ? argv[1] : argv[rest]);
		return -EINVAL;
	}
	if (words)
		o->image = argv[0];
	ret = options_check(&selftest_set, o);
	if (!ret)
		ret = check_image(o);
	if (!ret)
		ret = check_built_in(o);
	return ret;
}

static int cmd_selftest_main(const struct command *cmd, int argc, char **argv)
{
	struct selftest_options o = { .timeout = 30 };
	struct selftest_report report;
	int status, sig = 0, ret;

	config_init(&o.cfg);
	o.cfg.cpus = 2;
	log_set_level(LOG_WARNING);
	ret = parse(cmd, argc, argv, &o);
	if (ret) {
		status = ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
		goto out;
	}
	options_close_others(&selftest_set, &o, o.image);
	ret = selftest_check(&o);
	if (ret) {
		status = ret == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
		goto out;
	}
	signals_init();
	if (o.exits) {
		sig = selftest_exits(&o, &status);
		goto out;
	}
	report_begin(&report, o.json);
	sig = o.image ? selftest_image_run(&o, &report) : selftest_checks(&o, &report);
	if (!sig)
		report_end(&report);
	status = report.failed ? EXIT_FAILURE : EXIT_SUCCESS;
out:
	config_destroy(&o.cfg);
	return sig ? end_by_signal(sig) : status;
}

const struct command cmd_selftest = {
	.name = "selftest",
	.summary = "Test this host's KVM, and lkvm, with a built-in guest",
	.usage = "lkvm selftest [options] [image]",
	.description =
		"Starts a small guest that is part of lkvm, which checks its VM, reboots and "
		"powers off, and prints TAP. With --exits it measures how long each kind of exit "
		"takes. If a flat, ELF or multiboot image is named, that runs instead.",
	.options = &selftest_set,
	.word = "file",
	.run = cmd_selftest_main,
};
