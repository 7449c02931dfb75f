/* SPDX-License-Identifier: MIT */
/*
 * `lkvm host` from top to bottom: the kernel, KVM and a VM that lives only while it is asked, the
 * capabilities that all architectures share, the architecture's own, and the rest of the host.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"

/* KVM_CAP_GUEST_MEMFD_FLAGS, KVM_CAP_MEMORY_ATTRIBUTES, the two KVM_CAP_DIRTY_LOG_... masks */
static const char *const memory_flags[] = { "mmap", "init-shared" };
static const char *const memory_attributes[] = { NULL, NULL, NULL, "private" };
static const char *const dirty_log_flags[] = { "manual-protect", "initially-set" };

/* clang-format off */
static const struct probe_cap common_caps[] = {
	{ "vcpus-recommended", PROBE_SEC_LIMITS, KVM_CAP_NR_VCPUS, PROBE_CAP_COUNT, NULL,
	  .brings = "recommended maximum number of vcpus" },
	{ "vcpus", PROBE_SEC_LIMITS, KVM_CAP_MAX_VCPUS, PROBE_CAP_COUNT, "3.2", .brings = "maximum number of vcpus in a VM" },
	{ "vcpu-ids", PROBE_SEC_LIMITS, KVM_CAP_MAX_VCPU_ID, PROBE_CAP_COUNT, "4.7",
	  .brings = "vcpu ids are below this; more than the vcpus if ids are sparse" },
	{ "memory-slots", PROBE_SEC_LIMITS, KVM_CAP_NR_MEMSLOTS, PROBE_CAP_COUNT, NULL,
	  .brings = "pieces of guest memory" },

	{ "irqchip", PROBE_SEC_INTERRUPTS, KVM_CAP_IRQCHIP, PROBE_CAP_FLAG, NULL,
	  .brings = "interrupt controllers in the kernel" },
	{ "irqfd", PROBE_SEC_INTERRUPTS, KVM_CAP_IRQFD, PROBE_CAP_FLAG, "2.6.32",
	  .brings = "an eventfd raises an interrupt: vhost, VFIO, queues" },
	{ "irqfd-resample", PROBE_SEC_INTERRUPTS, KVM_CAP_IRQFD_RESAMPLE, PROBE_CAP_FLAG, "3.8",
	  .brings = "level interrupts by eventfd: VFIO's INTx" },
	{ "irq-routing", PROBE_SEC_INTERRUPTS, KVM_CAP_IRQ_ROUTING, PROBE_CAP_COUNT, NULL,
	  .brings = "entries of the interrupt routing table" },
	{ "signal-msi", PROBE_SEC_INTERRUPTS, KVM_CAP_SIGNAL_MSI, PROBE_CAP_FLAG, "3.5",
	  .brings = "message interrupts without a route" },
	{ "ioeventfd", PROBE_SEC_INTERRUPTS, KVM_CAP_IOEVENTFD, PROBE_CAP_FLAG, "2.6.32",
	  .brings = "a guest's write becomes an eventfd: queue notifications without an exit to lkvm" },
	{ "ioeventfd-any-length", PROBE_SEC_INTERRUPTS, KVM_CAP_IOEVENTFD_ANY_LENGTH, PROBE_CAP_FLAG,
	  "4.4", .brings = "the same for writes of every length" },

	{ "sync-mmu", PROBE_SEC_MEMORY, KVM_CAP_SYNC_MMU, PROBE_CAP_FLAG, NULL,
	  .brings = "guest memory follows the host's: balloon, huge pages, migration" },
	{ "readonly-memory", PROBE_SEC_MEMORY, KVM_CAP_READONLY_MEM, PROBE_CAP_FLAG, "3.7",
	  .brings = "ROM and flash" },
	{ "user-memory2", PROBE_SEC_MEMORY, KVM_CAP_USER_MEMORY2, PROBE_CAP_FLAG, "6.8",
	  .brings = "memory slots backed by a guest_memfd" },
	{ "guest-memfd", PROBE_SEC_MEMORY, KVM_CAP_GUEST_MEMFD, PROBE_CAP_FLAG, "6.8",
	  .brings = "guest memory that only the VM can access: confidential guests",
	  .missing = "this KVM was built without it (CONFIG_KVM_GUEST_MEMFD; before Linux 6.18: "
		     "CONFIG_KVM_PRIVATE_MEM)" },
	{ "guest-memfd-flags", PROBE_SEC_MEMORY, KVM_CAP_GUEST_MEMFD_FLAGS, .since = "6.18",
	  .brings = "guest_memfd for ordinary guests: mmap, and shared from the start",
	  PROBE_BITS(memory_flags) },
	{ "memory-attributes", PROBE_SEC_MEMORY, KVM_CAP_MEMORY_ATTRIBUTES, .since = "6.8",
	  .brings = "pages change between private and shared, for the whole VM",
	  PROBE_BITS(memory_attributes),
	  .missing = "no VM type of this KVM has private memory" },
	{ "memory-fault-exit", PROBE_SEC_MEMORY, KVM_CAP_MEMORY_FAULT_INFO, PROBE_CAP_FLAG, "6.8",
	  .brings = "a fault that KVM cannot resolve says where it was" },
	{ "pre-fault", PROBE_SEC_MEMORY, KVM_CAP_PRE_FAULT_MEMORY, PROBE_CAP_FLAG, "6.11",
	  .brings = "guest memory mapped before the guest touches it",
	  .missing = "only on x86-64, where the CPU pages in two dimensions (EPT, NPT)" },
	{ "dirty-ring", PROBE_SEC_MEMORY, KVM_CAP_DIRTY_LOG_RING, PROBE_CAP_COUNT, "5.11",
	  .brings = "written pages in a ring for each vcpu (maximum in bytes): live migration" },
	{ "dirty-ring-acq-rel", PROBE_SEC_MEMORY, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, PROBE_CAP_COUNT, "6.1",
	  .brings = "the same for CPUs with weak memory order" },
	{ "dirty-ring-bitmap", PROBE_SEC_MEMORY, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, PROBE_CAP_FLAG, "6.2",
	  .brings = "a bitmap besides the ring, for writes not made by a vcpu",
	  .missing = "only where devices in KVM write guest memory (arm64's ITS)" },
	{ "dirty-log-manual", PROBE_SEC_MEMORY, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .since = "5.2",
	  .brings = "the dirty bitmap is cleared in pieces", PROBE_BITS(dirty_log_flags) },

	{ "immediate-exit", PROBE_SEC_EXECUTION, KVM_CAP_IMMEDIATE_EXIT, PROBE_CAP_FLAG, "4.11",
	  .brings = "a vcpu is stopped without a race" },
	{ "coalesced-mmio", PROBE_SEC_EXECUTION, KVM_CAP_COALESCED_MMIO, PROBE_CAP_FLAG, NULL,
	  .brings = "writes that are batched instead of exiting one by one" },
	{ "coalesced-pio", PROBE_SEC_EXECUTION, KVM_CAP_COALESCED_PIO, PROBE_CAP_FLAG, "4.20",
	  .brings = "the same for ports" },
	{ "guest-debug", PROBE_SEC_EXECUTION, KVM_CAP_SET_GUEST_DEBUG, PROBE_CAP_FLAG, NULL,
	  .brings = "breakpoints and single steps: the gdb stub" },
	{ "halt-poll", PROBE_SEC_EXECUTION, KVM_CAP_HALT_POLL, PROBE_CAP_FLAG, "5.8",
	  .brings = "how long KVM polls before an idle vcpu sleeps, set for each VM: --halt-poll" },
	{ "binary-stats", PROBE_SEC_EXECUTION, KVM_CAP_BINARY_STATS_FD, PROBE_CAP_FLAG, "5.14",
	  .brings = "KVM's own counters of exits and memory" },
	{ "device-attributes", PROBE_SEC_EXECUTION, KVM_CAP_SYS_ATTRIBUTES, PROBE_CAP_FLAG, "5.17",
	  .brings = "capabilities that need more than a number" },
};
/* clang-format on */

