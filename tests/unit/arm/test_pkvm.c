/* SPDX-License-Identifier: MIT */
/* arm/pkvm.c against a host that answers as told: what --protected excludes, and what it asks for.
 */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../arm/arm.h"
#include "../../../arm/pkvm.h"
#include "capture.h"
#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/memory.h"

/* Linux 7.1, include/uapi/linux/kvm.h. */
#define TYPE_PROTECTED (1ULL << 31)

static struct {
	u64 type;
	int create_error, set_error;
	struct rlimit limit;
	bool may_lock, was_set;
} host;

static int fake_create_vm(const struct kvm *kvm, u64 type)
{
	host.type = type;
	return host.create_error;
}

static int fake_get_limit(struct rlimit *limit)
{
	*limit = host.limit;
	return 0;
}

static int fake_set_limit(const struct rlimit *limit)
{
	host.was_set = true;
	if (host.set_error)
		return host.set_error;
	host.limit = *limit;
	return 0;
}

static bool fake_may_lock(void)
{
	return host.may_lock;
}

static const struct arm_pkvm_host fake = {
	.create_vm = fake_create_vm,
	.get_limit = fake_get_limit,
	.set_limit = fake_set_limit,
	.may_lock = fake_may_lock,
};

static struct vm_config plain(void)
{
	return (struct vm_config){ .arm.protected = true, .cpus = 2, .memory = 256 * MiB };
}

static void assert_refused(const struct vm_config *cfg, const char *why)
{
	struct vm_config copy = *cfg;

	capture_begin();
	assert_int_equal(arch_config_complete(&copy), -EINVAL);
	capture_end();
	assert_contains(captured, "--protected");
	assert_contains(captured, why);
	assert_one_line(captured);
	/* Without it, all is as before. */
	copy = *cfg;
	copy.arm.protected = false;
	assert_int_equal(arm_pkvm_check(&copy), 0);
}

static void test_excluded(void **state)
{
	static char flash[] = "f", huge[] = "h";
	struct vm_config cfg = plain();

	assert_int_equal(arch_config_complete(&cfg), 0);
	cfg.arm.nested = true;
	assert_refused(&cfg, "--nested");
	cfg = plain();
	cfg.arm.aarch32 = true;
	assert_refused(&cfg, "--aarch32");
	cfg = plain();
	cfg.arm.has_counter_offset = true;
	assert_refused(&cfg, "--counter-offset");
	cfg = plain();
	cfg.arm.psci = PSCI_USER;
	assert_refused(&cfg, "--psci user");
	cfg = plain();
	cfg.arm.irqchip = ARM_IRQCHIP_GICV2;
	assert_refused(&cfg, "use --irqchip gicv3");
	cfg.arm.irqchip = ARM_IRQCHIP_GICV2M;
	assert_refused(&cfg, "use --irqchip gicv3");
	cfg.arm.irqchip = ARM_IRQCHIP_GICV3_ITS;
	assert_int_equal(arch_config_complete(&cfg), 0);
	cfg.fdt.flash = flash;
	assert_refused(&cfg, "--flash");
	cfg = plain();
	cfg.nr_pmems = 1;
	assert_refused(&cfg, "--pmem");
	cfg = plain();
	cfg.hugetlbfs = huge;
	assert_refused(&cfg, "--hugetlbfs");
}

static void test_memory_above_pool(void **state)
{
	struct vm_config cfg = plain();

	cfg.memory = ARM_DMA_POOL_SIZE;
	assert_refused(&cfg, "64M of memory is not enough");
	cfg.memory += 4 * KiB;
	assert_int_equal(arch_config_complete(&cfg), 0);
}

static void test_features(void **state)
{
	static const struct {
		const char *words, *named;
	} refused[] = {
		{ "host,+sve", "'+sve'" }, { "host,+pmu", "'+pmu'" },	 { "host,+mte", "'+mte'" },
		{ "host,-lse", "'-lse'" }, { "host,+bogus", "'bogus'" },
	};
	static const char *const fine[] = { "host", "host,-sve,-pmu,-mte", "host,+pauth",
					    "host,-pauth" };
	struct vm_config cfg = plain();

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		cfg.arm.cpu = (char *)refused[i].words;
		capture_begin();
		assert_int_equal(arch_config_complete(&cfg), -EINVAL);
		capture_end();
		assert_contains(captured, refused[i].named);
		assert_one_line(captured);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		cfg.arm.cpu = (char *)fine[i];
		assert_int_equal(arch_config_complete(&cfg), 0);
	}
	cfg.arm.cpu = NULL;
	cfg.arm.pmu = true;
	assert_refused(&cfg, "'+pmu'");
	cfg = plain();
	cfg.arm.sve_max_vl = 256;
	assert_refused(&cfg, "'+sve'");
}

static void test_vm_type(void **state)
{
	const struct kvm kvm = { .sys_fd = -1, .vm_fd = -1 };
	u64 type = 40;

	memset(&host, 0, sizeof(host));
	assert_int_equal(arm_pkvm_vm_type(&fake, &kvm, &type), 0);
	assert_true(type == (TYPE_PROTECTED | 40) && host.type == type);

	type = 40;
	host.create_error = -EINVAL;
	capture_begin();
	assert_int_equal(arm_pkvm_vm_type(&fake, &kvm, &type), -EINVAL);
	capture_end();
	assert_contains(captured, "kvm-arm.mode=protected");
	assert_one_line(captured);
	assert_int_equal(type, 40);

	host.create_error = -ENOMEM;
	capture_begin();
	assert_int_equal(arm_pkvm_vm_type(&fake, &kvm, &type), -ENOMEM);
	capture_end();
	assert_lacks(captured, "kvm-arm.mode");
	assert_contains(captured, strerror(ENOMEM));
}

