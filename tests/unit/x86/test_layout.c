/* SPDX-License-Identifier: MIT */
/* The x86 machine's address space above RAM. */
#include "unit.h"

#include "../../../x86/layout.h"
#include "capture.h"
#include "lkvm/arch.h"
#include "lkvm/boot.h"
#include "lkvm/config.h"
#include "lkvm/memory.h"
#include "lkvm/vm.h"

static int sketch(struct vm *vm, struct vm_config *cfg, u64 memory, u64 pmem)
{
	static const struct boot boot;
	int ret;

	*cfg = (struct vm_config){ .memory = memory, .cpus = 1 };
	assert_int_equal(vm_init(vm, cfg), 0);
	vm->pmem_size = pmem;
	capture_begin();
	ret = arch_sketch(vm, &boot);
	capture_end();
	return ret;
}

static void end(struct vm *vm)
{
	arch_vm_destroy(vm);
	vm_destroy(vm);
}

static void expect(u64 memory, u64 pmem, u64 pmem_base, u64 window)
{
	struct vm_config cfg;
	struct vm vm;

	assert_int_equal(sketch(&vm, &cfg, memory, pmem), 0);
	if (pmem)
		assert_int_equal(arch_pmem_base(&vm), pmem_base);
	assert_int_equal(arch_pci_mem64_base(&vm), window);
	end(&vm);
}

/* From a GiB on, between RAM and the window for 64-bit BARs, which is where it was without any. */
static void test_persistent_memory(void **state)
{
	expect(512 * MiB, 0, 0, 16 * GiB);
	expect(512 * MiB, GiB, 4 * GiB, 16 * GiB);
	expect(512 * MiB, 12 * GiB, 4 * GiB, 16 * GiB);
	expect(512 * MiB, 13 * GiB, 4 * GiB, 32 * GiB);
	expect(4 * GiB + MiB, GiB, 6 * GiB, 16 * GiB);
	expect(15 * GiB, 0, 0, 16 * GiB);
	expect(15 * GiB, GiB, 16 * GiB, 32 * GiB);
}

static void test_too_much(void **state)
{
	struct vm_config cfg;
	struct vm vm;

	assert_int_equal(sketch(&vm, &cfg, 512 * MiB, 1ULL << 52), -EINVAL);
	assert_contains(captured,
			"--pmem: 4194304G of files, and --mem, are more than a guest's 52 "
			"address bits reach on this host; omit some");
	assert_one_line(captured);
	end(&vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_persistent_memory),
		cmocka_unit_test(test_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
