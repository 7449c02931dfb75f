/* SPDX-License-Identifier: MIT */
/*
 * The seam: a VM without KVM. Guest memory is a buffer (its ends guarded by AddressSanitizer), the
 * interrupt chip counts, and everything runs on the calling thread when fz_pump turns the loop.
 */
#ifndef LKVM_TESTS_FUZZ_VM_H
#define LKVM_TESTS_FUZZ_VM_H

#include "fuzz.h"
#include "fuzz_meanwhile.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/vm.h"

/* Two pieces of RAM with a hole between them, and a ROM. */
#define FZ_RAM_SIZE  0x10000u
#define FZ_HIGH_GPA  0x20000u
#define FZ_HIGH_SIZE 0x4000u
#define FZ_ROM_GPA   0x30000u
#define FZ_ROM_SIZE  0x1000u
#define FZ_ROM_BYTE  0x5a

#define FZ_GSIS	     64
#define FZ_FIRST_MSI 24
/* Events handled in one fz_pump; a device that has more to do is merely served later. */
#define FZ_TURNS 64

struct fz_vm {
	struct vm vm;
	struct vm_config cfg;
	u8 *ram, *high, *rom;
	bool level[FZ_GSIS];
	u32 msis;
};

static inline void fz_set_level(void *opaque, u32 gsi, bool level)
{
	struct fz_vm *v = opaque;

	fz_check(gsi < FZ_GSIS);
	v->level[gsi] = level;
}

static inline void fz_send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	struct fz_vm *v = opaque;

	v->msis++;
}

static inline int fz_bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	return -ENOTSUP;
}

static inline int fz_set_routes(void *opaque, struct kvm_irq_routing *table)
{
	fz_check(table->nr <= IRQ_MAX_ROUTES);
	return 0;
}

static const struct irq_chip_ops fz_chip_ops = {
	.set_level = fz_set_level,
	.send_msi = fz_send_msi,
	.bind_irqfd = fz_bind_irqfd,
	.set_routes = fz_set_routes,
};

/* Made once: what is given back and taken anew is paged in anew. */
static inline u8 *fz_buffer(u8 **buffer, size_t size, u8 fill)
{
	if (!*buffer)
		*buffer = aligned_alloc(4096, size);
	fz_check(*buffer);
	memset(*buffer, fill, size);
	return *buffer;
}

static inline void fz_vm_init(struct fz_vm *v)
{
	memset(v, 0, sizeof(*v));
	v->cfg.name = (char *)"fuzz";
	fz_check(!vm_init(&v->vm, &v->cfg));
	fz_check(!irq_init(&v->vm.irqs, &fz_chip_ops, v));
	irq_set_loop(&v->vm.irqs, &v->vm.loop);
	v->vm.irqs.first_msi_gsi = FZ_FIRST_MSI;
}

static inline void fz_vm_add_ram(struct fz_vm *v)
{
	static u8 *ram, *high, *rom;

	v->ram = fz_buffer(&ram, FZ_RAM_SIZE, 0);
	v->high = fz_buffer(&high, FZ_HIGH_SIZE, 0);
	v->rom = fz_buffer(&rom, FZ_ROM_SIZE, FZ_ROM_BYTE);
	fz_meanwhile_over(v->ram, FZ_RAM_SIZE, v->high, FZ_HIGH_SIZE);
	fz_check(!memory_add_borrowed(&v->vm.mem, 0, FZ_RAM_SIZE, v->ram, 0, "ram"));
	fz_check(!memory_add_borrowed(&v->vm.mem, FZ_HIGH_GPA, FZ_HIGH_SIZE, v->high, 0, "high"));
	fz_check(!memory_add_borrowed(&v->vm.mem, FZ_ROM_GPA, FZ_ROM_SIZE, v->rom, MEM_ROM, "rom"));
}

static inline void fz_vm_destroy(struct fz_vm *v)
{
	static u8 rom[FZ_ROM_SIZE];

	vm_destroy(&v->vm);
	memset(rom, FZ_ROM_BYTE, sizeof(rom));
	fz_check(!v->rom || !memcmp(v->rom, rom, sizeof(rom)));
}

/* Let the main loop handle what is pending, and what that leads to. */
static inline void fz_pump(struct fz_vm *v)
{
	int i = 0;

	while (i < FZ_TURNS && event_loop_drain(&v->vm.loop))
		i++;
}

static inline u64 fz_read(struct bus *bus, u64 addr, u32 len)
{
	u8 data[8] = { 0 };

	bus_read(bus, addr, data, len);
	return get_le(data, len);
}

static inline void fz_write(struct bus *bus, u64 addr, u32 len, u64 value)
{
	u8 data[8];

	put_le(data, len, value);
	bus_write(bus, addr, data, len);
}

#endif
