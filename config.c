/* SPDX-License-Identifier: MIT */
/*
 * The configuration of one VM: its defaults (memory, vcpus, kernel and command line as kvmtool
 * chooses them), its validation, and how it is printed.
 */
#include "lkvm/config.h"

#include <ctype.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/arch.h"
#include "lkvm/cgroup.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define NAME_LEN_MAX 64
/* No processor that KVM runs on has more than 52 bits of physical address. */
#define MEMORY_MAX (1ULL << 52)
/* Of --dump-boot and --dump-dtb, which are the same on every host; docs/dump-boot.md names them. */
#define DESCRIBED_CPUS	 1
#define DESCRIBED_MEMORY (256 * MiB)
#define DESCRIBED_PAGE	 (4 * KiB)

void config_init(struct vm_config *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->kvm_path = xstrdup("/dev/kvm");
}

void config_destroy(struct vm_config *cfg)
{
	options_destroy(&config_set, cfg);
	config_root_destroy(cfg);
	free(cfg->cmdline); /* made of several options */
	memset(cfg, 0, sizeof(*cfg));
}

void config_copy(struct vm_config *to, const struct vm_config *from)
{
	options_copy(&config_set, from, to);
}

/* The name becomes part of file names: letters, digits and . _ - , no leading dot or dash. */
static int check_name(const struct vm_config *cfg)
{
	const char *s = cfg->name;
	size_t len = s ? strlen(s) : 0;
	bool ok = !s || (len && len <= NAME_LEN_MAX && *s != '.' && *s != '-');

	for (; s && ok && *s; s++)
		ok = isalnum((unsigned char)*s) || *s == '.' || *s == '_' || *s == '-';
	if (ok)
		return 0;
	err("--name %s: must be 1 to %d letters, digits, '.', '_' or '-', and must not begin with "
	    "'.' or '-'",
	    cfg->name, NAME_LEN_MAX);
	return -EINVAL;
}

static int check_firmware(const struct vm_config *cfg)
{
	if (!cfg->firmware || (cfg->kernel && arch_firmware_takes_kernel(cfg)))
		return 0;
	/* Firmware of a trust domain may start it (td-shim). */
	if (cfg->x86.tdx.on)
		return 0;
	if (cfg->kernel) {
		err("--firmware %s and --kernel %s: only one of them can be started; omit the "
		    "other",
		    cfg->firmware, cfg->kernel);
		return -EINVAL;
	}
	if (options_given(&config_set, cfg, "kernel-format")) {
		err("--kernel-format: --firmware %s is started instead of a kernel; omit one of "
		    "them",
		    cfg->firmware);
		return -EINVAL;
	}
	if ((cfg->nr_initrds || cfg->params) && !arch_platform.firmware_args) {
		err("--firmware %s: cannot be told %s on %s: that is for a kernel; omit one of "
		    "them",
		    cfg->firmware, cfg->nr_initrds ? "--initrd" : "--params", arch_platform.name);
		return -EINVAL;
	}
	return 0;
}

static u64 host_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (u64)pages * (u64)size : 0;
}

/* Is nothing started? Then nothing of the host counts. */
static bool is_described(const struct vm_config *cfg)
{
	return cfg->dump_boot || cfg->fdt.dump_dtb || cfg->measured;
}

static void complete_described(struct vm_config *cfg)
{
	char size[32];

	if (!is_described(cfg) || (cfg->cpus && cfg->memory))
		return;
	if (!cfg->cpus)
		cfg->cpus = DESCRIBED_CPUS;
	if (!cfg->memory)
		cfg->memory = DESCRIBED_MEMORY;
	info("the description is of a machine with -c %u -m %s; give both for another", cfg->cpus,
	     format_size(cfg->memory, size, sizeof(size)));
}

static int check_described(const struct vm_config *cfg)
{
	const char *what = cfg->fdt.rng_seed ? "--rng-seed" : "--kaslr-seed random";

	if ((!cfg->dump_boot && !cfg->measured) || (!cfg->fdt.rng_seed && !cfg->fdt.kaslr_random))
		return 0;
	err("%s and %s cannot be combined: what is random differs each time; omit %s",
	    cfg->measured ? "measure" : "--dump-boot", what, what);
	return -EINVAL;
}

/* The CPUs that the scheduler may put us on: of those online, affinity and cpuset. */
static u32 allowed_cpus(void)
{
	/* The kernel refuses a set that is smaller than its own (sched_getaffinity(2)). */
	for (size_t n = CPU_SETSIZE; n <= 1024 * 1024; n *= 2) {
		cpu_set_t *set = CPU_ALLOC(n);
		size_t size = CPU_ALLOC_SIZE(n);
		int ret = set ? sched_getaffinity(0, size, set) : -1;
		int count = ret ? 0 : CPU_COUNT_S(size, set);
		bool small = set && ret && errno == EINVAL;

		CPU_FREE(set);
		if (!small)
			return count > 0 ? (u32)count : 1;
	}
	return 1;
}

