/* SPDX-License-Identifier: MIT */
/* The options of `lkvm run`, named as kvmtool names them, and those whose argument is a list. */
#include <ctype.h>
#include <net/if.h>
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/*
 * Cut the next item off @list, which ends at a comma; a doubled comma stands for one. NULL at the
 * end of the list.
 */
static char *next_item(char **list)
{
	char *item = *list, *from = item, *to = item;

	if (!item)
		return NULL;
	while (*from && (*from != ',' || from[1] == ',')) {
		if (*from == ',')
			from++;
		*to++ = *from++;
	}
	*list = *from ? from + 1 : NULL;
	*to = '\0';
	return item;
}

static int unknown_item(const char *option, const char *item, const char *const *known)
{
	const char *near = nearest_word(item, known);

	if (near)
		err("option '--%s': unknown '%s'; did you mean '%s'?", option, item, near);
	else
		err("option '--%s': unknown '%s'; 'lkvm help run' says what it takes", option,
		    item);
	return -EINVAL;
}

static int parse_initrd(const struct option_spec *opt, const char *arg, void *target)
{
	config_add_initrd(target, arg);
	return 0;
}

static int parse_disk(const struct option_spec *opt, const char *arg, void *target)
{
	static const char *const known[] = { "ro", "rw", "direct", NULL };
	char *copy = xstrdup(arg), *list = copy;
	const char *path = next_item(&list), *item;
	struct disk_config *disk;
	int ret = 0;

	if (!strncmp(path, "scsi:", 5)) {
		err("option '--disk': %s: this build has no vhost-scsi; name a file or a block "
		    "device (a file of that name: ./%s)",
		    path, path);
		ret = -EINVAL;
		goto out;
	}
	disk = config_add_disk(target);
	disk->path = xstrdup(path);
	while ((item = next_item(&list))) {
		if (!strcmp(item, "ro")) {
			disk->readonly = true;
		} else if (!strcmp(item, "rw")) {
			disk->readonly = false;
		} else if (!strcmp(item, "direct")) {
			disk->direct = true;
		} else {
			ret = unknown_item(opt->name, item, known);
			goto out;
		}
	}
out:
	free(copy);
	return ret;
}

/* Six pairs of hexadecimal digits with colons between; of one station, not a group. */
static int parse_mac(const char *s, u8 mac[6])
{
	u8 any = 0;

	for (int i = 0; i < 6; i++, s += 3) {
		char digits[3] = { s[0], s[0] ? s[1] : '\0', '\0' };

		if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]) ||
		    s[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (u8)strtoul(digits, NULL, 16);
		any |= mac[i];
	}
	return !any || (mac[0] & 1) ? -EINVAL : 0;
}

/* IFNAMSIZ and the kernel's dev_valid_name(): no slash, colon or blank, not "." or "..". */
static bool valid_ifname(const char *s)
{
	size_t len = strlen(s);

	if (!len || len >= IFNAMSIZ || !strcmp(s, ".") || !strcmp(s, ".."))
		return false;
	for (; *s; s++) {
		if (*s == '/' || *s == ':' || isspace((unsigned char)*s))
			return false;
	}
	return true;
}

static int parse_net_mode(const char *value, bool *none)
{
	static const char *const known[] = { "tap", "none", NULL };

	if (!strcmp(value, "user")) {
		err("option '--network': this build has no user-mode network yet; "
		    "use mode=tap,tapif=NAME or mode=none");
		return -EINVAL;
	}
	*none = !strcmp(value, "none");
	return *none || !strcmp(value, "tap") ? 0 : unknown_item("network", value, known);
}

/* kvmtool's other words: what lkvm does not do is refused unless it asks for nothing. */
static int parse_net_other(const char *key, const char *value)
{
	static const struct {
		const char *key;
		const char *harmless; /* values that ask for nothing, each followed by a blank */
		const char *instead;
	} others[] = {
		{ "vhost", "0 ", "leave it out: the packets are moved by lkvm" },
		{ "mq", "0 1 ", "leave it out: a card has one pair of queues" },
		{ "script", "none ", "set the tap up before with ip(8)" },
		{ "downscript", "none ", "take the tap down after with ip(8)" },
		{ "host_ip", "", "give the tap its address with ip(8)" },
		{ "fd", "", "name an existing tap with tapif=" },
		{ "trans", "", "use --virtio-transport" },
	};
	static const char *const known[] = { "mode", "tapif", "guest_mac", NULL };
	char word[16];

	/* For kvmtool's user-mode network alone. */
	if (!strcmp(key, "host_mac") || !strcmp(key, "guest_ip")) {
		warn("option '--network': %s has no effect with mode=tap", key);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (strcmp(key, others[i].key))
			continue;
		if (strlen(value) < sizeof(word) - 1 && *value) {
			snprintf(word, sizeof(word), "%s ", value);
			if (strstr(others[i].harmless, word))
				return 0;
		}
		err("option '--network': %s=%s is not supported; %s", key, value,
		    others[i].instead);
		return -EINVAL;
	}
	return unknown_item("network", key, known);
}

