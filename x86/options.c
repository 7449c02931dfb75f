/* SPDX-License-Identifier: MIT */
/* The options of x86-64 machines; plain data that every binary has. */
#include "lkvm/config.h"
#include "options-nested.h"

#define MEMBER(m) .offset = offsetof(struct vm_config, x86.m)

static const char *const irqchip_names[] = { "default", "full", "split", NULL };
static const char *const kernel_format_names[] = {
	"auto", "elf", "flat", "bzimage", "pvh", "multiboot", NULL,
};

static const char *const host_bridge_names[] = { "generic", "cloud-hypervisor", NULL };

static const char *const nested_names[] = { "auto", "on", "off", NULL };

/* clang-format off */
const struct option_spec x86_options[] = {
	{ .type = OPT_GROUP, .help = "x86-64" },
	{ .type = OPT_CHOICE, .name = "irqchip", MEMBER(irqchip), .choices = irqchip_names,
	  .flags = OPT_SELFTEST, .def = "split, but full for what expects a PC",
	  .help = "interrupt controllers: all in KVM, or the local APICs only" },
	{ .type = OPT_CHOICE, .name = "kernel-format", MEMBER(kernel_format),
	  .flags = OPT_SELFTEST, .choices = kernel_format_names, .def = "auto",
	  .help = "how the kernel is loaded and entered" },
	{ .type = OPT_CHOICE, .name = "host-bridge", MEMBER(host_bridge),
	  .choices = host_bridge_names, .def = "generic",
	  .help = "whose PCI host bridge it is; cloud-hypervisor: for UEFI firmware built for that" },
	{ .type = OPT_CHOICE, .name = "nested", MEMBER(nested), .choices = nested_names,
	  .flags = OPT_SELFTEST, .def = "auto",
	  .help = "whether the guest can be a hypervisor itself, with VMX or SVM; auto: where the host's KVM "
		  "offers it" },
	{ .type = OPT_TYPED, .name = "vmx", .arg = "help|[+FEATURE][,-FEATURE]...", .hooks = &x86_vmx_hooks,
	  .flags = OPT_SELFTEST | OPT_REPEATABLE,
	  .help = "what of VMX a guest's hypervisor finds: all that KVM offers, without the features with a "
		  "minus, and those with a plus must be there; help lists them" },
	{ .type = OPT_TYPED, .name = "svm", .arg = "help|[+FEATURE][,-FEATURE][,revision=N][,asids=N]...",
	  .hooks = &x86_svm_hooks, .flags = OPT_SELFTEST | OPT_REPEATABLE,
	  .help = "the same of SVM" },
	{ .type = OPT_FLAG, .name = "post-codes", MEMBER(post_codes),
	  .help = "a byte that is written to port 0x80, and is not the one before, is a mark in the times of the "
		  "boot; Linux writes there when it waits for a slow device" },
	{ .type = OPT_FLAG, .name = "testdev", MEMBER(testdev),
	  .help = "what the images of KVM's unit tests expect of a machine: fw_cfg with RAM and CPUs, a test "
		  "device, interrupt lines, 8259s as a BIOS leaves them" },
	OPT_END
};
/* clang-format on */
