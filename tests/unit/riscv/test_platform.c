/* SPDX-License-Identifier: MIT */
/* The riscv64 machine's address space, how much memory a host allows, and what KVM is asked. */
#include "address_map.h"
#include "fake_ioctl.h"

#include "../../../riscv/riscv.h"
#include "lkvm/device.h"
#include "lkvm/irq.h"
#include "lkvm/log.h"
#include "lkvm/vm.h"

#define VM_FD 1000

/* A VM of KVM's. */
static struct {
	bool can; /* Linux 7.2 */
	u64 gpa_bits;
	u32 lowered, resets;
	unsigned long lacks; /* the one capability that it does not have */
} host;

static int enable_cap(const struct kvm_enable_cap *cap)
{
	errno = EINVAL;
	if (!host.can)
		return -1;
	switch (cap->cap) {
	case KVM_CAP_VM_GPA_BITS:
		host.gpa_bits = cap->args[0];
		host.lowered++;
		return 0;
	case KVM_CAP_RISCV_MP_STATE_RESET:
		host.resets++;
		return 0;
	}
	return -1;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	errno = EBADF;
	if (fd != VM_FD)
		return -1;
	if (request == KVM_CHECK_EXTENSION)
		return (unsigned long)arg != host.lacks;
	return request == KVM_ENABLE_CAP ? enable_cap(arg) : -1;
}

static struct boot_map map_of(u64 memory, enum virtio_transport_kind transport)
{
	return map_with(riscv_map_memory, memory, transport);
}

/* Three levels of tables (Sv39x4) as long as all is within them, then four (Sv48x4). */
static void test_few_address_bits(void **state)
{
	assert_int_equal(map_of(512 * MiB, TRANSPORT_MMIO).bits, 41);
	assert_int_equal(map_of(512 * MiB, TRANSPORT_MMIO).ram_end, RISCV_RAM + 512 * MiB);
	assert_int_equal(map_of(2046 * GiB, TRANSPORT_MMIO).bits, 41);
	assert_int_equal(map_of(2046 * GiB + 4 * KiB, TRANSPORT_MMIO).bits, 42);
	assert_int_equal(map_of(2030 * GiB, TRANSPORT_PCI).bits, 41);
	assert_int_equal(map_of(2030 * GiB + 4 * KiB, TRANSPORT_PCI).bits, 42);
	assert_int_equal(map_of(1ULL << 50, TRANSPORT_MMIO).bits, 51);
}

static void test_window_above_ram(void **state)
{
	check_window_above_ram(riscv_map_memory, RISCV_RAM);
}

/* Persistent memory lies between RAM and the window, from a GiB on. */
static void test_persistent_memory(void **state)
{
	struct vm_config cfg = { .memory = 512 * MiB, .transport = TRANSPORT_PCI };
	struct boot_map map;

	riscv_map_memory(&cfg, 14 * GiB, &map);
	assert_int_equal(map.pmem_base, RISCV_RAM + GiB);
	assert_int_equal(map.pmem_end, 17 * GiB);
	assert_int_equal(map.pci_mem64_base, 32 * GiB);
	assert_no_room(&cfg, 2048 * GiB, "--pmem: 2048G of files, and --mem, need 42 address bits");
}

/* A host that does not say has three levels. */
static void test_memory_limit(void **state)
{
	check_memory_limit(41, 2030 * GiB, 2046 * GiB);
}