static void kernel_rows(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_HOST, "kernel", NULL);
	struct utsname uts;

	if (!probe_read_line(h, "/proc/sys/kernel/osrelease", h->release, sizeof(h->release)) &&
	    !uname(&uts))
		snprintf(h->release, sizeof(h->release), "%.64s", uts.release);
	h->kernel = probe_version(h->release);
	probe_text(row, "Linux %s", h->release);
	row = probe_row(h, PROBE_SEC_HOST, "architecture", NULL);
	probe_text(row, "%s", arch_platform.name);
}

static const struct probe_node kvm_node = {
	.path = "/dev/kvm",
	.class = "misc/kvm",
};

/* Why the KVM device cannot be opened. */
static void explain_open(const struct probe *h, struct probe_row *row, int error)
{
	char why[512];

	switch (error) {
	case ENOENT:
		if (strcmp(h->kvm_path, kvm_node.path) != 0)
			probe_no(row, "%s: no such file", h->kvm_path);
		else if (probe_exists(h, "/sys/class/misc/kvm"))
			probe_no(row,
				 "KVM is in the kernel, %s is not there: in a container, pass it "
				 "in: --device %s",
				 h->kvm_path, h->kvm_path);
		else
			probe_no(row, "%s: not there: %s", h->kvm_path,
				 probe_arch_why_no_kvm(h, why, sizeof(why)));
		break;
	case ENODEV:
	case ENXIO:
		probe_no(row, "%s: the kernel has no KVM behind it: %s", h->kvm_path,
			 probe_arch_why_no_kvm(h, why, sizeof(why)));
		break;
	case EACCES:
	case EPERM:
		probe_no(row, "%s", probe_permission_why(h, h->kvm_path, error, why, sizeof(why)));
		break;
	case EBUSY:
		probe_no(row,
			 "%s: busy: another hypervisor holds the CPU's virtualization extension",
			 h->kvm_path);
		break;
	default:
		probe_no(row, "%s: cannot open: %s", h->kvm_path, strerror(error));
	}
}

