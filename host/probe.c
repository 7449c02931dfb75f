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
#include "lkvm/host.h"
#include "lkvm/kvm.h"

/* KVM_CAP_GUEST_MEMFD_FLAGS, KVM_CAP_MEMORY_ATTRIBUTES, the two KVM_CAP_DIRTY_LOG_... masks */
static const char *const memory_flags[] = { "mmap", "init-shared" };
static const char *const memory_attributes[] = { NULL, NULL, NULL, "private" };
static const char *const dirty_log_flags[] = { "manual-protect", "initially-set" };

/* clang-format off */
static const struct host_cap common_caps[] = {
	{ "vcpus-recommended", HOST_SEC_LIMITS, KVM_CAP_NR_VCPUS, HOST_CAP_COUNT, NULL,
	  .brings = "as many vcpus as run well at once" },
	{ "vcpus", HOST_SEC_LIMITS, KVM_CAP_MAX_VCPUS, HOST_CAP_COUNT, "3.2", .brings = "the most vcpus of a VM" },
	{ "vcpu-ids", HOST_SEC_LIMITS, KVM_CAP_MAX_VCPU_ID, HOST_CAP_COUNT, "4.7",
	  .brings = "vcpu ids are below this: sparse ids need more of them than there are vcpus" },
	{ "memory-slots", HOST_SEC_LIMITS, KVM_CAP_NR_MEMSLOTS, HOST_CAP_COUNT, NULL,
	  .brings = "pieces of guest memory" },

	{ "irqchip", HOST_SEC_INTERRUPTS, KVM_CAP_IRQCHIP, HOST_CAP_FLAG, NULL,
	  .brings = "interrupt controllers in the kernel" },
	{ "irqfd", HOST_SEC_INTERRUPTS, KVM_CAP_IRQFD, HOST_CAP_FLAG, "2.6.32",
	  .brings = "an eventfd raises an interrupt: vhost, VFIO, I/O threads" },
	{ "irqfd-resample", HOST_SEC_INTERRUPTS, KVM_CAP_IRQFD_RESAMPLE, HOST_CAP_FLAG, "3.8",
	  .brings = "level interrupts by eventfd: VFIO's INTx" },
	{ "irq-routing", HOST_SEC_INTERRUPTS, KVM_CAP_IRQ_ROUTING, HOST_CAP_COUNT, NULL,
	  .brings = "entries of the interrupt routing table" },
	{ "signal-msi", HOST_SEC_INTERRUPTS, KVM_CAP_SIGNAL_MSI, HOST_CAP_FLAG, "3.5",
	  .brings = "message interrupts without a route" },
	{ "ioeventfd", HOST_SEC_INTERRUPTS, KVM_CAP_IOEVENTFD, HOST_CAP_FLAG, "2.6.32",
	  .brings = "a guest's write becomes an eventfd: queue notifications without an exit to lkvm" },
	{ "ioeventfd-any-length", HOST_SEC_INTERRUPTS, KVM_CAP_IOEVENTFD_ANY_LENGTH, HOST_CAP_FLAG,
	  "4.4", .brings = "the same for writes of every length" },

	{ "sync-mmu", HOST_SEC_MEMORY, KVM_CAP_SYNC_MMU, HOST_CAP_FLAG, NULL,
	  .brings = "guest memory follows the host's: balloon, huge pages, migration" },
	{ "readonly-memory", HOST_SEC_MEMORY, KVM_CAP_READONLY_MEM, HOST_CAP_FLAG, "3.7",
	  .brings = "ROM and flash" },
	{ "user-memory2", HOST_SEC_MEMORY, KVM_CAP_USER_MEMORY2, HOST_CAP_FLAG, "6.8",
	  .brings = "memory slots backed by a guest_memfd" },
	{ "guest-memfd", HOST_SEC_MEMORY, KVM_CAP_GUEST_MEMFD, HOST_CAP_FLAG, "6.8",
	  .brings = "guest memory that belongs to the VM alone: confidential guests",
	  .missing = "this KVM was built without it (CONFIG_KVM_GUEST_MEMFD; before Linux 6.18: "
		     "CONFIG_KVM_PRIVATE_MEM)" },
	{ "guest-memfd-flags", HOST_SEC_MEMORY, KVM_CAP_GUEST_MEMFD_FLAGS, .since = "6.18",
	  .brings = "guest_memfd for ordinary guests: mmap, and shared from the start",
	  HOST_BITS(memory_flags) },
	{ "memory-attributes", HOST_SEC_MEMORY, KVM_CAP_MEMORY_ATTRIBUTES, .since = "6.8",
	  .brings = "pages change between private and shared, for the whole VM",
	  HOST_BITS(memory_attributes),
	  .missing = "no VM type of this KVM has private memory" },
	{ "memory-fault-exit", HOST_SEC_MEMORY, KVM_CAP_MEMORY_FAULT_INFO, HOST_CAP_FLAG, "6.8",
	  .brings = "a fault that KVM cannot resolve says where it was" },
	{ "pre-fault", HOST_SEC_MEMORY, KVM_CAP_PRE_FAULT_MEMORY, HOST_CAP_FLAG, "6.11",
	  .brings = "guest memory mapped before the guest touches it",
	  .missing = "needs paging in two dimensions by the CPU (EPT, NPT)" },
	{ "dirty-ring", HOST_SEC_MEMORY, KVM_CAP_DIRTY_LOG_RING, HOST_CAP_COUNT, "5.11",
	  .brings = "written pages in a ring of each vcpu (bytes at most): live migration" },
	{ "dirty-ring-acq-rel", HOST_SEC_MEMORY, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, HOST_CAP_COUNT, "6.1",
	  .brings = "the same for CPUs with weak memory order" },
	{ "dirty-ring-bitmap", HOST_SEC_MEMORY, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, HOST_CAP_FLAG, "6.2",
	  .brings = "a bitmap beside the ring, for writes that no vcpu made",
	  .missing = "only where devices in KVM write guest memory (arm64's ITS)" },
	{ "dirty-log-manual", HOST_SEC_MEMORY, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .since = "5.2",
	  .brings = "the dirty bitmap is cleared in pieces", HOST_BITS(dirty_log_flags) },

	{ "immediate-exit", HOST_SEC_EXECUTION, KVM_CAP_IMMEDIATE_EXIT, HOST_CAP_FLAG, "4.11",
	  .brings = "a vcpu is stopped without a race" },
	{ "coalesced-mmio", HOST_SEC_EXECUTION, KVM_CAP_COALESCED_MMIO, HOST_CAP_FLAG, NULL,
	  .brings = "writes that are gathered instead of each making an exit" },
	{ "coalesced-pio", HOST_SEC_EXECUTION, KVM_CAP_COALESCED_PIO, HOST_CAP_FLAG, "4.20",
	  .brings = "the same for ports" },
	{ "guest-debug", HOST_SEC_EXECUTION, KVM_CAP_SET_GUEST_DEBUG, HOST_CAP_FLAG, NULL,
	  .brings = "breakpoints and single steps: the gdb stub" },
	{ "halt-poll", HOST_SEC_EXECUTION, KVM_CAP_HALT_POLL, HOST_CAP_FLAG, "5.8",
	  .brings = "how long KVM polls before an idle vcpu sleeps, set for each VM" },
	{ "binary-stats", HOST_SEC_EXECUTION, KVM_CAP_BINARY_STATS_FD, HOST_CAP_FLAG, "5.14",
	  .brings = "KVM's own counters of exits and memory" },
	{ "device-attributes", HOST_SEC_EXECUTION, KVM_CAP_SYS_ATTRIBUTES, HOST_CAP_FLAG, "5.17",
	  .brings = "the KVM device tells what needs more than a number" },
};
/* clang-format on */

