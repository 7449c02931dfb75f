/* SPDX-License-Identifier: MIT */
/* Registers as a debugger, a core file and a dump show them. */
#include "devvm.h"
#include "one_regs.h"

#include <stdio.h>
#include <sys/mman.h>

#include "../../../gdb-vm.h"
#include "lkvm/arch.h"
#include "lkvm/debug.h"
#include "lkvm/memory.h"
#include "lkvm/vcpu.h"

#define RAM_SIZE 0x10000

static struct {
	struct devvm d;
	struct arch_vcpu arch;
	struct vcpu vcpu, *list[1];
	u8 *ram;
} t;

static int begin(void **state)
{
	memset(&t, 0, sizeof(t));
	memset(&regs, 0, sizeof(regs));
	devvm_init(&t.d);
	t.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(
		memory_add_borrowed(&t.d.vm.mem, RISCV_RAM, RAM_SIZE, t.ram, MEM_RAM, "ram"), 0);
	t.vcpu = (struct vcpu){ .vm = &t.d.vm, .fd = -1, .arch = &t.arch };
	return 0;
}

static int end(void **state)
{
	vm_destroy(&t.d.vm);
	munmap(t.ram, RAM_SIZE);
	return 0;
}

/* The register that GDB counts as number @n, by its name. */
static const struct debug_reg *numbered(u32 n, const char *name, u32 *index)
{
	const struct debug_feature *f;
	char text[32];
	u32 nr;

	f = arch_debug_features(&t.d.vm, &nr);
	for (u32 i = 0; i < nr; i++)
		for (u32 k = 0; k < f[i].nr_regs; k++) {
			const struct debug_reg *r = &f[i].regs[k];
			u32 count = debug_reg_count(r);

			if (n >= count) {
				n -= count;
				continue;
			}
			snprintf(text, sizeof(text), r->count ? "%s%u" : "%s", r->name, n);
			assert_string_equal(text, name);
			*index = n;
			return r;
		}
	fail_msg("there is no register %s", name);
	return NULL;
}

static u64 shown(u32 n, const char *name)
{
	u8 value[DEBUG_REG_MAX];
	u32 index;
	const struct debug_reg *r = numbered(n, name, &index);

	assert_int_equal(arch_debug_get(&t.vcpu, r, index, value), 0);
	return get_le(value, r->bytes);
}

static void change(u32 n, const char *name, u64 to)
{
	u8 value[DEBUG_REG_MAX];
	u32 index;
	const struct debug_reg *r = numbered(n, name, &index);

	put_le(value, r->bytes, to);
	assert_int_equal(arch_debug_set(&t.vcpu, r, index, value), 0);
}

/* GDB's numbers: X0 is 0, pc 32, F0 33 (GDB, gdb/riscv-tdep.h), as it names them. */
static void test_order(void **state)
{
	for (u32 i = 0; i < 32; i++) {
		*core_reg(i) = 0x1000 + i;
		*reg(RISCV_FP_REG(i)) = 0x4000000000000000ULL + i;
	}
	*core_reg(RISCV_CORE_MODE) = 1;
	*csr_reg(RISCV_CSR_SENVCFG) = 0xabc;
	assert_int_equal(shown(0, "zero"), 0);
	assert_int_equal(shown(1, "ra"), 0x1001);
	assert_int_equal(shown(2, "sp"), 0x1002);
	assert_int_equal(shown(8, "fp"), 0x1008);
	assert_int_equal(shown(10, "a0"), 0x100a);
	assert_int_equal(shown(17, "a7"), 0x1011);
	assert_int_equal(shown(18, "s2"), 0x1012);
	assert_int_equal(shown(27, "s11"), 0x101b);
	assert_int_equal(shown(31, "t6"), 0x101f);
	assert_int_equal(shown(32, "pc"), 0x1000);
	assert_int_equal(shown(33, "f0"), 0x4000000000000000ULL);
	assert_int_equal(shown(64, "f31"), 0x400000000000001fULL);
	assert_int_equal(shown(78, "senvcfg"), 0xabc);
	assert_int_equal(shown(79, "priv"), 1);
	/* Each of the names is at the id of its number. */
	for (u32 i = 1; i < 32; i++)
		assert_int_equal(riscv_x_regs[i].where, RISCV_CORE_REG(i));
	for (u32 i = 0; i < RISCV_CSRS; i++)
		assert_int_equal(riscv_csrs[i].where, RISCV_CSR_REG(i));
}

static void test_change(void **state)
{
	change(10, "a0", 0x123456789abcdef0ULL);
	assert_int_equal(*core_reg(10), 0x123456789abcdef0ULL);
	change(34, "f1", 77);
	assert_int_equal(*reg(RISCV_FP_REG(1)), 77);
	change(0, "zero", 5);
	assert_int_equal(shown(0, "zero"), 0);
	assert_int_equal(regs.sets, 2);
}

