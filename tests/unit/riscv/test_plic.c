/* SPDX-License-Identifier: MIT */
/* The PLIC against its specification (1.0.0), with two harts whose interrupts are recorded. */
#include "unit.h"

#include <libfdt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../../../riscv/riscv.h"
#include "../device_state.h"
#include "../devvm.h"
#include "lkvm/fdt.h"

#define HARTS	  2
#define LAST	  (RISCV_NR_LINES - 1)
#define BASE	  RISCV_IRQCHIP
#define PENDING	  (BASE + 0x1000)
#define ENABLE	  (BASE + 0x2000)
#define THRESHOLD (BASE + 0x200000)
#define CLAIM	  (BASE + 0x200004)

struct fixture {
	struct devvm d;
	struct arch_vm arch;
	struct riscv_plic *plic;
	bool raised[HARTS];
	u32 outputs;
};

static void output(void *opaque, u32 hart, bool level)
{
	struct fixture *f = opaque;

	assert_true(hart < HARTS);
	f->raised[hart] = level;
	f->outputs++;
}

static struct fixture *make_plic(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	devvm_init(&f->d);
	f->d.cfg.cpus = HARTS;
	f->d.vm.arch = &f->arch;
	assert_int_equal(riscv_plic_create(&f->d.vm, output, f, &f->arch.irqchip.plic), 0);
	f->plic = f->arch.irqchip.plic;
	return f;
}

static void free_plic(struct fixture *f)
{
	vm_destroy_devices(&f->d.vm);
	assert_null(f->arch.irqchip.plic);
	f->d.vm.arch = NULL;
	vm_destroy(&f->d.vm);
	free(f);
}

static int set_up(void **state)
{
	*state = make_plic();
	return 0;
}

static int tear_down(void **state)
{
	free_plic(*state);
	return 0;
}

static u64 read_as(struct fixture *f, u64 addr, u32 len)
{
	u8 data[8];

	memset(data, 0xff, sizeof(data));
	assert_true(bus_read(&f->d.vm.mmio, addr, data, len));
	return get_le(data, len);
}

static void write_as(struct fixture *f, u64 addr, u64 value, u32 len)
{
	u8 data[8];

	put_le(data, len, value);
	assert_true(bus_write(&f->d.vm.mmio, addr, data, len));
}

static u32 read32(struct fixture *f, u64 addr)
{
	return (u32)read_as(f, addr, 4);
}

static void write32(struct fixture *f, u64 addr, u32 value)
{
	write_as(f, addr, value, 4);
}

static u32 claim(struct fixture *f, u32 hart)
{
	return read32(f, CLAIM + hart * 0x1000);
}

static void complete(struct fixture *f, u32 hart, u32 source)
{
	write32(f, CLAIM + hart * 0x1000, source);
}

static void set_priority(struct fixture *f, u32 source, u32 priority)
{
	write32(f, BASE + source * 4, priority);
}

static void enable(struct fixture *f, u32 hart, u32 source)
{
	u64 at = ENABLE + hart * 0x80 + source / 32 * 4;

	write32(f, at, read32(f, at) | BIT(source % 32));
}

static void open_source(struct fixture *f, u32 hart, u32 source, u32 priority)
{
	set_priority(f, source, priority);
	enable(f, hart, source);
}

static bool pending(struct fixture *f, u32 source)
{
	return read32(f, PENDING + source / 32 * 4) & BIT(source % 32);
}

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

/* Harts that claim at once while lines move: a source is with one hart at a time, and none gets
 * lost. */

#define PULSES 2000

struct race {
	struct fixture *f;
	u32 hart;
	atomic_int *owner;  /* of each source: harts that have it */
	atomic_uint *taken; /* interrupts in all */
	atomic_bool *over;
};

static void *race_hart(void *opaque)
{
	struct race *r = opaque;

	for (;;) {
		bool over = atomic_load(r->over);
		u32 source = claim(r->f, r->hart);

		if (!source && over)
			return NULL;
		if (!source)
			continue;
		assert_int_equal(atomic_fetch_add(&r->owner[source], 1), 0);
		atomic_fetch_add(r->taken, 1);
		atomic_fetch_sub(&r->owner[source], 1);
		complete(r->f, r->hart, source);
	}
}

static void test_races(void **state)
{
	struct fixture *f = *state;
	atomic_int owner[RISCV_NR_LINES] = { 0 };
	atomic_uint taken = 0;
	atomic_bool over = false;
	struct race races[HARTS];
	pthread_t threads[HARTS];

	for (u32 hart = 0; hart < HARTS; hart++) {
		open_source(f, hart, 4, 1);
		open_source(f, hart, 64, 2);
	}
	for (u32 hart = 0; hart < HARTS; hart++) {
		races[hart] = (struct race){ f, hart, owner, &taken, &over };
		assert_int_equal(pthread_create(&threads[hart], NULL, race_hart, &races[hart]), 0);
	}
	for (u32 i = 0; i < PULSES; i++)
		riscv_plic_pulse(f->plic, i & 1 ? 4 : 64);
	atomic_store(&over, true);
	for (u32 hart = 0; hart < HARTS; hart++)
		assert_int_equal(pthread_join(threads[hart], NULL), 0);
	/* Some are one interrupt, but the last of each source was seen. */
	assert_true(taken >= 2 && taken <= PULSES);
	assert_false(pending(f, 4) || pending(f, 64));
	assert_false(f->raised[0] || f->raised[1]);
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

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

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
		TEST(test_races),
		TEST(test_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
