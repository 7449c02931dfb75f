/* SPDX-License-Identifier: MIT */
/*
 * Words that people bring along from other VMMs and that are not lkvm's: what lkvm has instead, if
 * anything. One list for options, one for commands. A word that becomes lkvm's own leaves it.
 */
#include "lkvm/config.h"

#define USE(w, vmm, what)                                                  \
	{                                                                  \
		.word = w, .whose = vmm, .kind = FOREIGN_USE, .text = what \
	}
#define OMIT(w, vmm, why)                                                  \
	{                                                                  \
		.word = w, .whose = vmm, .kind = FOREIGN_OMIT, .text = why \
	}
#define MISSING(w, vmm, hint)                                                  \
	{                                                                      \
		.word = w, .whose = vmm, .kind = FOREIGN_MISSING, .text = hint \
	}

#define KVMTOOL	    "kvmtool"
#define QEMU	    "QEMU"
#define FIRECRACKER "Firecracker"
#define FIRECTL	    "firectl"
#define CH	    "cloud-hypervisor"
#define CROSVM	    "crosvm"
#define VIRTME	    "virtme-ng"

#define A_DISK	  "--disk FILE"
#define A_CARD	  "--network mode=tap,tapif=NAME"
#define NO_SCREEN "the console is on the terminal"
#define A_SHARE	  "--9p DIR,TAG"
#define NO_SOCKET "signals and Ctrl-A control it"

