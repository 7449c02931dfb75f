/* SPDX-License-Identifier: MIT */
/* `lkvm selftest`: its options, and which of its stories is told. */
#include <signal.h>
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/selftest.h"
#include "lkvm/util.h"

/* What the built-in guest has room for (guest/selftest, GUEST_MAX_CPUS in guest/build.mk). */
#define BUILT_IN_CPUS	512u
#define BUILT_IN_ROUNDS 16384u
/* The memory in which selftest/run.c lets fresh pages be touched ends here. */
#define EXITS_MEMORY (256 * MiB)
#define IN_MEMORY    (16 * MiB)

static const char *const transport_names[] = { "both", "pci", "mmio", NULL };

static int parse_loglevel(const struct option_spec *opt, const char *arg, void *target)
{
	enum log_level level;

	if (log_level_parse(arg, &level)) {
		err("option '--loglevel': unknown '%s'; 'lkvm help selftest' says what it takes",
		    arg);
		return -EINVAL;
	}
	log_set_level(level);
	return 0;
}

#define MEMBER(m) .offset = offsetof(struct selftest_options, m)

/* clang-format off */
static const struct option_spec selftest_options[] = {
	{ .type = OPT_GROUP, .help = "What to do" },
	{ .type = OPT_FLAG, .name = "exits", MEMBER(exits),
	  .help = "measure what each kind of exit costs, instead of the checks" },
	{ .type = OPT_U32, .name = "rounds", .arg = "N", MEMBER(rounds), .min = 1,
	  .help = "with --exits: samples of each kind, at most 16384",
	  .def = "as many as a tenth of a second holds" },
	{ .type = OPT_FLAG, .name = "json", MEMBER(json),
	  .help = "print JSON" },
	{ .type = OPT_U32, .name = "timeout", .arg = "SECONDS", MEMBER(timeout), .min = 1,
	  .help = "how long a machine may run", .def = "30" },

	{ .type = OPT_GROUP, .help = "Machine" },
	{ .type = OPT_U32, .short_name = 'c', .name = "cpus", .arg = "N", MEMBER(cpus), .min = 1,
	  .help = "number of virtual CPUs", .def = "2" },
	{ .type = OPT_SIZE, .short_name = 'm', .name = "mem", .arg = "SIZE", MEMBER(memory), .min = MiB,
	  .help = "memory; what is not touched costs nothing", .def = "4G; 256M with --exits" },
	{ .type = OPT_CHOICE, .name = "irqchip", MEMBER(irqchip), .choices = irqchip_names_x86,
	  .archs = OPT_ARCH_X86, .def = "full for as many CPUs as it reaches, else split",
	  .help = "interrupt controllers: all in KVM, or the local APICs only" },
	{ .type = OPT_CHOICE, .name = "irqchip", MEMBER(irqchip), .choices = arm_irqchip_names,
	  .archs = OPT_ARCH_ARM64, .def = "the first that the host has of gicv3-its, gicv3, gicv2m, gicv2",
	  .help = "interrupt controller" },
	{ .type = OPT_FLAG, .name = "nested", MEMBER(nested), .archs = OPT_ARCH_ARM64,
	  .help = "start the guest at EL2" },
	{ .type = OPT_FLAG, .name = "e2h0", MEMBER(e2h0), .archs = OPT_ARCH_ARM64,
	  .help = "with --nested: without the virtualization host extensions" },
	{ .type = OPT_FLAG, .name = "pmu", MEMBER(pmu), .archs = OPT_ARCH_ARM64,
	  .help = "give the CPUs performance counters" },
	{ .type = OPT_CHOICE, .name = "psci", MEMBER(psci), .archs = OPT_ARCH_ARM64,
	  .choices = psci_kind_names, .def = "kernel",
	  .help = "who starts and stops CPUs: KVM, or lkvm" },
	{ .type = OPT_CHOICE, .name = "virtio-transport", MEMBER(transports), .choices = transport_names,
	  .help = "how virtio devices are attached", .def = "both, one after the other; pci with "
	  "--exits or an image" },
	{ .type = OPT_STRING, .name = "dev", .arg = "PATH", MEMBER(kvm_path),
	  .help = "the KVM device", .def = "/dev/kvm" },

	{ .type = OPT_GROUP, .help = "Test image" },
	{ .type = OPT_CHOICE, .name = "kernel-format", MEMBER(format), .choices = kernel_format_names_x86,
	  .archs = OPT_ARCH_X86, .def = "auto", .help = "how the image is loaded and entered" },
	{ .type = OPT_CHOICE, .name = "kernel-format", MEMBER(format), .choices = kernel_format_names_image,
	  .archs = OPT_ARCH_ARM64, .def = "auto", .help = "how the image is loaded and entered" },
	{ .type = OPT_STRING, .short_name = 'p', .name = "params", .arg = "WORDS", MEMBER(params),
	  .help = "words for the image's command line" },

	{ .type = OPT_GROUP, .help = "Diagnosis" },
	{ .type = OPT_CALL, .name = "loglevel", .parse = parse_loglevel, .choices = log_level_names,
	  .help = "least important kind of message to print", .def = "warning" },
	OPT_END
};
/* clang-format on */