/* One line for whatever is not there. */
static void test_needs(void **state)
{
	static const struct {
		unsigned long cap;
		const char *name;
	} needs[] = {
		{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
		{ KVM_CAP_ONE_REG, "KVM_CAP_ONE_REG" },
		{ KVM_CAP_DEVICE_CTRL, "KVM_CAP_DEVICE_CTRL" },
		{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
		{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
		{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	};
	const struct kvm kvm = { .sys_fd = VM_FD, .vm_fd = VM_FD };

	host.lacks = ~0UL;
	assert_int_equal(arch_check_host(&kvm), 0);
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		host.lacks = needs[i].cap;
		capture_begin();
		assert_int_equal(arch_check_host(&kvm), -ENOTSUP);
		assert_contains(capture_end(), needs[i].name);
		assert_one_line(captured);
	}
}

static void test_most_vcpus(void **state)
{
	struct vm_config cfg = { .cpus = RISCV_MAX_VCPUS };

	assert_int_equal(arch_config_complete(&cfg), 0);
	cfg.cpus++;
	capture_begin();
	assert_int_equal(arch_config_complete(&cfg), -EINVAL);
	assert_contains(capture_end(), "--cpus 4097: the maximum on riscv64 is 4096 vcpus");
	assert_one_line(captured);
}

static void begin_vm(struct vm *vm, const struct vm_config *cfg, u64 pmem, bool can)
{
	memset(&host, 0, sizeof(host));
	host.lacks = KVM_CAP_IRQCHIP;
	host.can = can;
	assert_int_equal(vm_init(vm, cfg), 0);
	vm->kvm.vm_fd = VM_FD;
	vm->pmem_size = pmem;
	capture_begin();
	assert_int_equal(arch_add_memory(vm), 0);
	assert_int_equal(arch_vm_init(vm, NULL), 0);
	assert_string_equal(capture_end(), "");
}

static void end_vm(struct vm *vm)
{
	vm->kvm.vm_fd = -1;
	arch_vm_destroy(vm);
	vm_destroy(vm);
}

/* As few address bits as hold everything, and vcpus that it resets; one that can do neither does.
 */
static void test_asked_of_kvm(void **state)
{
	const struct vm_config cfg = { .cpus = 1, .memory = 16 * MiB, .transport = TRANSPORT_PCI };
	struct vm vm;

	begin_vm(&vm, &cfg, 0, true);
	assert_int_equal(host.lowered, 1);
	assert_int_equal(host.gpa_bits, 41);
	assert_int_equal(host.resets, 1);
	assert_true(vm.arch->mp_state_reset);
	end_vm(&vm);
	begin_vm(&vm, &cfg, 2048 * GiB, true);
	assert_int_equal(host.gpa_bits, 42);
	end_vm(&vm);
	begin_vm(&vm, &cfg, 0, false);
	assert_false(vm.arch->mp_state_reset);
	end_vm(&vm);
}

/* A reset begins with the interrupt controller, to which all others drive their lines then. */
static void test_first_device(void **state)
{
	const struct vm_config cfg = { .cpus = 1, .memory = 16 * MiB };
	struct vm vm;

	begin_vm(&vm, &cfg, 0, false);
	assert_int_equal(irq_init(&vm.irqs, vm.irqs.ops, vm.irqs.opaque), 0);
	assert_int_equal(arch_add_devices(&vm), 0);
	assert_string_equal(vm.devices->name, "plic");
	vm_destroy_devices(&vm);
	end_vm(&vm);
}

static void test_nothing_overlaps(void **state)
{
	const struct arch_platform *p = &arch_platform;
	const struct range ranges[] = {
		{ p->pci.io_mmio_base, p->pci.io_size },
		{ RISCV_IRQCHIP, RISCV_IRQCHIP_SIZE },
		{ p->serial.base, p->serial.size },
		{ RISCV_RTC, 4 * KiB },
		{ p->debug_exit.base, p->debug_exit.size },
		{ p->boot_mark.base, p->boot_mark.size },
		{ RISCV_SYSCON, 4 * KiB },
		{ p->virtio_mmio_base, p->virtio_mmio_stride * p->virtio_mmio_max },
		{ RISCV_ROM, RISCV_ROM_SIZE },
		{ p->flash.base, p->flash.size },
		{ p->pci.ecam_base, p->pci.ecam_size },
		{ p->pci.mem32_base, p->pci.mem32_size },
		{ RISCV_RAM, 1ULL << 40 },
	};

	assert_ranges_rise(ranges, ARRAY_SIZE(ranges));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_address_bits),
		cmocka_unit_test(test_window_above_ram),
		cmocka_unit_test(test_persistent_memory),
		cmocka_unit_test(test_memory_limit),
		cmocka_unit_test(test_nothing_overlaps),
		cmocka_unit_test(test_asked_of_kvm),
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_most_vcpus),
		cmocka_unit_test(test_first_device),
	};

	log_set_level(LOG_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