/* Three views of one. */
static void test_fcsr(void **state)
{
	*reg(RISCV_FCSR) = 0xffffff7f;
	assert_int_equal(shown(65, "fflags"), 0x1f);
	assert_int_equal(shown(66, "frm"), 3);
	assert_int_equal(shown(67, "fcsr"), 0xffffff7f);
	change(65, "fflags", 0xe1);
	assert_int_equal(*reg(RISCV_FCSR), 0xffffff61);
	change(66, "frm", 0xc);
	assert_int_equal(*reg(RISCV_FCSR), 0xffffff81);
	change(67, "fcsr", 0x21);
	assert_int_equal(*reg(RISCV_FCSR), 0x21);
}

/* As many as there are, of the length that they have. */
static void test_vectors(void **state)
{
	static const u32 lengths[] = { 16, 32, 64 };
	const u64 vlenb = KVM_REG_RISCV | KVM_REG_SIZE_U64 | 9ULL << 24 | 4;
	u8 value[DEBUG_REG_MAX] = { 0 };
	u32 index, nr;

	t.list[0] = &t.vcpu;
	t.d.vm.vcpus = t.list;
	t.d.vm.nr_vcpus = 1;
	for (u32 i = 0; i < ARRAY_SIZE(lengths); i++) {
		const u64 v1 = KVM_REG_RISCV | (4ULL + i) << KVM_REG_SIZE_SHIFT | 9ULL << 24 | 7;
		const struct debug_reg *r;

		*reg(vlenb) = lengths[i];
		r = numbered(81, "v1", &index);
		assert_int_equal(r->bytes, lengths[i]);
		*reg(v1) = 0x1122334455667788;
		reg(v1)[lengths[i] / 8 - 1] |= 0x77ULL << 56;
		assert_int_equal(arch_debug_get(&t.vcpu, r, index, value), 0);
		assert_int_equal(value[0], 0x88);
		assert_int_equal(value[lengths[i] - 1], 0x77);
		value[lengths[i] - 1] = 0x66;
		assert_int_equal(arch_debug_set(&t.vcpu, r, index, value), 0);
		assert_int_equal(reg(v1)[lengths[i] / 8 - 1] >> 56, 0x66);
		assert_int_equal(shown(116, "vlenb"), lengths[i]);
	}
	/* None, and longer ones. */
	*reg(vlenb) = 128;
	arch_debug_features(&t.d.vm, &nr);
	assert_int_equal(nr, 4);
	*reg(vlenb) = 16;
	regs.refused = vlenb;
	arch_debug_features(&t.d.vm, &nr);
	assert_int_equal(nr, 4);
	t.d.vm.nr_vcpus = 0;
	t.d.vm.vcpus = NULL;
}

/* What is not there is said so, and is no register of zeroes. */
static void test_refused(void **state)
{
	u8 value[DEBUG_REG_MAX] = { 0 };
	u32 index;
	const struct debug_reg *r = numbered(33, "f0", &index);

	regs.refused = RISCV_FP_REG(0);
	assert_int_equal(arch_debug_get(&t.vcpu, r, index, value), -ENOENT);
	assert_int_equal(arch_debug_set(&t.vcpu, r, index, value), -ENOENT);
}

static void test_core(void **state)
{
	u8 general[256] = { 0 }, fp[264] = { 0 };

	assert_int_equal(arch_core.machine, 243); /* EM_RISCV */
	assert_int_equal(arch_core.flags, 5);
	assert_int_equal(arch_core.regs_size, sizeof(general));
	assert_int_equal(arch_core.fpregs_size, sizeof(fp));
	for (u32 i = 0; i < 32; i++) {
		*core_reg(i) = 0x1000 + i;
		*reg(RISCV_FP_REG(i)) = 0x2000 + i;
	}
	*reg(RISCV_FCSR) = 0x7f;
	assert_int_equal(arch_vcpu_core(&t.vcpu, general, fp, NULL), 0);
	for (u32 i = 0; i < 32; i++) {
		assert_int_equal(get_le(general + i * 8, 8), 0x1000 + i);
		assert_int_equal(get_le(fp + i * 8, 8), 0x2000 + i);
	}
	assert_int_equal(get_le(fp + 256, 8), 0x7f);
	/* Without floating point there are the others; without those, nothing. */
	regs.refused = RISCV_FCSR;
	assert_int_equal(arch_vcpu_core(&t.vcpu, general, fp, NULL), 0);
	regs.refused = RISCV_CORE_REG(31);
	assert_int_equal(arch_vcpu_core(&t.vcpu, general, fp, NULL), -ENOENT);
}