static void complete_cpus(struct vm_config *cfg, const struct cgroup_limits *limits)
{
	if (cfg->cpus)
		return;
	cfg->cpus = allowed_cpus();
	if (limits->cpus && limits->cpus < cfg->cpus)
		cfg->cpus = limits->cpus;
}

/* Which of them the host has, only pthread_setaffinity_np knows. */
static int check_affinity(const struct vm_config *cfg)
{
	cpu_set_t cpus;

	if (!cfg->vcpu_affinity || !parse_cpu_list(cfg->vcpu_affinity, &cpus))
		return 0;
	err("--vcpu-affinity %s: is not a list of CPUs like 0-3,8", cfg->vcpu_affinity);
	return -EINVAL;
}

/* Huge pages are not charged to it. */
static void check_memory_limit(const struct vm_config *cfg, const struct cgroup_limits *limits)
{
	char size[32], limit[32];

	if (cfg->hugetlbfs || !limits->memory || cfg->memory <= limits->memory)
		return;
	warn("--mem %s: is more than the %s that this control group may use (%s); when the guest "
	     "uses them, lkvm is slowed down or killed",
	     format_size(cfg->memory, size, sizeof(size)),
	     format_size(limits->memory, limit, sizeof(limit)), limits->memory_file);
}

static int complete_memory(struct vm_config *cfg, const struct cgroup_limits *limits)
{
	u64 page = is_described(cfg) ? DESCRIBED_PAGE : (u64)sysconf(_SC_PAGESIZE);
	u64 host = is_described(cfg) ? 0 : host_memory();
	char a[32], b[32];

	if (!cfg->memory) {
		u64 room = limits->memory && limits->memory < host ? limits->memory : host;

		cfg->memory = 64 * MiB * ((u64)cfg->cpus + 3);
		if (room && cfg->memory > room / 5 * 4)
			cfg->memory = MAX(ALIGN_DOWN(room / 5 * 4, MiB), MiB);
	}
	if (cfg->memory < MiB) {
		err("--mem %s: is too small; the minimum is 1M",
		    format_size(cfg->memory, a, sizeof(a)));
		return -EINVAL;
	}
	if (cfg->memory > MEMORY_MAX) {
		err("--mem %s: is more than any host can address; the maximum is %s",
		    format_size(cfg->memory, a, sizeof(a)), format_size(MEMORY_MAX, b, sizeof(b)));
		return -EINVAL;
	}
	if (!IS_ALIGNED(cfg->memory, page)) {
		u64 rounded = ALIGN_UP(cfg->memory, page);

		info("--mem %s: rounded up to whole pages: %s",
		     format_size(cfg->memory, a, sizeof(a)), format_size(rounded, b, sizeof(b)));
		cfg->memory = rounded;
	}
	if (host && cfg->memory > host)
		warn("--mem %s: is more than the host's %lluM; when the guest uses them, lkvm is "
		     "slowed down or killed",
		     format_size(cfg->memory, a, sizeof(a)), host / MiB);
	else
		check_memory_limit(cfg, limits);
	return 0;
}

