/* SPDX-License-Identifier: MIT */
/* The PLIC against its specification (1.0.0). */
#include "unit.h"

#include <libfdt.h>
#include <stdlib.h>

#include "../device_state.h"
#include "lkvm/fdt.h"
#include "plic_rig.h"

/* 1.4, 1.8: the highest priority first, of equals the lowest number. */
static void test_order(void **state)
{
	struct fixture *f = *state;

	open_source(f, 0, 3, 2);
	open_source(f, 0, 40, 5);
	open_source(f, 0, 41, 5);
	open_source(f, 0, LAST, 7);
	assert_int_equal(claim(f, 0), 0);
	riscv_plic_pulse(f->plic, 41);
	riscv_plic_pulse(f->plic, 3);
	riscv_plic_pulse(f->plic, 40);
	riscv_plic_pulse(f->plic, LAST);
	assert_true(f->raised[0]);
	assert_true(pending(f, 40));
	assert_int_equal(claim(f, 0), LAST);
	assert_int_equal(claim(f, 0), 40);
	assert_false(pending(f, 40));
	assert_int_equal(claim(f, 0), 41);
	assert_true(f->raised[0]);
	assert_int_equal(claim(f, 0), 3);
	assert_false(f->raised[0]);
	assert_int_equal(claim(f, 0), 0);
}

/* 1.7, 1.8: the threshold masks what is not above it; a claim does not look at it. */
static void test_threshold(void **state)
{
	struct fixture *f = *state;

	open_source(f, 0, 5, 3);
	write32(f, THRESHOLD, 3);
	riscv_plic_set_level(f->plic, 5, true);
	assert_false(f->raised[0]);
	write32(f, THRESHOLD, 2);
	assert_true(f->raised[0]);
	write32(f, THRESHOLD, 7);
	assert_false(f->raised[0]);
	assert_int_equal(claim(f, 0), 5);
	/* A priority of 0 never interrupts. */
	riscv_plic_set_level(f->plic, 5, false);
	complete(f, 0, 5);
	set_priority(f, 5, 0);
	write32(f, THRESHOLD, 0);
	riscv_plic_set_level(f->plic, 5, true);
	assert_true(pending(f, 5));
	assert_false(f->raised[0]);
	assert_int_equal(claim(f, 0), 0);
	set_priority(f, 5, 1);
	assert_true(f->raised[0]);
}

/* 1.6: a level asks again as long as it is high, and what was let through stays. */
static void test_level(void **state)
{
	struct fixture *f = *state;

	open_source(f, 0, 7, 1);
	riscv_plic_set_level(f->plic, 7, true);
	assert_int_equal(claim(f, 0), 7);
	assert_false(f->raised[0]);
	assert_false(pending(f, 7));
	/* The gateway is shut. */
	riscv_plic_set_level(f->plic, 7, false);
	riscv_plic_set_level(f->plic, 7, true);
	assert_false(f->raised[0]);
	complete(f, 0, 7);
	assert_true(f->raised[0]);
	riscv_plic_set_level(f->plic, 7, false);
	assert_true(f->raised[0]);
	assert_int_equal(claim(f, 0), 7);
	/* It rose and fell meanwhile: nothing is left. */
	riscv_plic_set_level(f->plic, 7, true);
	riscv_plic_set_level(f->plic, 7, false);
	complete(f, 0, 7);
	assert_false(f->raised[0]);
	assert_false(pending(f, 7));
}

/* A pulse that comes while the last is handled is the next one; several are one. */
static void test_pulse(void **state)
{
	struct fixture *f = *state;

	open_source(f, 0, 9, 1);
	riscv_plic_pulse(f->plic, 9);
	riscv_plic_pulse(f->plic, 9);
	assert_int_equal(claim(f, 0), 9);
	riscv_plic_pulse(f->plic, 9);
	riscv_plic_pulse(f->plic, 9);
	assert_false(f->raised[0]);
	complete(f, 0, 9);
	assert_true(f->raised[0]);
	assert_int_equal(claim(f, 0), 9);
	complete(f, 0, 9);
	assert_false(f->raised[0]);
}

/* 1.9: who completes must have it enabled; it need not be who claimed. */
static void test_completion(void **state)
{
	struct fixture *f = *state;

	open_source(f, 0, 33, 1);
	riscv_plic_set_level(f->plic, 33, true);
	assert_int_equal(claim(f, 0), 33);
	complete(f, 1, 33);
	complete(f, 0, 0);
	complete(f, 0, RISCV_NR_LINES);
	complete(f, 0, 33 | 1U << 31);
	complete(f, 0, ~0U);
	assert_false(f->raised[0]);
	/* What nobody claimed is not completed. */
	open_source(f, 0, 34, 1);
	complete(f, 0, 34);
	assert_false(pending(f, 34));
	enable(f, 1, 33);
	complete(f, 1, 33);
	assert_true(f->raised[0]);
	assert_true(f->raised[1]);
}