static void dump(char *text, size_t room)
{
	FILE *out = fmemopen(text, room, "w");

	assert_non_null(out);
	arch_vcpu_dump(&t.vcpu, out);
	fclose(out);
}

static void test_dump(void **state)
{
	char text[8192];

	put_le(t.ram + 0xff0, 4, 0x00000013);
	put_le(t.ram + 0x1000, 2, 0x9002);
	put_le(t.ram + 0x2000, 8, 0x1122334455667788ULL);
	*core_reg(RISCV_CORE_PC) = RISCV_RAM + 0x1000;
	*core_reg(RISCV_CORE_SP) = RISCV_RAM + 0x2000;
	*core_reg(31) = 0x31;
	*csr_reg(RISCV_CSR_STVEC) = 0xffff;
	dump(text, sizeof(text));
	assert_non_null(strstr(text, "vcpu 0:\n  pc 0000000080001000 U-mode\n  ra "));
	assert_non_null(strstr(text, " t6         0000000000000031\n  sstatus    0"));
	assert_non_null(strstr(text, " stvec      000000000000ffff "));
	assert_non_null(strstr(text,
			       "  code 80001000 (physical 80001000): 0013 0000 0000 0000 0000 0000 "
			       "0000 0000 <9002> 0000"));
	assert_non_null(strstr(text, "  stack 80002000: 1122334455667788 0000000000000000 "));
	*core_reg(RISCV_CORE_MODE) = 1;
	regs.mp_state = KVM_MP_STATE_STOPPED;
	dump(text, sizeof(text));
	assert_non_null(strstr(text, " S-mode, stopped\n"));
	/* At the edge of memory; nowhere. */
	*core_reg(RISCV_CORE_PC) = RISCV_RAM;
	*core_reg(RISCV_CORE_SP) = RISCV_RAM + RAM_SIZE - 8;
	dump(text, sizeof(text));
	assert_non_null(strstr(text, " ---- ---- <0000> 0000"));
	assert_non_null(strstr(text, "  stack 8000fff8: 0000000000000000 --\n"));
	*csr_reg(RISCV_CSR_SATP) = 8ULL << 60;
	dump(text, sizeof(text));
	assert_non_null(strstr(text, "  code 80000000: cannot be read\n"));
	regs.refused = RISCV_CORE_REG(RISCV_CORE_PC);
	dump(text, sizeof(text));
	assert_string_equal(text, "vcpu 0: cannot read its registers: No such file or directory\n");
}

/* GDB says how long the instruction is: after a short one comes another, which others may jump to.
 */
static void test_breaks(void **state)
{
	struct gdb_points p = { 0 };
	const char *why = NULL;
	u8 old[8], *code = t.ram + 0x100;
	const u64 at = RISCV_RAM + 0x100;

	for (u32 i = 0; i < 8; i++)
		code[i] = (u8)(0xa0 + i);
	assert_int_equal(gdb_put_point(&p, &t.vcpu, 0, at, 4, &why), 0);
	assert_int_equal(get_le(code, 4), 0x00100073);
	assert_int_equal(gdb_put_point(&p, &t.vcpu, 0, at + 4, 2, &why), 0);
	assert_int_equal(get_le(code + 4, 4), 0xa7a69002);
	assert_int_equal(gdb_read_page(&p, &t.d.vm.mem, at, old, sizeof(old)), 0);
	assert_int_equal(get_le(old, 8), 0xa7a6a5a4a3a2a1a0);
	/* Nothing of the next page is replaced. */
	assert_int_equal(gdb_put_point(&p, &t.vcpu, 0, RISCV_RAM + 0xffe, 4, &why), -EFAULT);
	assert_int_equal(gdb_put_point(&p, &t.vcpu, 0, at + 6, 9, &why), 0);
	assert_int_equal(get_le(code + 6, 2), 0x9002);
	gdb_drop_points(&p, &t.d.vm, true);
	assert_int_equal(get_le(code, 8), 0xa7a6a5a4a3a2a1a0);
	/* There are no others. */
	assert_int_equal(gdb_put_point(&p, &t.vcpu, DEBUG_EXEC, at, 4, &why), -ENOTSUP);
	assert_int_equal(gdb_put_point(&p, &t.vcpu, DEBUG_WRITE, at, 4, &why), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, begin, end),
		cmocka_unit_test_setup_teardown(test_change, begin, end),
		cmocka_unit_test_setup_teardown(test_fcsr, begin, end),
		cmocka_unit_test_setup_teardown(test_vectors, begin, end),
		cmocka_unit_test_setup_teardown(test_refused, begin, end),
		cmocka_unit_test_setup_teardown(test_core, begin, end),
		cmocka_unit_test_setup_teardown(test_breaks, begin, end),
		cmocka_unit_test_setup_teardown(test_dump, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
