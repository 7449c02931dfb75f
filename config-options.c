/* SPDX-License-Identifier: MIT */
/* The options that fill a struct vm_config on every architecture, named as kvmtool names them. */
#include "lkvm/arch.h"
#include "lkvm/config.h"

#define MEMBER(m) .offset = offsetof(struct vm_config, m)

static const char *const console_kind_names[] = { "serial", "virtio", NULL };
static const char *const halt_names[] = { "wait", "end", NULL };
static const char *const debug_exit_names[] = { "on", "off", NULL };
const char *const virtio_transport_names[] = { "pci", "mmio", "pci-legacy", "mmio-legacy", NULL };

/* kvmtool's older word for it. */
static int virtio_legacy_parse(const char *shown, const char *arg, void *target)
{
	struct vm_config *cfg = target;

	cfg->transport =
		transport_is_pci(cfg->transport) ? TRANSPORT_PCI_LEGACY : TRANSPORT_MMIO_LEGACY;
	return 0;
}

/* clang-format off */
const struct option_spec config_options[] = {
	{ .type = OPT_GROUP, .help = "Machine" },
	{ .type = OPT_STRING, .name = "name", .arg = "NAME", MEMBER(name),
	  .help = "name of the virtual machine", .def = "guest-PID", .unset = "guest-PID" },
	{ .type = OPT_U32, .short_name = 'c', .name = "cpus", .arg = "N", MEMBER(cpus), .min = 1,
	  .flags = OPT_SELFTEST,
	  .help = "number of virtual CPUs", .def = "as many as lkvm may use of the host's" },
	{ .type = OPT_SIZE, .short_name = 'm', .name = "mem", .arg = "SIZE", MEMBER(memory), .min = MiB,
	  .address = &arch_platform.ram_base, .flags = OPT_SELFTEST,
	  .help = "memory, with a suffix of B, K, M, G, T or P; a bare number counts MiB",
	  .def = "64M for each CPU and 192M more, at most 80 % of the host's or the control group's" },
	{ .type = OPT_STRING, .name = "hugetlbfs", .arg = "PATH", MEMBER(hugetlbfs), .flags = OPT_PATH,
	  .help = "take the memory from the hugetlbfs mounted at PATH" },
	{ .type = OPT_STRING, .name = "vcpu-affinity", .arg = "CPUS", MEMBER(vcpu_affinity),
	  .def = "wherever the host's scheduler puts them",
	  .help = "the host's CPUs that may run the vcpus, as 0-3,8" },
	{ .type = OPT_TYPED, .name = "halt-poll", .arg = "NS", .hooks = &halt_poll_hooks,
	  .flags = OPT_SELFTEST, .def = "the host's (the module parameter kvm.halt_poll_ns)", .unset = "the host's",
	  .help = "for how many nanoseconds at most KVM waits on the CPU for an interrupt before the thread of an idle vcpu sleeps; 0: not at all" },
	{ .type = OPT_CHOICE, .name = "virtio-transport", MEMBER(transport),
	  .choices = virtio_transport_names, .def = "pci",
	  .help = "how virtio devices are attached; pci-legacy and mmio-legacy are for guests whose drivers are from before virtio 1.0" },
	{ .type = OPT_CALL, .name = "virtio-legacy", .flags = OPT_HIDDEN, .parse = virtio_legacy_parse,
	  .help = "the same as --virtio-transport pci-legacy" },
	{ .type = OPT_FLAG, .name = "no-virtio-packed", MEMBER(no_virtio_packed),
	  .help = "offer split rings alone, for a guest whose packed ones do not work" },
	{ .type = OPT_FLAG, .name = "virtio-in-order", MEMBER(virtio_in_order),
	  .help = "offer replies in the order of requests by each virtio device, where a slow request "
		  "holds up others too" },
	{ .type = OPT_FLAG, .name = "virtio-notification-data", MEMBER(virtio_notification_data),
	  .help = "offer notifications that say where the ring stands; with mmio and several "
		  "queues each costs an exit" },
	{ .type = OPT_STRING, .name = "dev", .arg = "PATH", MEMBER(kvm_path),
	  .flags = OPT_PATH | OPT_SELFTEST,
	  .help = "the KVM device", .def = "/dev/kvm" },

	{ .type = OPT_GROUP, .help = "Guest" },
	{ .type = OPT_STRING, .short_name = 'k', .name = "kernel", .arg = "FILE", MEMBER(kernel),
	  .flags = OPT_PATH,
	  .help = "kernel to boot; --kernel may be omitted",
	  .def = "found here or in a kernel tree, else the running kernel's in /boot" },
	{ .type = OPT_TYPED, .short_name = 'i', .name = "initrd", .arg = "FILE", .hooks = &initrd_hooks,
	  .flags = OPT_PATH | OPT_REPEATABLE,
	  .help = "initial RAM disk; several are joined in this order, but for multiboot and PVH, where "
		  "each may be a module with words after the file's name" },
	{ .type = OPT_STRING, .short_name = 'p', .name = "params", .arg = "WORDS", MEMBER(params),
	  .flags = OPT_SELFTEST | OPT_JOIN,
	  .help = "parameters for the kernel's command line" },
	{ .type = OPT_STRING, .short_name = 'f', .name = "firmware", .arg = "FILE", MEMBER(firmware),
	  .flags = OPT_PATH,
	  .help = "start this firmware instead of a kernel" },
	{ .type = OPT_FLAG, .name = "nodefaults", MEMBER(nodefaults),
	  .help = "add nothing to the kernel's command line" },
	{ .type = OPT_FLAG, .name = "no-reboot", MEMBER(no_reboot),
	  .help = "exit when the guest asks for a reboot" },
	{ .type = OPT_CHOICE, .name = "halt", MEMBER(halt), .choices = halt_names, .def = "wait",
	  .help = "when every vcpu has halted with its interrupts off: say so and wait, or exit" },
	{ .type = OPT_STRING, .name = "dump-boot", .arg = "DIR", MEMBER(dump_boot),
	  .flags = OPT_PATH | OPT_ONCE,
	  .help = "write what would be placed in guest memory to DIR and exit" },

	{ .type = OPT_GROUP, .help = "Devices" },
	{ .type = OPT_TYPED, .short_name = 'd', .name = "disk", .arg = "FILE|DIR[,ro][,direct][,WORD=VALUE...]",
	  .hooks = &disk_hooks, .flags = OPT_PATH | OPT_REPEATABLE,
	  .help = "disk: a raw or qcow2 image or a block device; or a directory, or the name given to 'lkvm setup': the root of a Linux guest, which writes to it unless it is ro; ro: read-only, direct: bypass the host's page cache, format=raw|qcow2: else it is what it looks like, and only an image that is said to be qcow2 opens the backing file that it names; aio=io_uring|threads: how requests go to the host; cache=writeback|writethrough: who keeps written data safe; queues=N; block-size=512|4096; serial=NAME; rate=SIZE[:BURST], ops=N[:BURST]: limits of bytes and requests a second; \",,\" stands for a comma in FILE; vhost-user=SOCKET[,ro][,queues=N]: a disk that another program serves" },
	{ .type = OPT_FLAG, .name = "rw", MEMBER(root.rw),
	  .help = "a guest whose root is this host's writes to it; else what it writes is in memory, and gone when it ends" },
	{ .type = OPT_STRING, .name = "modules", .arg = "DIR", MEMBER(root.modules), .flags = OPT_PATH,
	  .help = "where the kernel's modules are, if its root is a directory: that with modules.dep, or what 'make modules_install' filled",
	  .def = "beside the kernel or in /lib/modules" },
	{ .type = OPT_TYPED, .name = "pmem", .arg = "FILE[,ro][,size=SIZE]", .hooks = &pmem_hooks,
	  .flags = OPT_PATH | OPT_REPEATABLE,
	  .help = "the guest has the file, or block device, as persistent memory (/dev/pmem0), of whole 2M; ro: it cannot write; size=: it sees only the beginning; \",,\" stands for a comma in FILE" },
	{ .type = OPT_TYPED, .short_name = 'n', .name = "network",
	  .arg = "mode=tap|macvtap|user|none[,tapif=NAME][,WORD=VALUE...]",
	  .hooks = &network_hooks, .flags = OPT_REPEATABLE,
	  .help = "network card on a tap or macvtap of the host; user: without privileges, by passt(1), where forward=tcp:PORT:PORT (udp:...) gives a port of the host to the guest; fd=N[:N...]: on taps that are open already; queues=N: pairs of queues (1); vhost=1: the host's kernel moves the packets (/dev/vhost-net); mode=vhost-user,socket=PATH: another program does; mtu=N: that the guest is told (the interface's); guest_mac=MAC; host_ip=IP[/N]: address to give to the tap; rx-rate, tx-rate=SIZE[:BURST], rx-ops, tx-ops=N[:BURST]: limits of bytes and packets per second; script=FILE, downscript=FILE: run with the tap's name at the start and at the end",
	  .def = "none" },
	{ .type = OPT_TYPED, .name = "9p", .arg = "DIR,TAG[,ro]", .hooks = &share_hooks,
	  .flags = OPT_PATH | OPT_REPEATABLE,
	  .help = "share the directory DIR: the guest mounts TAG by 9P; ro: read-only; \",,\" stands for a comma in DIR" },
	{ .type = OPT_TYPED, .name = "virtiofs", .arg = "DIR,TAG[,ro][,cache=auto|always|never|metadata]",
	  .hooks = &virtiofs_hooks, .flags = OPT_PATH | OPT_REPEATABLE,
	  .help = "share a directory: the guest mounts TAG as virtiofs; virtiofsd is started for it, and ends with lkvm. socket=PATH,tag=TAG: one that runs already" },
	{ .type = OPT_TYPED, .name = "vfio", .arg = "DEVICE[,iommufd=auto|on|off][,WORD=VALUE...]",
	  .hooks = &vfio_hooks, .flags = OPT_REPEATABLE,
	  .help = "the host's device is the guest's: [DOMAIN:]BB:DD.F, a path in sysfs or an mdev's UUID; mdev=PARENT/TYPE: an mdev that is made for it; iommufd=on: by iommufd, off: by VFIO's groups (auto: by iommufd where the host has it); rom=FILE: its option ROM, off: none (its own); pasid=on: the guest may use PASIDs, pasid-offset=OFFSET: where in config space; state-in=FILE, state-out=FILE: the device's state at the start, and at the end; \",,\" stands for a comma in a FILE" },
	{ .type = OPT_CALL, .name = "vfio-pci", .arg = "DEVICE", .parse = config_add_vfio,
	  .flags = OPT_HIDDEN, .help = "kvmtool's --vfio" },
	{ .type = OPT_FLAG, .name = "rng", MEMBER(rng),
	  .help = "add an entropy device: random numbers from the host" },
	{ .type = OPT_TYPED, .name = "rng-limit", .arg = "rate=SIZE[:BURST],ops=N[:BURST]",
	  .hooks = &rng_limit_hooks,
	  .help = "an entropy device that gives at most so many bytes, and replies, in a second (on average; BURST at once)" },
	{ .type = OPT_TYPED, .name = "vsock", .arg = "CID[,socket=PATH]", .hooks = &vsock_hooks,
	  .help = "sockets between host and guest, whose address is CID (3 or more). Alone: AF_VSOCK of the host's kernel (/dev/vhost-vsock). With socket=: a program that connects to the unix socket PATH and writes \"CONNECT PORT\" reaches the guest's port, and the guest reaches PATH_PORT" },
	{ .type = OPT_FLAG, .name = "balloon", MEMBER(balloon),
	  .help = "add a memory balloon: memory that the guest hands over or reports as free goes back to the host" },
	{ .type = OPT_SIZE, .name = "balloon-size", .arg = "SIZE", MEMBER(balloon_size), .min = MiB,
	  .help = "what the balloon asks of the guest at its start; needs --balloon", .def = "0" },
	{ .type = OPT_CHOICE, .name = "console", MEMBER(console), .choices = console_kind_names,
	  .help = "device for the guest's console, which gets the keys; what the guest writes to the serial port is shown in any case",
	  .def = "serial" },
	{ .type = OPT_TYPED, .name = "port",
	  .arg = "NAME,KIND[=PATH][,console]",
	  .hooks = &port_hooks, .flags = OPT_REPEATABLE,
	  .help = "port of virtio-console for programs in the guest (/dev/virtio-ports/NAME), or another console of the guest; KIND: pty[=LINK], a pseudo-terminal; tty=DEVICE, a terminal; file=FILE, output alone; pipe=PREFIX, the pipes PREFIX.in and PREFIX.out; socket=PATH, a unix socket that listens" },
	{ .type = OPT_FLAG, .name = "boot-timer", MEMBER(boot_timer),
	  .help = "have Firecracker's boot timer where guests made for it look: the byte 123 that they write "
		  "there is a mark in the times of the boot" },
	{ .type = OPT_CHOICE, .name = "debug-exit", MEMBER(debug_exit), .choices = debug_exit_names,
	  .help = "let the guest choose the exit status; off: status 0 proves that it powered off",
	  .def = "on" },
	{ .type = OPT_TYPED, .name = "trace", .arg = "KIND[,KIND...]=FILE", .hooks = &trace_hooks,
	  .flags = OPT_PATH,
	  .help = "write a line to FILE for each event; exits: whenever a vcpu leaves KVM_RUN, what for, and how long lkvm took; virtio: requests and replies of the queues that lkvm serves; irq: interrupts that devices raise" },

	{ .type = OPT_GROUP, .help = "Debugging" },
	{ .type = OPT_TYPED, .name = "gdb", .arg = "[HOST:]PORT|unix:PATH", .hooks = &gdb_hooks,
	  .help = "debug the guest with gdb, which connects there (target remote :PORT); HOST is an address in numbers",
	  .def = "no; of a PORT alone the host is 127.0.0.1" },
	{ .type = OPT_FLAG, .name = "gdb-wait", MEMBER(gdb_wait),
	  .help = "the guest's first instruction waits until the debugger continues; needs --gdb" },
	OPT_END
};
/* clang-format on */

static const struct option_source sources[] = { CONFIG_OPTIONS(0, 0, NULL), { 0 } };

const struct option_set config_set = {
	.sources = sources,
	.foreign = foreign_options,
	.here = &arch_platform.option_mask,
};