/* clang-format off */
const struct foreign_word foreign_options[] = {
	USE("debug-single-step", KVMTOOL, "--gdb PORT"),
	/* Extensions of RISC-V's ISA and SBI. */
	USE("disable-s*", KVMTOOL, "--cpu host,-EXTENSION"),
	USE("disable-sbi-*", KVMTOOL, "--sbi host,-EXTENSION"), /* the last that fits counts */
	USE("disable-z*", KVMTOOL, "--cpu host,-EXTENSION"),
	MISSING("guest-memfd", KVMTOOL, NULL),
	USE("sandbox", KVMTOOL " and " QEMU, "the command 'lkvm sandbox'"),
	USE("tty", KVMTOOL, "--port NAME,pty,console for a console on a pseudo-terminal"),

	OMIT("accel", QEMU, "lkvm always uses KVM"),
	MISSING("acpitable", QEMU, NULL),
	USE("append", QEMU " and " VIRTME, "--params WORDS"),
	MISSING("audiodev", QEMU, NULL),
	USE("bios", QEMU " and " CROSVM, "--firmware FILE"),
	USE("blockdev", QEMU, A_DISK),
	MISSING("boot", QEMU, "lkvm starts the kernel or the firmware that is named"),
	USE("cdrom", QEMU, "--disk FILE,ro"),
	MISSING("chardev", QEMU, NULL),
	MISSING("daemonize", QEMU, "setsid(1) or systemd-run(1) starts it in the background"),
	OMIT("device", QEMU " and " CH, "each kind of device has an option, such as --disk, --network, --rng"),
	OMIT("display", QEMU, NO_SCREEN),
	USE("drive", QEMU, A_DISK),
	OMIT("dtb", QEMU, "lkvm describes the machine itself"),
	OMIT("enable-kvm", QEMU, "lkvm always uses KVM"),
	USE("fsdev", QEMU, A_SHARE),
	MISSING("global", QEMU, NULL),
	USE("hda", QEMU, A_DISK),
	USE("hdb", QEMU, A_DISK),
	MISSING("incoming", QEMU, NULL),
	MISSING("loadvm", QEMU, NULL),
	OMIT("machine", QEMU, "there is one kind of machine; --irqchip and its like change parts of it"),
	OMIT("M", QEMU, "there is one kind of machine; --irqchip and its like change parts of it"),
	USE("mem-path", QEMU, "--hugetlbfs PATH"),
	MISSING("mem-prealloc", QEMU, NULL),
	MISSING("mon", QEMU, NO_SOCKET),
	OMIT("monitor", QEMU, "there is no monitor; Ctrl-A h on the terminal lists its keys"),
	USE("net", QEMU ", " CH " and " CROSVM, A_CARD),
	USE("netdev", QEMU, A_CARD),
	USE("nic", QEMU, A_CARD),
	MISSING("no-acpi", QEMU, NULL),
	OMIT("no-hpet", QEMU, "there is none"),
	MISSING("no-shutdown", QEMU, NULL),
	OMIT("no-user-config", QEMU, "lkvm reads no file that is not named"),
	OMIT("nographic", QEMU, NO_SCREEN),
	MISSING("numa", QEMU " and " CH, NULL),
	MISSING("object", QEMU, NULL),
	MISSING("overcommit", QEMU, NULL),
	USE("pflash", QEMU, "--flash FILE"),
	MISSING("pidfile", QEMU, "the shell has its process ID in $!"),
	MISSING("qmp", QEMU, NO_SOCKET),
	MISSING("rtc", QEMU, NULL),
	USE("s", QEMU, "--gdb 1234"),
	USE("S", QEMU, "--gdb-wait, with --gdb PORT"),
	MISSING("semihosting*", QEMU, NULL),
	USE("serial", QEMU ", " CH " and " CROSVM, "--console serial, which is the default"),
	MISSING("smbios", QEMU, NULL),
	USE("smp", QEMU, "--cpus N"),
	MISSING("snapshot", QEMU, "a disk may be read-only: --disk FILE,ro"),
	MISSING("spice", QEMU, NO_SCREEN),
	MISSING("usb*", QEMU, NULL),
	MISSING("uuid", QEMU, NULL),
	OMIT("vga", QEMU, NO_SCREEN),
	USE("virtfs", QEMU, A_SHARE),
	MISSING("watchdog", QEMU " and " CH, NULL),

	USE("add-drive", FIRECTL, A_DISK),
	MISSING("api-sock", FIRECRACKER, NO_SOCKET),
	USE("config-file", FIRECRACKER, "--config FILE"),
	OMIT("enable-pci", FIRECRACKER, "PCI is the default"),
	OMIT("firecracker-binary", FIRECTL, "lkvm is one program"),
	USE("id", FIRECRACKER, "--name NAME"),
	USE("initrd-path", FIRECTL, "--initrd FILE"),
	USE("kernel-opts", FIRECTL, "--params WORDS"),
	USE("level", FIRECRACKER, "--loglevel LEVEL"),
	USE("log-level", FIRECRACKER, "--loglevel LEVEL"),
	MISSING("log-path", FIRECRACKER, "messages go to standard error"),
	USE("memory", FIRECTL ", " CH " and " VIRTME, "--mem SIZE"),
	MISSING("metadata", FIRECRACKER, NULL),
	MISSING("metrics-path", FIRECRACKER, NULL),
	USE("ncpus", FIRECTL, "--cpus N"),
	OMIT("no-api", FIRECRACKER, "there is no API socket"),
	OMIT("no-seccomp", FIRECRACKER, "there is no filter yet"),
	USE("root-drive", FIRECTL, A_DISK),
	MISSING("seccomp-filter", FIRECRACKER, NULL),
	MISSING("socket-path", FIRECTL, NO_SOCKET),
	USE("tap-device", FIRECTL, A_CARD),
	USE("vsock-device", FIRECTL, "--vsock CID,socket=PATH"),

	MISSING("api-socket", CH, NO_SOCKET),
	USE("cmdline", CH, "--params WORDS"),
	MISSING("debug-console", CH, NULL),
	MISSING("event-monitor", CH, NULL),
	USE("fs", CH, "--virtiofs socket=PATH,tag=TAG"),
	MISSING("landlock*", CH, NULL),
	MISSING("log-file", CH, "messages go to standard error"),
	MISSING("memory-zone", CH, NULL),
	MISSING("platform", CH, NULL),
	USE("pmem-device", CROSVM, "--pmem FILE,ro"),
	MISSING("pmem-ext2", CROSVM, NULL),
	USE("rw-pmem-device", CROSVM, "--pmem FILE"),
	OMIT("pvpanic", CH, "the machine has one"),
	MISSING("restore", CH, NULL),
	MISSING("seccomp", CH, NULL),
	MISSING("tpm", CH, NULL),
	MISSING("user-device", CH, NULL),
	MISSING("vdpa", CH, NULL),

	USE("block", CROSVM, A_DISK),
	USE("cid", CROSVM, "--vsock CID"),
	OMIT("disable-sandbox", CROSVM, "there is none"),
	MISSING("gpu", CROSVM, NULL),
	USE("host-ip", CROSVM, "ip(8) to give the tap its address"),
	USE("mac", CROSVM, "--network mode=tap,guest_mac=MAC"),
	USE("netmask", CROSVM, "ip(8) to give the tap its address"),
	USE("protected-vm*", CROSVM, "--protected"),
	USE("root", CROSVM, "--disk FILE,ro; the first disk is root= unless --params has one"),
	USE("rwdisk", CROSVM, A_DISK),
	USE("rwroot", CROSVM, A_DISK),
	USE("shared-dir", CROSVM, A_SHARE),
	MISSING("socket", CROSVM, NO_SOCKET),
	USE("tap-name", CROSVM, A_CARD),
	USE("vfio*", CROSVM, "--vfio DEVICE"),
	USE("vhost-user*", CROSVM,
	    "--disk vhost-user=PATH, --virtiofs socket=PATH,tag=TAG or --network mode=vhost-user,socket=PATH"),

	MISSING("exec", VIRTME, "an initrd may start the program"),
	USE("kimg", VIRTME, "--kernel FILE"),
	USE("pwd", VIRTME, A_SHARE),
	OMIT("qemu-opts", VIRTME, "there is no QEMU"),
	USE("rodir", VIRTME, A_SHARE ",ro"),
	USE("rwdir", VIRTME, A_SHARE),
	MISSING("script-*", VIRTME, "an initrd may start the program"),
	USE("verbose", VIRTME, "--loglevel debug"),

	USE("ram", "virt-install", "--mem SIZE"),
	USE("vcpus", "virt-install", "--cpus N"),
	{ 0 }
};

const struct foreign_word foreign_commands[] = {
	USE("create", "krunvm", "lkvm run"),
	USE("start", "krunvm", "lkvm run"),
	USE("suspend", CROSVM, "lkvm pause"),
	{ 0 }
};
/* clang-format on */
