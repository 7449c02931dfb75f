/* SPDX-License-Identifier: MIT */
/* A PLIC with two harts, whose interrupts are recorded, and its registers. */
#ifndef TEST_RISCV_PLIC_RIG_H
#define TEST_RISCV_PLIC_RIG_H

#include "unit.h"

#include <stdlib.h>

#include "../../../riscv/riscv.h"
#include "../devvm.h"

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

static inline void output(void *opaque, u32 hart, bool level)
{
	struct fixture *f = opaque;

	assert_true(hart < HARTS);
	f->raised[hart] = level;
	f->outputs++;
}

static inline struct fixture *make_plic(void)
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

static inline void free_plic(struct fixture *f)
{
	vm_destroy_devices(&f->d.vm);
	assert_null(f->arch.irqchip.plic);
	f->d.vm.arch = NULL;
	vm_destroy(&f->d.vm);
	free(f);
}

static inline int set_up(void **state)
{
	*state = make_plic();
	return 0;
}

static inline int tear_down(void **state)
{
	free_plic(*state);
	return 0;
}

static inline u64 read_as(struct fixture *f, u64 addr, u32 len)
{
	u8 data[8];

	memset(data, 0xff, sizeof(data));
	assert_true(bus_read(&f->d.vm.mmio, addr, data, len));
	return get_le(data, len);
}

static inline void write_as(struct fixture *f, u64 addr, u64 value, u32 len)
{
	u8 data[8];

	put_le(data, len, value);
	assert_true(bus_write(&f->d.vm.mmio, addr, data, len));
}

static inline u32 read32(struct fixture *f, u64 addr)
{
	return (u32)read_as(f, addr, 4);
}

static inline void write32(struct fixture *f, u64 addr, u32 value)
{
	write_as(f, addr, value, 4);
}

static inline u32 claim(struct fixture *f, u32 hart)
{
	return read32(f, CLAIM + hart * 0x1000);
}

static inline void complete(struct fixture *f, u32 hart, u32 source)
{
	write32(f, CLAIM + hart * 0x1000, source);
}

static inline void set_priority(struct fixture *f, u32 source, u32 priority)
{
	write32(f, BASE + source * 4, priority);
}

static inline void enable(struct fixture *f, u32 hart, u32 source)
{
	u64 at = ENABLE + hart * 0x80 + source / 32 * 4;

	write32(f, at, read32(f, at) | BIT(source % 32));
}

static inline void open_source(struct fixture *f, u32 hart, u32 source, u32 priority)
{
	set_priority(f, source, priority);
	enable(f, hart, source);
}

static inline bool pending(struct fixture *f, u32 source)
{
	return read32(f, PENDING + source / 32 * 4) & BIT(source % 32);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

#endif