static void probe_kernel(struct host *h)
{
	struct host_row *row = host_row(h, HOST_SEC_HOST, "kernel", NULL);
	struct utsname uts;

	if (!host_read_line(h, "/proc/sys/kernel/osrelease", h->release, sizeof(h->release)) &&
	    !uname(&uts))
		snprintf(h->release, sizeof(h->release), "%.64s", uts.release);
	h->kernel = host_version(h->release);
	host_text(row, "Linux %s", h->release);
	row = host_row(h, HOST_SEC_HOST, "architecture", NULL);
	host_text(row, "%s", arch_platform.name);
}

static const struct host_node kvm_node = {
	.path = "/dev/kvm",
	.class = "misc/kvm",
};

/* Why the KVM device cannot be opened. */
static void explain_open(const struct host *h, struct host_row *row, int error)
{
	char why[256];

	switch (error) {
	case ENOENT:
		if (strcmp(h->kvm_path, kvm_node.path) != 0)
			host_no(row, "%s: no such file", h->kvm_path);
		else if (host_exists(h, "/sys/class/misc/kvm"))
			host_no(row,
				"KVM is in the kernel, %s is not there: in a container, pass it in",
				h->kvm_path);
		else
			host_no(row, "%s: not there: %s", h->kvm_path,
				arch_host_why_no_kvm(h, why, sizeof(why)));
		break;
	case ENODEV:
	case ENXIO:
		host_no(row, "%s: the kernel has no KVM behind it: %s", h->kvm_path,
			arch_host_why_no_kvm(h, why, sizeof(why)));
		break;
	case EACCES:
	case EPERM:
		host_no(row, "%s", host_permission_why(h, h->kvm_path, why, sizeof(why)));
		break;
	case EBUSY:
		host_no(row,
			"%s: busy: another hypervisor holds the CPU's virtualization extension",
			h->kvm_path);
		break;
	default:
		host_no(row, "%s: cannot open: %s", h->kvm_path, strerror(error));
	}
}

