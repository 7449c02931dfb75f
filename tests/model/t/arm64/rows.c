/* SPDX-License-Identifier: MIT */
/* rows --list prints `NAME MODEL SCRIPT`, a line for each case; rows NAME runs one. */
#include "rows.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

long call_value(int fd, unsigned long request, unsigned long arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

long call(int fd, unsigned long request, const void *arg)
{
	return call_value(fd, request, (unsigned long)arg);
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

void rig_vm(struct rig *rig, u64 type)
{
	*rig = (struct rig){ .kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), .gic = -1, .gmem = -1 };
	CHECK(rig->kvm >= 0);
	rig->vm = (int)call_value(rig->kvm, KVM_CREATE_VM, type);
	if (rig->vm < 0)
		printf("# KVM_CREATE_VM of 0x%llx: %s\n", type, strerror(-rig->vm));
	CHECK(rig->vm >= 0);
	rig->ram = map(RAM_SIZE);
	rig->image = map(4 * 4096);
	for (u32 i = 0; i < 4 * 4096; i++)
		rig->image[i] = (u8)(i % 4096 * 7 + (i / 4096 + 1) * 31 + (i % 4096 >> 8));
	memcpy(rig->ram, rig->image, 4 * 4096);
}

long rig_slot(struct rig *rig, u32 slot, u64 gpa, u64 size, int gmem, u32 flags)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot,
		.flags = flags | (gmem >= 0 ? (u32)KVM_MEM_GUEST_MEMFD : 0),
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (u64)(uintptr_t)rig->ram,
		.guest_memfd = gmem >= 0 ? (u32)gmem : 0,
	};

	return call(rig->vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

void rig_memory(struct rig *rig, u64 gmem_flags)
{
	struct kvm_create_guest_memfd create = { .size = RAM_SIZE, .flags = gmem_flags };

	rig->gmem = (int)call(rig->vm, KVM_CREATE_GUEST_MEMFD, &create);
	CHECK(rig->gmem >= 0);
	SAME(rig_slot(rig, 0, RAM_BASE, RAM_SIZE, rig->gmem, 0), 0);
}

void rig_plain_memory(struct rig *rig)
{
	SAME(rig_slot(rig, 0, RAM_BASE, RAM_SIZE, -1, 0), 0);
}

void rig_private(struct rig *rig, u64 gpa, u64 size, bool private)
{
	struct kvm_memory_attributes a = {
		.address = gpa,
		.size = size,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	SAME(call(rig->vm, KVM_SET_MEMORY_ATTRIBUTES, &a), 0);
}

static long gic_attr(struct rig *rig, u32 group, u64 attr, const void *value)
{
	struct kvm_device_attr a = { 0, group, attr, (u64)(uintptr_t)value };

	return call(rig->gic, KVM_SET_DEVICE_ATTR, &a);
}

void rig_gic(struct rig *rig)
{
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };

	SAME(call(rig->vm, KVM_CREATE_DEVICE, &dev), 0);
	rig->gic = (int)dev.fd;
}

void rig_gic_ready(struct rig *rig)
{
	const u64 dist = 0x3fff0000, redist = 0x3ff00000;

	SAME(gic_attr(rig, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist), 0);
	SAME(gic_attr(rig, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist), 0);
	SAME(gic_attr(rig, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), 0);
}

long rig_init(struct rig *rig, u32 index, u32 features)
{
	struct kvm_vcpu_init init;

	SAME(call(rig->vm, KVM_ARM_PREFERRED_TARGET, &init), 0);
	init.features[0] = features | (index ? FEATURE(KVM_ARM_VCPU_POWER_OFF) : 0);
	return call(rig->vcpus[index], KVM_ARM_VCPU_INIT, &init);
}

void rig_vcpu(struct rig *rig, u32 index, u32 features)
{
	long size = call_value(rig->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	rig->vcpus[index] = (int)call_value(rig->vm, KVM_CREATE_VCPU, index);
	CHECK(rig->vcpus[index] >= 0);
	rig->runs[index] =
		mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, rig->vcpus[index], 0);
	CHECK(rig->runs[index] != MAP_FAILED);
	if (features)
		SAME(rig_init(rig, index, features), 0);
}

long rig_set(struct rig *rig, u32 index, u64 id, u64 value)
{
	struct kvm_one_reg reg = { id, (u64)(uintptr_t)&value };

	return call(rig->vcpus[index], KVM_SET_ONE_REG, &reg);
}

u64 rig_get(struct rig *rig, u32 index, u64 id)
{
	u64 value = 0;
	struct kvm_one_reg reg = { id, (u64)(uintptr_t)&value };

	SAME(call(rig->vcpus[index], KVM_GET_ONE_REG, &reg), 0);
	return value;
}

long rig_run(struct rig *rig, u32 index)
{
	return call_value(rig->vcpus[index], KVM_RUN, 0);
}

long rig_cap(int fd, u32 cap)
{
	return call_value(fd, KVM_CHECK_EXTENSION, cap);
}

static const struct row *const lists[] = { machine_rows, rme_rows, rmi_rows, pkvm_rows };

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (const struct row *r = lists[i]; r->name; r++) {
			if (argc > 1 && !strcmp(argv[1], "--list")) {
				printf("%s %s %s\n", r->name, r->model, r->script ? r->script : "");
			} else if (argc > 1 && !strcmp(argv[1], r->name)) {
				r->run();
				return 0;
			}
		}
	}
	return argc > 1 && !strcmp(argv[1], "--list") ? 0 : 2;
}