static int check_image(const struct selftest_options *o)
{
	const char *bad = NULL;

	if (o->image && !*o->image) {
		err("image: the name is empty");
		return -EINVAL;
	}
	if (o->image && o->exits) {
		err("image '%s': --exits measures with the built-in guest; leave one of them out",
		    o->image);
		return -EINVAL;
	}
	if (!o->image)
		bad = o->params ? "params" : o->format ? "kernel-format" : NULL;
	if (bad) {
		err("option '--%s' is for a test image, and none is named", bad);
		return -EINVAL;
	}
	return 0;
}

static int check_built_in(const struct selftest_options *o)
{
	u64 least = o->exits ? EXITS_MEMORY : IN_MEMORY;
	char size[32];

	if (o->image)
		return 0;
	if (o->cpus > BUILT_IN_CPUS) {
		err("-c %u: the built-in guest drives at most %u CPUs", o->cpus, BUILT_IN_CPUS);
		return -EINVAL;
	}
	if (o->memory && o->memory < least) {
		err("memory: the built-in guest needs at least %s",
		    format_size(least, size, sizeof(size)));
		return -EINVAL;
	}
	if (o->rounds && !o->exits) {
		err("option '--rounds' is for --exits");
		return -EINVAL;
	}
	if (o->rounds > BUILT_IN_ROUNDS) {
		err("option '--rounds': %u are too many; the most is %u", o->rounds,
		    BUILT_IN_ROUNDS);
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
		err("unexpected word '%s'; selftest takes one image at most",
		    words > 1 ? argv[1] : argv[rest]);
		return -EINVAL;
	}
	if (words)
		o->image = argv[0];
	ret = check_image(o);
	if (!ret)
		ret = check_built_in(o);
	return ret;
}

static int cmd_selftest_main(const struct command *cmd, int argc, char **argv)
{
	struct selftest_options o = { .cpus = 2, .timeout = 30 };
	struct selftest_report report;
	int status, sig = 0, ret;

	o.kvm_path = xstrdup("/dev/kvm");
	log_set_level(LOG_WARNING);
	ret = parse(cmd, argc, argv, &o);
	if (ret) {
		status = ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
		goto out;
	}
	/* A reader that goes away is an error of a write. */
	signal(SIGPIPE, SIG_IGN);
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
	free(o.kvm_path);
	free(o.params);
	return sig ? end_by_signal(sig) : status;
}

const struct command cmd_selftest = {
	.name = "selftest",
	.summary = "Test this host's KVM, and lkvm, with a built-in guest",
	.usage = "lkvm selftest [options] [image]",
	.description =
		"Starts a small guest that is part of lkvm, which checks the machine that it "
		"finds, reboots and powers off; prints TAP. With --exits it measures what "
		"leaving the guest costs. A flat, ELF or multiboot image is run instead of "
		"it when one is named.",
	.options = selftest_options,
	.run = cmd_selftest_main,
};
