/* SPDX-License-Identifier: MIT */
/* coco.c: what a guest's word does to its private memory. A memfd plays the guest_memfd. */
#include "unit.h"

#include <sys/mman.h>
#include <unistd.h>

#include "capture.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#include <kvm-compat.h>

#define HC_MAP_GPA_RANGE 12 /* Linux include/uapi/linux/kvm_para.h */

#define BASE  0x100000ULL
#define PAGE  4096ULL
#define PAGES 16ULL

static struct vm vm;
static struct kvm_run run;
static struct vcpu vcpu;
static struct vm_config cfg;

static int setup(void **state)
{
	int fd = memfd_create("private", MFD_CLOEXEC);

	memset(&vcpu, 0, sizeof(vcpu));
	memset(&run, 0, sizeof(run));
	memset(&cfg, 0, sizeof(cfg));
	memset(&vm, 0, sizeof(vm));
	memory_init(&vm.mem);
	vcpu.vm = &vm;
	vcpu.run = &run;
	assert_int_equal(ftruncate(fd, (off_t)(PAGES * PAGE)), 0);
	assert_int_equal(memory_add(&vm.mem, &(struct memory_desc){ .gpa = BASE,
								    .size = PAGES * PAGE,
								    .private = true,
								    .private_fd = fd,
								    .name = "ram" }),
			 0);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	memory_destroy(&vm.mem);
	return 0;
}

static u64 map_gpa(u64 gpa, u64 pages, u64 flags)
{
	run.hypercall.nr = HC_MAP_GPA_RANGE;
	run.hypercall.args[0] = gpa;
	run.hypercall.args[1] = pages;
	run.hypercall.args[2] = flags;
	run.hypercall.ret = 77;
	capture_begin();
	assert_int_equal(coco_map_gpa(&vcpu), 0);
	capture_end();
	return run.hypercall.ret;
}

static bool is_shared(u64 page)
{
	return memory_ptr(&vm.mem, BASE + page * PAGE, PAGE);
}

static void test_map_gpa(void **state)
{
	assert_int_equal(map_gpa(BASE + PAGE, 2, 0), 0);
	assert_false(is_shared(0));
	assert_true(is_shared(1) && is_shared(2));
	assert_false(is_shared(3));
	/* 2 MiB pages are told as their 4 KiB pages, too. */
	assert_int_equal(map_gpa(BASE + PAGE, 1, 1 << 4 | 1), 0);
	assert_false(is_shared(1));
	assert_true(is_shared(2));
	assert_int_equal(map_gpa(BASE, 0, 0), 0);
}

/* The guest gets an answer that KVM takes, and nothing is changed. */
static void test_hostile_ranges(void **state)
{
	static const struct {
		u64 gpa, pages;
	} bad[] = {
		{ BASE + 1, 1 },    { BASE, PAGES + 1 },  { BASE - PAGE, 2 },
		{ 0xfee00000, 1 },  { BASE, 1ULL << 52 }, { BASE, ~0ULL },
		{ ~0ULL << 12, 2 }, { ~0ULL << 12, 1 },	  { BASE, (1ULL << 52) - 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(map_gpa(bad[i].gpa, bad[i].pages, 0), EINVAL);
		assert_false(is_shared(0));
	}
	run.hypercall.nr = HC_MAP_GPA_RANGE + 1;
	run.hypercall.ret = 77;
	assert_int_equal(coco_map_gpa(&vcpu), -ENOTSUP);
	assert_int_equal(run.hypercall.ret, 77);
}

static int fault(u64 gpa, u64 size, u64 flags)
{
	const struct lkvm_exit_memory_fault f = { .flags = flags, .gpa = gpa, .size = size };

	memcpy(&run.hw, &f, sizeof(f));
	return coco_memory_fault(&vcpu);
}

static void test_faults(void **state)
{
	assert_int_equal(fault(BASE, PAGE, 0), 0);
	assert_true(is_shared(0));
	assert_false(is_shared(1));
	assert_int_equal(fault(BASE, PAGE, KVM_MEMORY_EXIT_FLAG_PRIVATE), 0);
	assert_false(is_shared(0));
	assert_int_equal(fault(BASE + 0x10, 1, 0), 0);
	assert_true(is_shared(0));
	/* No memory, or none that could be. */
	assert_int_equal(fault(0, PAGE, 0), -ENOTSUP);
	assert_int_equal(fault(~0ULL << 12, PAGE, 0), -ENOTSUP);
	assert_int_equal(fault(BASE, ~0ULL, 0), -ENOTSUP);
}

/* One that is answered and comes back all the same does not run for ever. */
static void test_fault_that_stays(void **state)
{
	assert_int_equal(fault(BASE, PAGE, 0), 0);
	assert_int_equal(fault(BASE, PAGE, 0), 0);
	assert_int_equal(fault(BASE, PAGE, 0), 0);
	assert_int_equal(fault(BASE, PAGE, 0), -ENOTSUP);
	assert_int_equal(fault(BASE + PAGE, PAGE, 0), 0);
	assert_int_equal(fault(BASE, PAGE, 0), 0);
}

/* What is said of one that ends the guest. */
static void failed(int error, const char *what)
{
	capture_begin();
	assert_int_equal(coco_fault_failed(&vcpu, error), what ? 0 : -ENOTSUP);
	capture_end();
	if (what)
		assert_non_null(strstr(captured, what));
	else
		assert_string_equal(captured, "");
}

static void test_fault_that_ends(void **state)
{
	run.exit_reason = KVM_EXIT_MEMORY_FAULT;
	assert_int_equal(fault(0x5000, PAGE, 0), -ENOTSUP);
	failed(EFAULT, "used 0x5000 as shared memory, and has none there");
	assert_int_equal(fault(0x6000, PAGE, KVM_MEMORY_EXIT_FLAG_PRIVATE), -ENOTSUP);
	failed(EFAULT, "used 0x6000 as private memory");
	failed(EIO, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fault(BASE, PAGE, 0), 0);
	assert_int_equal(fault(BASE, PAGE, 0), -ENOTSUP);
	failed(EFAULT, "was made shared, and KVM still finds it otherwise");
	run.exit_reason = KVM_EXIT_MMIO;
	failed(EFAULT, NULL);
}

static void refused(const char *what)
{
	capture_begin();
	assert_int_equal(coco_check(&cfg, "--kind"), -EINVAL);
	capture_end();
	assert_non_null(strstr(captured, what));
	assert_non_null(strstr(captured, "--kind and "));
	memset(&cfg, 0, sizeof(cfg));
}

static void test_check(void **state)
{
	char path[] = "/dev/hugepages";

	assert_int_equal(coco_check(&cfg, "--kind"), 0);
	cfg.gdb.on = true;
	refused("--gdb");
	cfg.hugetlbfs = path;
	refused("--hugetlbfs");
	cfg.transport = TRANSPORT_PCI_LEGACY;
	refused("legacy");
	cfg.transport = TRANSPORT_MMIO_LEGACY;
	refused("legacy");
	cfg.balloon = true;
	refused("--balloon");
	cfg.nr_vfios = 1;
	refused("--vfio");
	cfg.nr_pmems = 1;
	refused("--pmem");
	cfg.vsock.cid = 3;
	refused("--vsock");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_map_gpa, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fault_that_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fault_that_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