static int open_kvm(struct host *h)
{
	char path[512];

	/* A node that is there before its driver: to open it would load the module. */
	if (!strcmp(h->kvm_path, kvm_node.path) && host_exists(h, "/sys/class/misc") &&
	    !host_exists(h, "/sys/class/misc/kvm"))
		return host_exists(h, h->kvm_path) ? -ENODEV : -ENOENT;
	snprintf(path, sizeof(path), "%s%s", h->sys->root, h->kvm_path);
	return h->sys->open(h->sys->opaque, path, O_RDWR | O_CLOEXEC);
}

static void probe_kvm(struct host *h)
{
	struct host_row *device = host_row(h, HOST_SEC_KVM, "device", NULL);
	struct host_row *api = host_row(h, HOST_SEC_KVM, "api", "version of the interface");
	struct host_row *vm = host_row(h, HOST_SEC_KVM, "vm", "a VM can be created");
	int fd = open_kvm(h), version;

	host_unasked(api);
	host_unasked(vm);
	if (fd < 0) {
		explain_open(h, device, -fd);
		return;
	}
	version = h->sys->ioctl(h->sys->opaque, fd, KVM_GET_API_VERSION, 0);
	if (version < 0) {
		host_no(device, "%s: is not KVM (%s)", h->kvm_path, strerror(-version));
		h->sys->close(h->sys->opaque, fd);
		return;
	}
	host_text(device, "%s", h->kvm_path);
	api->unasked = vm->unasked = false;
	if (version != KVM_API_VERSION) {
		host_no(api, "it is %d, lkvm speaks %d", version, KVM_API_VERSION);
		h->sys->close(h->sys->opaque, fd);
		return;
	}
	host_number(api, (u64)version);
	h->kvm_fd = fd;
	h->vm_fd = h->sys->ioctl(h->sys->opaque, fd, KVM_CREATE_VM, arch_host_vm_type(h));
	if (h->vm_fd >= 0) {
		host_yes(vm);
		h->usable = true;
	} else if (h->vm_fd == -EBUSY) {
		host_no(vm, "busy: another hypervisor holds the CPU's virtualization extension; "
			    "stop it first");
	} else {
		host_no(vm, "KVM_CREATE_VM: %s", strerror(-h->vm_fd));
	}
}

/*
 * Conversion of a guest_memfd in place. Its capability number differs between the series that
 * carry it, so the ioctl itself is asked: with size 0 it is invalid where it exists (EINVAL), and
 * unknown to the file where it does not (ENOTTY).
 */
#define GMEM_SET_MEMORY_ATTRIBUTES2 0xc080aed2UL
static void probe_in_place_conversion(struct host *h)
{
	struct host_row *row = host_row(h, HOST_SEC_MEMORY, "guest-memfd-in-place",
					"pages of a guest_memfd become private or shared without a "
					"copy");
	struct kvm_create_guest_memfd create = { .size = 2 * MiB };
	u64 arg[16] = { 0 };
	int fd, ret;

	if (h->vm_fd < 0) {
		host_unasked(row);
		return;
	}
	fd = host_check_vm(h, KVM_CAP_GUEST_MEMFD)
		     ? h->sys->ioctl(h->sys->opaque, h->vm_fd, KVM_CREATE_GUEST_MEMFD,
				     (unsigned long)&create)
		     : -ENOTTY;
	if (fd < 0) {
		host_no(row, "needs guest-memfd for ordinary VMs");
		return;
	}
	ret = h->sys->ioctl(h->sys->opaque, fd, GMEM_SET_MEMORY_ATTRIBUTES2, (unsigned long)arg);
	h->sys->close(h->sys->opaque, fd);
	if (ret == -ENOTTY)
		host_no(row, "not in this kernel: no release up to Linux 7.3 has it");
	else if (ret == -EINVAL)
		host_yes(row);
	else
		host_unknown(row, "the probe said: %s", ret < 0 ? strerror(-ret) : "success");
}

void host_probe(struct host *h, const struct host_sys *sys, const char *kvm_path)
{
	*h = (struct host){ .sys = sys, .kvm_path = kvm_path, .kvm_fd = -1, .vm_fd = -1 };
	probe_kernel(h);
	probe_kvm(h);
	host_caps(h, common_caps, ARRAY_SIZE(common_caps));
	probe_in_place_conversion(h);
	arch_host_rows(h);
	host_memory_rows(h);
	host_device_rows(h);
	host_service_rows(h);
	if (h->vm_fd >= 0)
		sys->close(sys->opaque, h->vm_fd);
	if (h->kvm_fd >= 0)
		sys->close(sys->opaque, h->kvm_fd);
	h->vm_fd = h->kvm_fd = -1;
}
