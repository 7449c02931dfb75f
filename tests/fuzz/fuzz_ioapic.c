/* SPDX-License-Identifier: MIT */
/*
 * x86/ioapic.c: registers, lines and ends of interrupts in any order. An interrupt must neither be
 * lost nor be sent for ever.
 */
#include <linux/kvm.h>

#include "../../x86/platform.h"
#include "../../x86/x86.h"
#include "fuzz_vm.h"

#define MAX_OPS 1024
#define SELECT	X86_IOAPIC
#define WINDOW	(X86_IOAPIC + 0x10)
#define EOI	(X86_IOAPIC + 0x40)

static struct fz_vm v;
static u32 lines;

static void send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	u32 mode = data >> 8 & 7;

	v.msis++;
	fz_check(addr >> 20 == 0xfee);
	/* Fixed and lowest priority have a vector, and 0 to 15 are none. */
	fz_check(mode > 1 || (data & 0xff) >= 16);
	fz_check(mode <= 1 || !(data & 0xc000));
}

static int bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	return -ENOTSUP;
}

static int set_routes(void *opaque, struct kvm_irq_routing *table)
{
	fz_check(table->nr == X86_IOAPIC_PINS);
	for (u32 i = 0; i < table->nr; i++)
		fz_check(table->entries[i].type == KVM_IRQ_ROUTING_MSI);
	return 0;
}

static const struct irq_chip_ops chip = {
	.send_msi = send_msi,
	.bind_irqfd = bind_irqfd,
	.set_routes = set_routes,
};

static u32 get(u8 index)
{
	fz_write(&v.vm.mmio, SELECT, 4, index);
	return (u32)fz_read(&v.vm.mmio, WINDOW, 4);
}

static void set(u8 index, u32 value)
{
	fz_write(&v.vm.mmio, SELECT, 4, index);
	fz_write(&v.vm.mmio, WINDOW, 4, value);
}

/* A level pin that is asserted and open has sent its message and waits for the end. */
static void check_pins(void)
{
	u8 select = (u8)fz_read(&v.vm.mmio, SELECT, 4);

	for (u8 pin = 0; pin < X86_IOAPIC_PINS; pin++) {
		u32 rte = get((u8)(0x10 + 2 * pin));
		bool level = (rte & BIT(15)) && (rte >> 8 & 7) <= 1;

		fz_check(level || !(rte & BIT(14)));
		if (level && (lines & BIT(pin)) && !(rte & BIT(16)) && (rte & 0xff) >= 16)
			fz_check(rte & BIT(14));
	}
	fz_write(&v.vm.mmio, SELECT, 4, select);
}

static void step(struct fz *f, struct x86_ioapic *ioapic)
{
	u8 op = fz_u8(f), pin = fz_u8(f) % (X86_IOAPIC_PINS + 1);

	switch (op % 8) {
	case 0:
	case 1:
		x86_ioapic_set_level(ioapic, pin, op & 1);
		if (pin < X86_IOAPIC_PINS)
			lines = op & 1 ? lines | BIT(pin) : lines & ~BIT(pin);
		break;
	case 2:
		set((u8)(0x10 + 2 * pin), fz_u32(f));
		break;
	case 3:
		set((u8)(0x11 + 2 * pin), fz_u32(f));
		break;
	case 4:
		x86_ioapic_eoi(ioapic, fz_u8(f));
		break;
	case 5:
		fz_write(&v.vm.mmio, EOI, 4, fz_u8(f));
		break;
	case 6:
		if (op & 0x80)
			fz_read(&v.vm.mmio, X86_IOAPIC + fz_u8(f), fz_width(f));
		else
			fz_write(&v.vm.mmio, X86_IOAPIC + fz_u8(f), fz_width(f), fz_u64(f));
		break;
	case 7:
		if (op & 0x80)
			vm_reset_devices(&v.vm);
		else
			set(fz_u8(f), fz_u32(f));
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct kvm_irq_routing_entry table[X86_IOAPIC_PINS] = { 0 };
	struct fz f = fz_begin(data, size);
	struct arch_vm arch = { 0 };

	lines = 0;
	fz_vm_init(&v);
	irq_destroy(&v.vm.irqs);
	fz_check(!irq_init(&v.vm.irqs, &chip, &v));
	v.vm.arch = &arch;
	for (u32 i = 0; i < X86_IOAPIC_PINS; i++) {
		table[i].gsi = i;
		table[i].type = KVM_IRQ_ROUTING_MSI;
	}
	fz_check(!irq_set_fixed_routes(&v.vm.irqs, table, X86_IOAPIC_PINS, X86_IOAPIC_PINS));
	fz_check(!x86_ioapic_create(&v.vm, &arch.ioapic));
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++) {
		u32 before = v.msis;

		step(&f, arch.ioapic);
		fz_check(v.msis - before <= X86_IOAPIC_PINS);
		/* What is lost stays lost; looking costs a hundred accesses. */
		if (i % 16 == 15)
			check_pins();
	}
	check_pins();
	fz_vm_destroy(&v);
	return 0;
}