static int open_kvm(struct probe *h)
{
	char path[512];

	/* A node that is there before its driver: to open it would load the module. */
	if (!strcmp(h->kvm_path, kvm_node.path) && probe_exists(h, "/sys/class/misc") &&
	    !probe_exists(h, "/sys/class/misc/kvm"))
		return probe_exists(h, h->kvm_path) ? -ENODEV : -ENOENT;
	snprintf(path, sizeof(path), "%s%s", h->sys->root, h->kvm_path);
	return h->sys->open(h->sys->opaque, path, O_RDWR | O_CLOEXEC);
}

static void kvm_rows(struct probe *h)
{
	struct probe_row *device = probe_row(h, PROBE_SEC_KVM, "device", NULL);
	struct probe_row *api = probe_row(h, PROBE_SEC_KVM, "api", "version of the interface");
	struct probe_row *vm = probe_row(h, PROBE_SEC_KVM, "vm", "a VM can be created");
	int fd = open_kvm(h), version;

	probe_unasked(api);
	probe_unasked(vm);
	if (fd < 0) {
		explain_open(h, device, -fd);
		return;
	}
	version = h->sys->ioctl(h->sys->opaque, fd, KVM_GET_API_VERSION, 0);
	if (version < 0) {
		probe_no(device, "%s: is not KVM (%s)", h->kvm_path, strerror(-version));
		h->sys->close(h->sys->opaque, fd);
		return;
	}
	probe_text(device, "%s", h->kvm_path);
	api->unasked = vm->unasked = false;
	if (version != KVM_API_VERSION) {
		probe_no(api, "it is %d, lkvm speaks %d", version, KVM_API_VERSION);
		h->sys->close(h->sys->opaque, fd);
		return;
	}
	probe_number(api, (u64)version);
	h->kvm_fd = fd;
	h->vm_fd = h->sys->ioctl(h->sys->opaque, fd, KVM_CREATE_VM, probe_arch_vm_type(h));
	if (h->vm_fd >= 0) {
		probe_yes(vm);
		h->usable = true;
	} else if (h->vm_fd == -EBUSY) {
		probe_no(vm, "busy: another hypervisor holds the CPU's virtualization extension; "
			     "stop it first");
	} else {
		probe_no(vm, "KVM_CREATE_VM: %s", strerror(-h->vm_fd));
	}
}

/*
 * Conversion of a guest_memfd in place. Its capability number differs between the series that
 * carry it, so the ioctl itself is asked: with size 0 it is invalid where it exists (EINVAL), and
 * unknown to the file where it does not (ENOTTY).
 */
#define GMEM_SET_MEMORY_ATTRIBUTES2 0xc080aed2UL
static void in_place_conversion_row(struct probe *h)
{
	struct probe_row *row =
		probe_row(h, PROBE_SEC_MEMORY, "guest-memfd-in-place",
			  "pages of a guest_memfd become private or shared without a "
			  "copy");
	struct kvm_create_guest_memfd create = { .size = 2 * MiB };
	u64 arg[16] = { 0 };
	int fd, ret;

	if (h->vm_fd < 0) {
		probe_unasked(row);
		return;
	}
	fd = probe_check_vm(h, KVM_CAP_GUEST_MEMFD)
		     ? h->sys->ioctl(h->sys->opaque, h->vm_fd, KVM_CREATE_GUEST_MEMFD,
				     (unsigned long)&create)
		     : -ENOTTY;
	if (fd < 0) {
		probe_no(row, "needs guest-memfd for ordinary VMs");
		return;
	}
	ret = h->sys->ioctl(h->sys->opaque, fd, GMEM_SET_MEMORY_ATTRIBUTES2, (unsigned long)arg);
	h->sys->close(h->sys->opaque, fd);
	if (ret == -ENOTTY)
		probe_no(row, "not in this kernel: no release up to Linux 7.3 has it");
	else if (ret == -EINVAL)
		probe_yes(row);
	else
		probe_unknown(row, "the probe said: %s", ret < 0 ? strerror(-ret) : "success");
}

void probe_run(struct probe *h, const struct probe_sys *sys, const char *kvm_path)
{
	*h = (struct probe){ .sys = sys, .kvm_path = kvm_path, .kvm_fd = -1, .vm_fd = -1 };
	kernel_rows(h);
	kvm_rows(h);
	probe_caps(h, common_caps, ARRAY_SIZE(common_caps));
	in_place_conversion_row(h);
	probe_arch_rows(h);
	probe_memory_rows(h);
	probe_device_rows(h);
	probe_service_rows(h);
	if (h->vm_fd >= 0)
		sys->close(sys->opaque, h->vm_fd);
	if (h->kvm_fd >= 0)
		sys->close(sys->opaque, h->kvm_fd);
	h->vm_fd = h->kvm_fd = -1;
}