/* The same file or block device under two names. */
static bool same_disk(const struct disk_config *a, const struct disk_config *b)
{
	struct stat sa, sb;

	if (!strcmp(a->path, b->path))
		return true;
	if (stat(a->path, &sa) || stat(b->path, &sb))
		return false; /* disk_open says what is wrong */
	if (S_ISBLK(sa.st_mode) && S_ISBLK(sb.st_mode))
		return sa.st_rdev == sb.st_rdev;
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static int check_disks(const struct vm_config *cfg)
{
	for (u32 i = 0; i < cfg->nr_disks; i++) {
		for (u32 j = 0; j < i; j++) {
			const struct disk_config *a = &cfg->disks[j], *b = &cfg->disks[i];

			if ((a->readonly && b->readonly) || !same_disk(a, b))
				continue;
			err("--disk %s: is given twice (also as %s), and not read-only both times; "
			    "add ',ro' to both or omit one",
			    b->path, a->path);
			return -EINVAL;
		}
	}
	return 0;
}

const char *config_shares_memory(const struct vm_config *cfg)
{
	for (u32 i = 0; i < cfg->nr_disks; i++)
		if (cfg->disks[i].vhost_user)
			return "--disk vhost-user=";
	for (u32 i = 0; i < cfg->nr_nets; i++)
		if (cfg->nets[i].mode == NET_VHOST_USER)
			return "--network mode=vhost-user";
	return cfg->nr_virtiofs ? "--virtiofs" : NULL;
}

const char *config_uses_vhost(const struct vm_config *cfg)
{
	for (u32 i = 0; i < cfg->nr_nets; i++)
		if (cfg->nets[i].vhost)
			return "--network vhost=1";
	if (cfg->vsock.cid && !cfg->vsock.path)
		return "--vsock without socket=";
	return config_shares_memory(cfg);
}

static int check_nets(const struct vm_config *cfg)
{
	for (u32 i = 0; i < cfg->nr_nets; i++) {
		for (u32 j = 0; j < i; j++) {
			const struct net_config *a = &cfg->nets[j], *b = &cfg->nets[i];

			if (a->tapif && b->tapif && !strcmp(a->tapif, b->tapif)) {
				err("--network tapif=%s: is given twice; each card needs its own",
				    a->tapif);
				return -EINVAL;
			}
			if (a->has_guest_mac && b->has_guest_mac &&
			    !memcmp(a->guest_mac, b->guest_mac, sizeof(a->guest_mac))) {
				err("--network: two cards have the same guest_mac; each needs its "
				    "own");
				return -EINVAL;
			}
		}
	}
	return 0;
}

static int check_ports(const struct vm_config *cfg)
{
	for (u32 i = 0; i < cfg->nr_ports; i++) {
		for (u32 j = 0; j < i; j++) {
			if (strcmp(cfg->ports[i].name, cfg->ports[j].name))
				continue;
			err("--port %s: is given twice; each port needs its own name",
			    cfg->ports[i].name);
			return -EINVAL;
		}
	}
	return 0;
}

static int check_shares(const struct vm_config *cfg)
{
	for (u32 i = 0; i < cfg->nr_shares; i++) {
		for (u32 j = 0; j < i; j++) {
			if (strcmp(cfg->shares[i].tag, cfg->shares[j].tag))
				continue;
			err("--9p %s,%s: the tag is given twice (also to %s); each share needs its "
			    "own",
			    cfg->shares[i].path, cfg->shares[i].tag, cfg->shares[j].path);
			return -EINVAL;
		}
	}
	return 0;
}

/* Options that say more about what another one asks for. */
static int check_needs(const struct vm_config *cfg)
{
	static const struct {
		const char *option, *needs, *why;
	} needs[] = {
		{ "firmware-address", "firmware", "there is no firmware; add -f FILE" },
		{ "balloon-size", "balloon", "there is no balloon; add --balloon" },
		{ "gdb-wait", "gdb", "there is nothing to wait for; add --gdb PORT" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if (!options_given(&config_set, cfg, needs[i].option) ||
		    options_given(&config_set, cfg, needs[i].needs))
			continue;
		err("--%s: %s, or omit it", needs[i].option, needs[i].why);
		return -EINVAL;
	}
	return 0;
}

static int check_balloon(const struct vm_config *cfg)
{
	char size[32], memory[32];

	if (!cfg->balloon_size || cfg->balloon_size < cfg->memory)
		return 0;
	err("--balloon-size %s: must be less than the guest's memory, %s",
	    format_size(cfg->balloon_size, size, sizeof(size)),
	    format_size(cfg->memory, memory, sizeof(memory)));
	return -EINVAL;
}

u64 config_virtio_devices(const struct vm_config *cfg)
{
	return (u64)cfg->nr_disks + cfg->nr_nets + cfg->nr_shares + cfg->nr_virtiofs +
	       cfg->nr_pmems + cfg->rng + cfg->balloon + (cfg->vsock.cid ? 1 : 0) +
	       (cfg->console == CONSOLE_VIRTIO || cfg->nr_ports || cfg->root.linked);
}

static int check_virtio_mmio(const struct vm_config *cfg)
{
	u64 nr = config_virtio_devices(cfg);

	if (transport_is_pci(cfg->transport) || nr <= arch_platform.virtio_mmio_max)
		return 0;
	err("--virtio-transport %s: has a maximum of %u devices, but %llu are configured; use "
	    "%s",
	    virtio_transport_names[cfg->transport], arch_platform.virtio_mmio_max, nr,
	    cfg->transport == TRANSPORT_MMIO ? "pci" : "pci-legacy");
	return -EINVAL;
}

/* A pattern of the architecture's list with %r made the running kernel's release. */
static char *expand_kernel(const char *pattern, const char *release)
{
	const char *r = strstr(pattern, "%r");

	if (!r)
		return xstrdup(pattern);
	return xasprintf("%.*s%s%s", (int)(r - pattern), pattern, release, r + 2);
}

/* Ubuntu's are for root alone. */
static void say_unreadable(const char *path)
{
	char why[ACCESS_WHY_LEN];

	err("no kernel: %s was found, but cannot be read: %s; or name another with -k FILE", path,
	    access_why("", NULL, path, R_OK, -EACCES, why, sizeof(why)));
}

static int find_kernel(struct vm_config *cfg)
{
	char *looked = xstrdup(""), *unreadable = NULL;
	struct utsname uts;

	if (uname(&uts))
		snprintf(uts.release, sizeof(uts.release), "unknown");
	for (const char *const *p = arch_platform.kernel_search; *p && !cfg->kernel; p++) {
		char *path = expand_kernel(*p, uts.release);
		struct stat st;
		bool there = !stat(path, &st) && S_ISREG(st.st_mode);

		if (there && !access(path, R_OK)) {
			cfg->kernel = path;
			break;
		}
		xappendf(&looked, "%s%s", *looked ? ", " : "", path);
		if (there && !unreadable)
			unreadable = path;
		else
			free(path);
	}
	if (cfg->kernel)
		info("kernel: found %s; -k FILE names another", cfg->kernel);
	else if (unreadable)
		say_unreadable(unreadable);
	else
		err("no kernel: none is named and none was found (%s); name one with -k FILE "
		    "('lkvm selftest' needs none)",
		    looked);
	free(looked);
	free(unreadable);
	return cfg->kernel ? 0 : -ENOENT;
}

/*
 * The words that Linux gets; whether the kernel is one is known when it is open (boot_cmdline).
 * Defaults go before the user's: the last of two wins, and "--" may stand among the latter.
 */
static void make_cmdline(struct vm_config *cfg)
{
	const char *params = cfg->params ? cfg->params : "";
	const char *console = "", *root = "";
	char added[128];

	free(cfg->cmdline);
	cfg->cmdline = NULL;
	if (!cfg->nodefaults && cfg->kernel && arch_boots_linux(cfg, NULL)) {
		if (!config_find_param(cfg, "console="))
			console = cfg->console == CONSOLE_VIRTIO ? "hvc0"
								 : arch_platform.default_console;
		if (cfg->nr_disks && !cfg->nr_initrds && !config_root_asked(cfg) &&
		    !config_find_param(cfg, "root="))
			root = cfg->disks[0].readonly ? "root=/dev/vda ro" : "root=/dev/vda rw";
	}
	snprintf(added, sizeof(added), "%s%s%s%s", *console ? "console=" : "", console,
		 *console && *root ? " " : "", root);
	cfg->cmdline = xasprintf("%s%s%s", added, *added && *params ? " " : "", params);
}

void config_tell_added(const struct vm_config *cfg)
{
	size_t added = strlen(cfg->cmdline) - strlen(cfg->params ? cfg->params : "");

	if (added && cfg->cmdline[added - 1] == ' ')
		added--;
	if (added)
		info("kernel parameters: added '%.*s'; --nodefaults adds none", (int)added,
		     cfg->cmdline);
}

int config_complete(struct vm_config *cfg)
{
	struct cgroup_limits limits = { 0 };
	int ret = check_name(cfg);

	/* The limit of memory is what --mem is compared with, too. */
	if (!is_described(cfg))
		cgroup_read("", (cfg->cpus ? 0 : CGROUP_CPUS) | CGROUP_MEMORY, &limits);
	if (!ret)
		ret = options_check(&config_set, cfg);
	if (!ret)
		ret = check_needs(cfg);
	if (!ret)
		ret = check_firmware(cfg);
	if (!ret)
		ret = config_root_complete(cfg);
	if (!ret)
		ret = config_check_confidential(cfg);
	if (!ret)
		ret = config_check_measured(cfg);
	if (!ret)
		ret = check_described(cfg);
	if (!ret)
		complete_described(cfg);
	complete_cpus(cfg, &limits);
	if (!ret)
		ret = check_affinity(cfg);
	if (!ret)
		ret = complete_memory(cfg, &limits);
	if (!ret)
		ret = check_disks(cfg);
	if (!ret)
		ret = check_nets(cfg);
	if (!ret)
		ret = config_check_virtiofs(cfg);
	if (!ret)
		ret = config_check_vfio(cfg);
	if (!ret)
		ret = check_ports(cfg);
	if (!ret)
		ret = check_shares(cfg);
	if (!ret)
		ret = check_balloon(cfg);
	if (!ret)
		ret = check_virtio_mmio(cfg);
	if (!ret && !cfg->kernel && !cfg->firmware)
		ret = find_kernel(cfg);
	if (ret)
		return ret;
	make_cmdline(cfg);
	return arch_config_complete(cfg);
}

void config_print(const struct vm_config *cfg, FILE *out)
{
	config_tell_added(cfg);
	options_print(&config_set, cfg, out);
	fprintf(out, "cmdline: %s\n", cfg->cmdline);
}

void config_save(const struct vm_config *cfg, FILE *out)
{
	fprintf(out, "# lkvm run --config reads this file.\n");
	options_save(&config_set, cfg, out);
}