static int parse_net_item(struct net_config *net, char *item, bool first, bool *none)
{
	char *value = strchr(item, '=');

	if (!value) {
		if (first)
			return parse_net_mode(item, none);
		err("option '--network': '%s' needs a value: %s=...", item, item);
		return -EINVAL;
	}
	*value++ = '\0';
	if (!strcmp(item, "mode"))
		return parse_net_mode(value, none);
	if (!strcmp(item, "tapif")) {
		if (!valid_ifname(value)) {
			err("option '--network': tapif: '%s' is no name for an interface (1 to %d "
			    "characters, no '/', ':' or blank)",
			    value, IFNAMSIZ - 1);
			return -EINVAL;
		}
		free(net->tapif);
		net->tapif = xstrdup(value);
		return 0;
	}
	if (!strcmp(item, "guest_mac")) {
		net->has_guest_mac = true;
		if (!parse_mac(value, net->guest_mac))
			return 0;
		err("option '--network': guest_mac: '%s' is no unicast address like "
		    "02:15:15:15:15:15",
		    value);
		return -EINVAL;
	}
	return parse_net_other(item, value);
}

static int parse_network(const struct option_spec *opt, const char *arg, void *target)
{
	struct net_config net = { .mode = NET_TAP };
	char *copy = xstrdup(arg), *list = copy, *item;
	bool first = true, none = false;
	int ret = 0;

	while (!ret && (item = next_item(&list))) {
		ret = parse_net_item(&net, item, first, &none);
		first = false;
	}
	/* mode=none asks for no card: there is nothing to note. */
	if (!ret && !none)
		*config_add_net(target) = net;
	else
		free(net.tapif);
	free(copy);
	return ret;
}

static int parse_loglevel(const struct option_spec *opt, const char *arg, void *target)
{
	enum log_level level;

	if (log_level_parse(arg, &level))
		return unknown_item(opt->name, arg, log_level_names);
	log_set_level(level);
	return 0;
}

static int parse_counter_offset(const struct option_spec *opt, const char *arg, void *target)
{
	struct vm_config *cfg = target;

	if (parse_u64(arg, &cfg->arm.counter_offset)) {
		err("option '--counter-offset': '%s' is no number of ticks", arg);
		return -EINVAL;
	}
	cfg->arm.has_counter_offset = true;
	return 0;
}

static int parse_nothing(const struct option_spec *opt, const char *arg, void *target)
{
	return 0;
}

static int parse_kaslr_seed(const struct option_spec *opt, const char *arg, void *target)
{
	struct vm_config *cfg = target;

	cfg->fdt.kaslr_random = !strcmp(arg, "random");
	if (cfg->fdt.kaslr_random || !parse_u64(arg, &cfg->fdt.kaslr_seed))
		return 0;
	err("option '--kaslr-seed': '%s' is neither a number nor 'random'", arg);
	return -EINVAL;
}

static int parse_firmware_address(const struct option_spec *opt, const char *arg, void *target)
{
	struct vm_config *cfg = target;

	if (!parse_u64(arg, &cfg->fdt.firmware_address))
		return 0;
	err("option '--firmware-address': '%s' is no address like 0x80000000", arg);
	return -EINVAL;
}

#define MEMBER(m) .offset = offsetof(struct vm_config, m)