static void set_host(rlim_t soft, rlim_t hard, int error, bool may)
{
	memset(&host, 0, sizeof(host));
	host.limit = (struct rlimit){ .rlim_cur = soft, .rlim_max = hard };
	host.set_error = error;
	host.may_lock = may;
}

static void test_lock_limit(void **state)
{
	/* Enough as it is. */
	set_host(RLIM_INFINITY, RLIM_INFINITY, 0, false);
	assert_int_equal(arm_pkvm_lock_limit(&fake, GiB), 0);
	set_host(GiB, GiB, 0, false);
	assert_int_equal(arm_pkvm_lock_limit(&fake, GiB), 0);
	assert_false(host.was_set);
	/* Raised; a higher hard limit stays. */
	set_host(8 * MiB, 2 * GiB, 0, false);
	assert_int_equal(arm_pkvm_lock_limit(&fake, GiB), 0);
	assert_true(host.limit.rlim_cur == GiB && host.limit.rlim_max == 2 * GiB);
	set_host(8 * MiB, 8 * MiB, 0, false);
	assert_int_equal(arm_pkvm_lock_limit(&fake, GiB), 0);
	assert_true(host.limit.rlim_cur == GiB && host.limit.rlim_max == GiB);
	/* May not be raised: fatal unless the limit does not count. */
	set_host(8 * MiB, 8 * MiB, -EPERM, true);
	assert_int_equal(arm_pkvm_lock_limit(&fake, GiB), 0);
	set_host(8 * MiB, 16 * MiB, -EPERM, false);
	capture_begin();
	assert_int_equal(arm_pkvm_lock_limit(&fake, GiB), -EPERM);
	capture_end();
	assert_contains(captured, "is locked, 1G");
	assert_contains(captured, "may lock 16M");
	assert_contains(captured, "ulimit -l 1048576");
	assert_one_line(captured);
}

/* The kernel's answer to an access to a donated page is that to one of a page without rights. */
static void test_unshared_page(void **state)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE);
	struct guest_memory mem;
	volatile u8 *ram;

	memory_init(&mem);
	assert_int_equal(memory_add(&mem, &(struct memory_desc){ .gpa = ARM_RAM,
								 .size = 4 * page,
								 .name = "ram" }),
			 0);
	ram = memory_ptr(&mem, ARM_RAM, 4 * page);
	ram[0] = ram[page] = ram[2 * page] = ram[3 * page - 1] = 0x55;
	arm_pkvm_guard(&mem);
	assert_int_equal(mprotect((u8 *)ram + page, 2 * page, PROT_NONE), 0);
	capture_begin();
	assert_int_equal(ram[page + 1], 0);
	ram[2 * page + 7] = 1;
	capture_end();
	assert_contains(captured, "does not share");
	assert_int_equal(ram[page], 0);
	assert_int_equal(ram[2 * page + 7], 1);
	assert_int_equal(ram[2 * page], 0);
	assert_int_equal(ram[0], 0x55);
	arm_pkvm_unguard(&mem);
	memory_destroy(&mem);
}

/* The end of one VM leaves the others' memory guarded. */
static void test_several(void **state)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE);
	struct guest_memory mem[3];
	volatile u8 *ram[3];

	for (int i = 0; i < 3; i++) {
		memory_init(&mem[i]);
		assert_int_equal(memory_add(&mem[i], &(struct memory_desc){ .gpa = ARM_RAM,
									    .size = page,
									    .name = "ram" }),
				 0);
		ram[i] = memory_ptr(&mem[i], ARM_RAM, page);
		arm_pkvm_guard(&mem[i]);
		assert_int_equal(mprotect((u8 *)ram[i], page, PROT_NONE), 0);
	}
	capture_begin();
	for (int gone = 2; gone >= 0; gone--) {
		arm_pkvm_unguard(&mem[(gone + 2) % 3]);
		assert_int_equal(ram[(gone + 1) % 3][9], 0);
		assert_int_equal(mprotect((u8 *)ram[(gone + 1) % 3], page, PROT_NONE), 0);
		arm_pkvm_guard(&mem[(gone + 2) % 3]);
	}
	capture_end();
	for (int i = 0; i < 3; i++) {
		arm_pkvm_unguard(&mem[i]);
		memory_destroy(&mem[i]);
	}
}

/* Elsewhere a fault is a crash as ever. */
static void test_other_faults(void **state)
{
	struct guest_memory mem;
	volatile u8 *other = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	memory_init(&mem);
	for (int with = 0; with < 2; with++) {
		pid = fork();
		if (!pid) {
			arm_pkvm_guard(&mem);
			if (!with)
				arm_pkvm_unguard(&mem);
			(void)*other;
			_exit(0);
		}
		assert_true(waitpid(pid, &status, 0) == pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	}
	munmap((void *)other, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_excluded),     cmocka_unit_test(test_memory_above_pool),
		cmocka_unit_test(test_features),     cmocka_unit_test(test_vm_type),
		cmocka_unit_test(test_lock_limit),   cmocka_unit_test(test_unshared_page),
		cmocka_unit_test(test_other_faults), cmocka_unit_test(test_several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