/* Both are asked, one gets it. */
static void test_two_harts(void **state)
{
	struct fixture *f = *state;

	open_source(f, 0, 11, 4);
	enable(f, 1, 11);
	riscv_plic_set_level(f->plic, 11, true);
	assert_true(f->raised[0] && f->raised[1]);
	assert_int_equal(claim(f, 1), 11);
	assert_false(f->raised[0] || f->raised[1]);
	assert_int_equal(claim(f, 0), 0);
	/* A hart that does not want it, and nothing is told that did not change. */
	write32(f, ENABLE + 0x80, 0);
	complete(f, 0, 11);
	assert_true(f->raised[0]);
	assert_false(f->raised[1]);
	f->outputs = 0;
	riscv_plic_set_level(f->plic, 11, true);
	riscv_plic_set_level(f->plic, 20, true);
	assert_int_equal(f->outputs, 0);
}

/* KVM forgets the interrupt of a hart that is started anew: who sets up its context hears of it. */
static void test_hart_started_anew(void **state)
{
	struct fixture *f = *state;

	open_source(f, 0, 11, 4);
	open_source(f, 1, 11, 4);
	riscv_plic_set_level(f->plic, 11, true);
	f->raised[0] = f->raised[1] = false;
	write32(f, THRESHOLD + 0x1000, 0);
	assert_true(f->raised[1] && !f->raised[0]);
	f->raised[1] = false;
	enable(f, 1, 12);
	assert_true(f->raised[1] && !f->raised[0]);
}

static void test_registers(void **state)
{
	struct fixture *f = *state;

	/* There is no source 0. */
	set_priority(f, 0, 7);
	write32(f, ENABLE, ~0U);
	assert_int_equal(read32(f, BASE), 0);
	assert_int_equal(read32(f, ENABLE), ~1U);
	riscv_plic_set_level(f->plic, 0, true);
	riscv_plic_set_level(f->plic, RISCV_NR_LINES, true);
	riscv_plic_pulse(f->plic, 0);
	riscv_plic_pulse(f->plic, ~0U);
	assert_int_equal(read32(f, PENDING), 0);
	/* Bits that a register does not have, and registers that there are not. */
	set_priority(f, LAST, ~0U);
	assert_int_equal(read32(f, BASE + 4 * LAST), 7);
	set_priority(f, RISCV_NR_LINES, 7);
	assert_int_equal(read32(f, BASE + 4 * RISCV_NR_LINES), 0);
	write32(f, THRESHOLD, ~0U);
	assert_int_equal(read32(f, THRESHOLD), 7);
	write32(f, THRESHOLD + 0x1000, 3);
	assert_int_equal(read32(f, THRESHOLD), 7);
	assert_int_equal(read32(f, THRESHOLD + 0x1000), 3);
	write32(f, THRESHOLD + HARTS * 0x1000, 7);
	assert_int_equal(read32(f, THRESHOLD + HARTS * 0x1000), 0);
	write32(f, ENABLE + 0x80 + 8, ~0U);
	write32(f, ENABLE + 12, ~0U);
	write32(f, ENABLE + HARTS * 0x80, ~0U);
	assert_int_equal(read32(f, ENABLE + 8), 0);
	assert_int_equal(read32(f, ENABLE + 0x80 + 8), ~0U);
	assert_int_equal(read32(f, ENABLE + 12), 0);
	assert_int_equal(read32(f, ENABLE + HARTS * 0x80), 0);
	write32(f, PENDING, ~0U);
	assert_int_equal(read32(f, PENDING), 0);
	assert_int_equal(read32(f, PENDING + 12), 0);
}

/* Only words: a claim by a part of its register is none. */
static void test_other_widths(void **state)
{
	struct fixture *f = *state;

	open_source(f, 0, 2, 1);
	riscv_plic_pulse(f->plic, 2);
	assert_int_equal(read_as(f, CLAIM, 1), 0);
	assert_int_equal(read_as(f, CLAIM, 2), 0);
	assert_int_equal(read_as(f, CLAIM, 8), 0);
	assert_int_equal(read_as(f, THRESHOLD, 8), 0);
	assert_int_equal(read_as(f, CLAIM + 1, 4), 0);
	write_as(f, BASE + 8, 5, 1);
	write_as(f, BASE + 8, 5, 8);
	assert_int_equal(read32(f, BASE + 8), 1);
	assert_int_equal(claim(f, 0), 2);
}

