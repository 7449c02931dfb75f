/* SPDX-License-Identifier: MIT */
/*
 * Devices of the host that a VM can be given or served by: VFIO, vhost, tap. A node is not opened
 * where that would load its driver; permissions and sysfs tell enough.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>

#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"

static const struct probe_node nodes[] = {
	{ "tun", "/dev/net/tun", "misc/tun", "tun", "CONFIG_TUN", "tap interfaces: --network" },
	{ "vhost-net", "/dev/vhost-net", "misc/vhost-net", "vhost_net", "CONFIG_VHOST_NET",
	  "the kernel moves a network card's packets" },
	{ "vhost-vsock", "/dev/vhost-vsock", "misc/vhost-vsock", "vhost_vsock",
	  "CONFIG_VHOST_VSOCK", "sockets between guest and host by AF_VSOCK" },
	{ "vhost-scsi", "/dev/vhost-scsi", "misc/vhost-scsi", "vhost_scsi", "CONFIG_VHOST_SCSI",
	  "the kernel's SCSI targets as disks" },
	{ "vfio-container", "/dev/vfio/vfio", "misc/vfio", "vfio",
	  "CONFIG_VFIO_GROUP, or CONFIG_IOMMUFD_VFIO_CONTAINER",
	  "device passthrough by IOMMU groups" },
	{ "iommufd", "/dev/iommu", "misc/iommu", "iommufd", "CONFIG_IOMMUFD",
	  "device passthrough by device (cdev), PASIDs, nested translation" },
};

/*
 * What the tap driver can do. Its node is opened, once it is certain that no module is loaded by
 * that; without TUNSETIFF no interface comes of it.
 */
static void tun_rows(struct probe *h)
{
	static const char *const names[] = {
		[0] = "tun",	    [1] = "tap",	[4] = "napi",
		[5] = "napi-frags", [6] = "no-carrier", [8] = "multi-queue",
		[12] = "no-pi",	    [13] = "one-queue", [14] = "vnet-hdr",
	};
	/* TUNGETVNETHASHCAP and TUNGETVNETHASHTYPES of the series that propose them. */
	static const unsigned long hash_ioctls[] = { 0x800854e4UL, 0x800454e4UL };
	struct probe_row *features = probe_row(h, PROBE_SEC_DEVICES, "tun-features", NULL);
	struct probe_row *hash = probe_row(h, PROBE_SEC_DEVICES, "tun-hash",
					   "the tap driver spreads packets over queues by RSS");
	char path[512], why[512];
	u32 value[2] = { 0 };
	int fd;

	probe_no(features, "needs tun");
	probe_no(hash, "needs tun");
	if (!probe_node_usable(h, &nodes[0], why, sizeof(why)) ||
	    !probe_exists(h, "/sys/class/misc/tun"))
		return;
	snprintf(path, sizeof(path), "%s%s", h->sys->root, nodes[0].path);
	fd = h->sys->open(h->sys->opaque, path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		probe_no(features, "%s: %s", nodes[0].path, strerror(-fd));
		return;
	}
	if (h->sys->ioctl(h->sys->opaque, fd, TUNGETFEATURES, (unsigned long)value) >= 0)
		probe_bits(features, value[0], names, ARRAY_SIZE(names));
	else
		probe_no(features, "this driver does not say");
	probe_no(hash, "not in this kernel: no release up to Linux 7.3 has it");
	for (size_t i = 0; i < ARRAY_SIZE(hash_ioctls); i++)
		if (h->sys->ioctl(h->sys->opaque, fd, hash_ioctls[i], (unsigned long)value) >= 0)
			probe_yes(hash);
	h->sys->close(h->sys->opaque, fd);
}

static void cdev_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_DEVICES, "vfio-cdev",
					  "devices bound to VFIO, for use with iommufd");
	u32 n = probe_count_entries(h, "/dev/vfio/devices");
	char why[256];

	row->since = "6.6";
	if (n)
		probe_number(row, n);
	else if (probe_too_old(h, row->since, why, sizeof(why)))
		probe_no(row, "%s", why);
	else
		probe_no(row, "/dev/vfio/devices has none: bind a device to vfio-pci "
			      "(CONFIG_VFIO_DEVICE_CDEV)");
}

static void group_row(struct probe *h)
{
	struct probe_row *row =
		probe_row(h, PROBE_SEC_DEVICES, "iommu-groups",
			  "the smallest sets of devices that can be passed through");
	u32 n = probe_count_entries(h, "/sys/kernel/iommu_groups");
	char why[256];

	if (n)
		probe_number(row, n);
	else if (probe_count_entries(h, "/sys/class/iommu"))
		probe_no(row, "there is an IOMMU, but no device is behind it");
	else
		probe_no(row, "no IOMMU: %s", probe_arch_why_no_iommu(h, why, sizeof(why)));
}

static void noiommu_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_DEVICES, "vfio-noiommu",
					  "VFIO without protection: for user drivers, not for VMs");
	char path[128];
	int on = probe_module_param(h, "vfio", "enable_unsafe_noiommu_mode", path, sizeof(path));

	if (on == 1)
		probe_text(row, "%s", path);
	else if (on == 0)
		probe_no(row, "module parameter vfio.enable_unsafe_noiommu_mode is off (%s)", path);
	else
		probe_no(row, "vfio is not loaded, or built without CONFIG_VFIO_NOIOMMU");
}

static void mdev_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_DEVICES, "mdev-parents",
					  "devices that can be divided into mediated ones");
	u32 n = probe_count_entries(h, "/sys/class/mdev_bus");

	if (n)
		probe_number(row, n);
	else
		probe_no(row, "no driver that is loaded has any (/sys/class/mdev_bus)");
}

/* Does KVM know VFIO's devices (KVM_DEV_TYPE_VFIO)? Asked with the flag that creates nothing. */
static void kvm_vfio_row(struct probe *h)
{
	struct kvm_create_device create = {
		.type = KVM_DEV_TYPE_VFIO,
		.flags = KVM_CREATE_DEVICE_TEST,
	};
	struct probe_row *row =
		probe_row(h, PROBE_SEC_DEVICES, "kvm-vfio",
			  "KVM and VFIO know each other: coherency, mediated devices");

	row->since = "3.13";
	if (h->vm_fd < 0)
		probe_unasked(row);
	else if (h->sys->ioctl(h->sys->opaque, h->vm_fd, KVM_CREATE_DEVICE,
			       (unsigned long)&create) >= 0)
		probe_yes(row);
	else
		probe_no(row, "this KVM has no VFIO device (CONFIG_KVM_VFIO)");
}

/* Secure devices of confidential guests (TDISP). */
static void tsm_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_DEVICES, "tsm-bind",
					  "devices bound to confidential guests (TDISP)");

	/* The number that the first series took belongs to IOMMU_IOAS_NOIOMMU_GET_PA now. */
	probe_unknown(row, "its ABI is not settled, and no call that asks for it is safe");
}

void probe_device_rows(struct probe *h)
{
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		probe_node_row(h, PROBE_SEC_DEVICES, &nodes[i]);
	tun_rows(h);
	cdev_row(h);
	group_row(h);
	noiommu_row(h);
	mdev_row(h);
	kvm_vfio_row(h);
	tsm_row(h);
}
