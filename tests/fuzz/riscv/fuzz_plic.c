/* SPDX-License-Identifier: MIT */
/*
 * riscv/plic.c: registers, lines and pulses in any order. A source is claimed by one hart at a
 * time, and a hart is interrupted when, and only when, its registers say so.
 */
#include "../../../riscv/riscv.h"
#include "fuzz_vm.h"

#define MAX_OPS	  2048
#define HARTS	  3
#define PENDING	  (RISCV_IRQCHIP + 0x1000)
#define ENABLE	  (RISCV_IRQCHIP + 0x2000)
#define THRESHOLD (RISCV_IRQCHIP + 0x200000)
#define CLAIM	  (RISCV_IRQCHIP + 0x200004)

static struct fz_vm v;
static bool raised[HARTS], claimed[RISCV_NR_LINES];

static void output(void *opaque, u32 hart, bool level)
{
	fz_check(hart < HARTS);
	raised[hart] = level;
}

static u32 get(u64 addr)
{
	return (u32)fz_read(&v.vm.mmio, addr, 4);
}

static void set(u64 addr, u32 value)
{
	fz_write(&v.vm.mmio, addr, 4, value);
}

static bool is_set(u64 base, u32 source)
{
	return get(base + source / 32 * 4) & BIT(source % 32);
}

static void check_hart(u32 hart)
{
	u32 threshold = get(THRESHOLD + hart * 0x1000);
	bool expected = false;

	for (u32 source = 1; source < RISCV_NR_LINES; source++)
		expected |= is_set(PENDING, source) && is_set(ENABLE + hart * 0x80, source) &&
			    get(RISCV_IRQCHIP + source * 4) > threshold;
	fz_check(raised[hart] == expected);
}

static void check_all(void)
{
	for (u32 source = 0; source < RISCV_NR_LINES; source++)
		fz_check(!claimed[source] || !is_set(PENDING, source));
	fz_check(!is_set(PENDING, 0));
	for (u32 hart = 0; hart < HARTS; hart++) {
		fz_check(!is_set(ENABLE + hart * 0x80, 0));
		check_hart(hart);
	}
}

static void claim(u32 hart)
{
	u32 source = get(CLAIM + hart * 0x1000);

	fz_check(source < RISCV_NR_LINES && !claimed[source]);
	claimed[source] = source != 0;
}

static void complete(u32 hart, u32 source)
{
	set(CLAIM + hart * 0x1000, source);
	if (source < RISCV_NR_LINES && is_set(ENABLE + hart * 0x80, source))
		claimed[source] = false;
}

/* Any access but whole claims and completions, which are told of above. */
static void access_any(struct fz *f, bool write)
{
	u64 offset = fz_u32(f) % RISCV_IRQCHIP_SIZE;
	u32 width = fz_width(f);

	if (offset >= 0x200000 && offset % 0x1000 == 4 && width == 4)
		offset -= 4;
	if (write)
		fz_write(&v.vm.mmio, RISCV_IRQCHIP + offset, width, fz_u64(f));
	else
		fz_read(&v.vm.mmio, RISCV_IRQCHIP + offset, width);
}

static void step(struct fz *f, struct riscv_plic *plic)
{
	u8 op = fz_u8(f), source = fz_u8(f);
	u32 hart = source % HARTS;

	switch (op % 8) {
	case 0:
	case 1:
		riscv_plic_set_level(plic, source, op & 1);
		break;
	case 2:
		riscv_plic_pulse(plic, source);
		break;
	case 3:
		set(RISCV_IRQCHIP + source * 4, fz_u8(f));
		break;
	case 4:
		set(ENABLE + hart * 0x80 + op / 8 % 4 * 4, fz_u32(f));
		break;
	case 5:
		claim(hart);
		break;
	case 6:
		complete(hart, op & 0x80 ? fz_u32(f) : fz_u8(f));
		break;
	case 7:
		if (op & 0x80)
			access_any(f, op & 0x40);
		else if (op & 0x40)
			set(THRESHOLD + hart * 0x1000, fz_u8(f));
		else if (op & 0x20) {
			vm_reset_devices(&v.vm);
			memset(claimed, 0, sizeof(claimed));
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	struct arch_vm arch = { 0 };

	memset(raised, 0, sizeof(raised));
	memset(claimed, 0, sizeof(claimed));
	fz_vm_init(&v);
	v.vm.arch = &arch;
	v.cfg.cpus = HARTS;
	fz_check(!riscv_plic_create(&v.vm, output, &v, &arch.irqchip.plic));
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++) {
		step(&f, arch.irqchip.plic);
		if (i % 16 == 15)
			check_all();
	}
	check_all();
	vm_destroy_devices(&v.vm);
	v.vm.arch = NULL;
	fz_vm_destroy(&v);
	return 0;
}