/* Lines stay as the devices have them; no hart is left with an interrupt. */
static void test_reset(void **state)
{
	struct fixture *f = *state;

	open_source(f, 0, 8, 7);
	open_source(f, 0, 9, 6);
	write32(f, THRESHOLD, 1);
	riscv_plic_set_level(f->plic, 8, true);
	riscv_plic_pulse(f->plic, 9);
	assert_int_equal(claim(f, 0), 8);
	assert_true(f->raised[0]);
	f->outputs = 0;
	vm_reset_devices(&f->d.vm);
	/* Whatever a hart had before. */
	assert_int_equal(f->outputs, HARTS);
	assert_false(f->raised[0]);
	assert_false(pending(f, 9));
	assert_int_equal(read32(f, BASE + 4 * 8), 0);
	assert_int_equal(read32(f, ENABLE), 0);
	assert_int_equal(read32(f, THRESHOLD), 0);
	/* Nobody will complete what was claimed before. */
	open_source(f, 1, 8, 1);
	assert_true(f->raised[1]);
	riscv_plic_set_level(f->plic, 8, false);
	assert_false(pending(f, 8));
}

static void use(struct fixture *f)
{
	open_source(f, 0, 2, 1);
	open_source(f, 0, 35, 5);
	open_source(f, 1, LAST, 7);
	write32(f, THRESHOLD + 0x1000, 6);
	riscv_plic_pulse(f->plic, 2);
	riscv_plic_pulse(f->plic, 35);
	assert_int_equal(claim(f, 0), 35);
	riscv_plic_pulse(f->plic, 35);
	riscv_plic_set_level(f->plic, LAST, true);
}

static void test_state(void **state)
{
	struct fixture *f = *state, *fresh = make_plic();

	use(f);
	check_state(&f->d.vm, &fresh->d.vm);
	/* The harts are told, and what was shut opens as it would have. */
	assert_true(fresh->raised[0] && fresh->raised[1]);
	assert_int_equal(claim(fresh, 0), 2);
	assert_false(fresh->raised[0]);
	complete(fresh, 0, 35);
	assert_int_equal(claim(fresh, 0), 35);
	assert_int_equal(claim(fresh, 1), LAST);
	free_plic(fresh);
}

static void batter(void *opaque)
{
	struct fixture *f = opaque;

	devvm_batter(&f->d, &f->d.vm.mmio, BASE, CLAIM + 0x3000, 500);
	riscv_plic_set_level(f->plic, 1, true);
	for (u32 hart = 0; hart < HARTS; hart++)
		assert_true(claim(f, hart) < RISCV_NR_LINES);
}

static void test_bad_states(void **state)
{
	struct fixture *f = *state, *victim = make_plic();
	const struct exercise exercise = { batter, victim };

	use(f);
	check_bad_state(&f->d.vm, &victim->d.vm);
	check_extreme_state(&f->d.vm, &victim->d.vm, &exercise);
	free_plic(victim);
}

static void test_node(void **state)
{
	struct fixture *f = *state;
	u32 cells[FDTW_MAX_IRQ_CELLS];
	const fdt32_t *parents;
	struct fdtw fdt;
	size_t size;
	int node, len;

	fdtw_begin(&fdt, 64 * KiB);
	fdtw_u32(&fdt, "#address-cells", 2);
	fdtw_u32(&fdt, "#size-cells", 2);
	riscv_plic_describe(&f->d.vm, &fdt);
	assert_int_equal(fdtw_finish(&fdt, &size), 0);
	node = fdt_node_offset_by_compatible(fdt.buf, -1, "sifive,plic-1.0.0");
	assert_true(node >= 0);
	assert_int_equal(fdt_get_phandle(fdt.buf, node), RISCV_PHANDLE_IRQCHIP);
	parents = fdt_getprop(fdt.buf, node, "interrupts-extended", &len);
	assert_int_equal(len, HARTS * 8);
	for (u32 hart = 0; hart < HARTS; hart++) {
		assert_int_equal(fdt32_to_cpu(parents[2 * hart]), RISCV_PHANDLE_HART + hart);
		assert_int_equal(fdt32_to_cpu(parents[2 * hart + 1]), 9);
	}
	parents = fdt_getprop(fdt.buf, node, "riscv,ndev", &len);
	assert_int_equal(fdt32_to_cpu(*parents), LAST);
	/* No messages. */
	assert_int_equal(fdt.msi_phandle, 0);
	assert_int_equal(fdt.irq_cells(6, false, cells), 1);
	assert_int_equal(cells[0], 6);
	fdtw_destroy(&fdt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order),
		TEST(test_threshold),
		TEST(test_level),
		TEST(test_pulse),
		TEST(test_completion),
		TEST(test_two_harts),
		TEST(test_hart_started_anew),
		TEST(test_registers),
		TEST(test_other_widths),
		TEST(test_reset),
		TEST(test_state),
		TEST(test_bad_states),
		TEST(test_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