/* clang-format off */
static const struct option_spec run_options[] = {
	{ .type = OPT_GROUP, .help = "Machine" },
	{ .type = OPT_STRING, .name = "name", .arg = "NAME", MEMBER(name),
	  .help = "name of the virtual machine", .def = "guest-PID" },
	{ .type = OPT_U32, .short_name = 'c', .name = "cpus", .arg = "N", MEMBER(cpus), .min = 1,
	  .help = "number of virtual CPUs", .def = "the host's online CPUs" },
	{ .type = OPT_SIZE, .short_name = 'm', .name = "mem", .arg = "SIZE", MEMBER(memory), .min = MiB,
	  .help = "memory, with a suffix of B, K, M, G, T or P; a bare number counts MiB",
	  .def = "64M for each CPU and 192M more, at most 80 % of the host's" },
	{ .type = OPT_STRING, .name = "hugetlbfs", .arg = "PATH", MEMBER(hugetlbfs),
	  .help = "take the memory from the hugetlbfs mounted at PATH" },
	{ .type = OPT_STRING, .name = "cpu", .arg = "host[,+FEATURE][,-FEATURE]...", MEMBER(arm.cpu),
	  .archs = OPT_ARCH_ARM64, .def = "host",
	  .help = "what the CPUs have: the host's, with features switched on or off" },
	{ .type = OPT_STRING, .name = "vcpu-affinity", .arg = "CPUS", MEMBER(vcpu_affinity),
	  .def = "wherever the host's scheduler puts them",
	  .help = "the host's CPUs that may run the vcpus, as 0-3,8" },
	{ .type = OPT_CHOICE, .name = "irqchip", MEMBER(x86.irqchip), .choices = irqchip_names_x86,
	  .archs = OPT_ARCH_X86, .def = "full for as many CPUs as it reaches, else split",
	  .help = "interrupt controllers: all in KVM, or the local APICs only" },
	{ .type = OPT_CHOICE, .name = "irqchip", MEMBER(arm.irqchip), .choices = arm_irqchip_names,
	  .archs = OPT_ARCH_ARM64, .def = "the first that the host has of gicv3-its, gicv3, gicv2m, gicv2",
	  .help = "interrupt controller" },
	{ .type = OPT_CHOICE, .name = "gicv4", MEMBER(arm.gicv4), .choices = auto_switch_names,
	  .archs = OPT_ARCH_ARM64, .def = "auto",
	  .help = "inject interrupts of passed-through devices directly (GICv4)" },
	{ .type = OPT_CHOICE, .name = "virtio-transport", MEMBER(transport),
	  .choices = virtio_transport_names, .def = "pci",
	  .help = "how virtio devices are attached" },
	{ .type = OPT_STRING, .name = "dev", .arg = "PATH", MEMBER(kvm_path),
	  .help = "the KVM device", .def = "/dev/kvm" },

	{ .type = OPT_GROUP, .help = "Guest" },
	{ .type = OPT_STRING, .short_name = 'k', .name = "kernel", .arg = "FILE", MEMBER(kernel),
	  .help = "kernel to boot; a bare word does the same",
	  .def = "searched for: bzImage here or in a kernel tree, then the running kernel's in /boot" },
	{ .type = OPT_CHOICE, .name = "kernel-format", MEMBER(x86.kernel_format),
	  .archs = OPT_ARCH_X86, .choices = kernel_format_names_x86, .def = "auto",
	  .help = "how the kernel is loaded and entered" },
	{ .type = OPT_CHOICE, .name = "kernel-format", MEMBER(fdt.kernel_format),
	  .archs = OPT_ARCH_ARM64, .choices = kernel_format_names_image, .def = "auto",
	  .help = "how the kernel is loaded and entered" },
	{ .type = OPT_CALL, .short_name = 'i', .name = "initrd", .arg = "FILE", .parse = parse_initrd,
	  .help = "initial RAM disk; several are put one behind the other" },
	{ .type = OPT_STRING, .short_name = 'p', .name = "params", .arg = "WORDS", MEMBER(params),
	  .help = "words for the kernel's command line" },
	{ .type = OPT_STRING, .short_name = 'f', .name = "firmware", .arg = "FILE", MEMBER(firmware),
	  .help = "start this firmware instead of a kernel" },
	{ .type = OPT_FLAG, .name = "nodefaults", MEMBER(nodefaults),
	  .help = "add nothing to the kernel's command line" },
	{ .type = OPT_FLAG, .name = "no-reboot", MEMBER(no_reboot),
	  .help = "end when the guest asks for a reboot" },
	{ .type = OPT_CALL, .name = "firmware-address", .arg = "ADDRESS", .parse = parse_firmware_address,
	  .archs = OPT_ARCH_ARM64, .def = "the beginning of memory",
	  .help = "where the firmware is loaded and entered" },
	{ .type = OPT_STRING, .short_name = 'F', .name = "flash", .arg = "FILE", MEMBER(fdt.flash),
	  .archs = OPT_ARCH_ARM64, .help = "flash memory with the contents of FILE, which it writes to" },
	{ .type = OPT_STRING, .name = "dump-dtb", .arg = "FILE", MEMBER(fdt.dump_dtb),
	  .archs = OPT_ARCH_ARM64, .help = "write the guest's device tree to FILE and end" },
	{ .type = OPT_CALL, .name = "kaslr-seed", .arg = "SEED|random", .parse = parse_kaslr_seed,
	  .archs = OPT_ARCH_ARM64,
	  .help = "give the kernel a number to choose its own address by" },
	{ .type = OPT_FLAG, .name = "rng-seed", MEMBER(fdt.rng_seed), .archs = OPT_ARCH_ARM64,
	  .help = "give the kernel random numbers to start its generator with" },

	{ .type = OPT_GROUP, .help = "Devices" },
	{ .type = OPT_CALL, .short_name = 'd', .name = "disk", .arg = "FILE[,ro][,direct]",
	  .parse = parse_disk,
	  .help = "disk: a raw image or a block device; ro: read-only, direct: past the host's page "
		  "cache; \",,\" stands for a comma in FILE; may be repeated" },
	{ .type = OPT_CALL, .short_name = 'n', .name = "network",
	  .arg = "mode=tap|none[,tapif=NAME][,guest_mac=MAC]", .parse = parse_network,
	  .help = "network card on a tap interface of the host; may be repeated", .def = "none" },
	{ .type = OPT_FLAG, .name = "rng", MEMBER(rng),
	  .help = "give the guest random numbers from the host" },
	{ .type = OPT_CHOICE, .name = "console", MEMBER(console), .choices = console_kind_names,
	  .help = "device behind the terminal", .def = "serial" },

	{ .type = OPT_GROUP, .help = "Arm", .archs = OPT_ARCH_ARM64 },
	{ .type = OPT_FLAG, .name = "protected", MEMBER(protected), .archs = OPT_ARCH_ARM64,
	  .help = "keep the guest's memory from the host, but for what the guest shares (pKVM)" },
	{ .type = OPT_FLAG, .name = "nested", MEMBER(arm.nested), .archs = OPT_ARCH_ARM64,
	  .help = "start the guest at EL2: it can be a hypervisor itself" },
	{ .type = OPT_FLAG, .name = "e2h0", MEMBER(arm.e2h0), .archs = OPT_ARCH_ARM64,
	  .help = "with --nested: CPUs without the virtualization host extensions (E2H is 0)" },
	{ .type = OPT_FLAG, .name = "aarch32", MEMBER(arm.aarch32), .archs = OPT_ARCH_ARM64,
	  .help = "start the guest's kernel in AArch32 state" },
	{ .type = OPT_FLAG, .name = "pmu", MEMBER(arm.pmu), .archs = OPT_ARCH_ARM64,
	  .help = "give the CPUs performance counters" },
	{ .type = OPT_U32, .name = "sve-max-vl", .arg = "BITS", MEMBER(arm.sve_max_vl), .min = 128,
	  .archs = OPT_ARCH_ARM64, .def = "the host's longest",
	  .help = "longest SVE vector, a multiple of 128" },
	{ .type = OPT_FLAG, .name = "disable-mte", MEMBER(arm.disable_mte), .archs = OPT_ARCH_ARM64,
	  .help = "no memory tagging" },
	{ .type = OPT_FLAG, .name = "no-pvtime", MEMBER(arm.no_pvtime), .archs = OPT_ARCH_ARM64,
	  .help = "do not tell the guest how much time the host took from it" },
	{ .type = OPT_CHOICE, .name = "psci", MEMBER(arm.psci), .choices = psci_kind_names,
	  .archs = OPT_ARCH_ARM64, .def = "kernel",
	  .help = "who answers the guest's power calls: the host's kernel, or lkvm" },
	{ .type = OPT_CALL, .name = "counter-offset", .arg = "TICKS", .parse = parse_counter_offset,
	  .archs = OPT_ARCH_ARM64,
	  .help = "how far the guest's counters are behind the host's" },
	{ .type = OPT_U32, .name = "override-bad-firmware-cntfrq", .arg = "HZ", MEMBER(arm.cntfrq), .min = 1,
	  .archs = OPT_ARCH_ARM64,
	  .help = "frequency of the counters, on hosts whose firmware tells a wrong one" },

	{ .type = OPT_CALL, .name = "force-pci", .parse = parse_nothing, .archs = OPT_ARCH_ARM64,
	  .help = "virtio on PCI, as it is anyway", .hidden = true },

	{ .type = OPT_GROUP, .help = "Diagnosis" },
	{ .type = OPT_FLAG, .name = "dry-run", MEMBER(dry_run),
	  .help = "print the checked configuration and end" },
	{ .type = OPT_CALL, .name = "loglevel", .parse = parse_loglevel, .choices = log_level_names,
	  .help = "least important kind of message to print", .def = "info" },
	OPT_END
};
/* clang-format on */

const struct command cmd_run = {
	.name = "run",
	.summary = "Start a virtual machine",
	.usage = "lkvm run [options] [kernel]",
	.description = "Boots a kernel in a new virtual machine, with its console on the terminal. "
		       "Ctrl-A x leaves it, Ctrl-A h lists the other keys.",
	.options = run_options,
	.run = cmd_run_main,
};

int run_options_parse(const struct command *cmd, int argc, char **argv, struct vm_config *cfg)
{
	int words, rest, ret;

	ret = options_parse(cmd, argc, argv, cfg, &words, &rest);
	if (ret)
		return ret;
	if (rest < argc) {
		err("'%s' behind '--': run starts no program in the guest; kernel parameters go "
		    "to --params",
		    argv[rest]);
		return -EINVAL;
	}
	if (words && cfg->kernel) {
		err("'%s' is one kernel too many: '%s' is named already (kernel parameters go to "
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
	return 0;
}
