/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers of the PC in KVM (Linux Documentation/virt/kvm/api.rst, 4.24
 * KVM_CREATE_IRQCHIP, 7.5 KVM_CAP_SPLIT_IRQCHIP, 7.7 KVM_CAP_X2APIC_API).
 *
 * Full: PICs, PIT, IOAPIC and local APICs are all KVM's. Split: KVM keeps the local APICs, the
 * IOAPIC is ioapic.c and there is no PIC and no PIT; only this form reaches more than 255 vcpus.
 */
#include <stdlib.h>

#include "layout.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "x86.h"

#define PIC_PINS    8U
#define PIC_CASCADE 2U /* the slave hangs on this input of the master */
#define MAX_ROUTES  (2 * PIC_PINS + X86_IOAPIC_PINS)

/* Full */

static void add_pin(struct kvm_irq_routing_entry *table, u32 *count, u32 gsi, u32 chip, u32 pin)
{
	table[(*count)++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/* Each ISA interrupt reaches a PIC and the IOAPIC's pin of its number; the PIT's is pin 2 there. */
static int full_routes(struct vm *vm)
{
	struct kvm_irq_routing_entry table[MAX_ROUTES];
	u32 count = 0;

	for (u32 gsi = 0; gsi < 2 * PIC_PINS; gsi++) {
		if (gsi == PIC_CASCADE)
			continue;
		add_pin(table, &count, gsi,
			gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
			gsi % PIC_PINS);
	}
	for (u32 gsi = 0; gsi < X86_IOAPIC_PINS; gsi++)
		if (gsi != PIC_CASCADE)
			add_pin(table, &count, gsi, KVM_IRQCHIP_IOAPIC, gsi ? gsi : PIC_CASCADE);
	return irq_set_fixed_routes(&vm->irqs, table, count, X86_IOAPIC_PINS);
}

static int full_init(struct vm *vm)
{
	/* Port 0x61 (timer gate, speaker) belongs to the PIT. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int ret;

	ret = xioctl_val(vm->kvm.vm_fd, KVM_CREATE_IRQCHIP, 0);
	if (ret < 0) {
		err("cannot create the interrupt controllers: KVM_CREATE_IRQCHIP: %s",
		    strerror(-ret));
		return ret;
	}
	ret = xioctl(vm->kvm.vm_fd, KVM_CREATE_PIT2, &pit);
	if (ret < 0) {
		err("cannot create the interval timer: KVM_CREATE_PIT2: %s; try --irqchip split, "
		    "which has none",
		    strerror(-ret));
		return ret;
	}
	ret = full_routes(vm);
	if (ret)
		err("cannot route the interrupt pins: KVM_SET_GSI_ROUTING: %s", strerror(-ret));
	return ret;
}

/*
 * A reset does not reach KVM's chips by itself: a device keeps the state in which KVM made them and
 * puts it back.
 */

struct full_irqchip {
	struct device dev;
	struct kvm_irqchip chips[3]; /* index: KVM_IRQCHIP_* */
	struct kvm_pit_state2 pit;
};

static int full_realize(struct device *dev, struct vm *vm)
{
	struct full_irqchip *chip = container_of(dev, struct full_irqchip, dev);
	int ret;

	for (u32 i = 0; i < ARRAY_SIZE(chip->chips); i++) {
		chip->chips[i].chip_id = i;
		ret = xioctl(vm->kvm.vm_fd, KVM_GET_IRQCHIP, &chip->chips[i]);
		if (ret < 0) {
			err("KVM_GET_IRQCHIP: %s", strerror(-ret));
			return ret;
		}
	}
	ret = xioctl(vm->kvm.vm_fd, KVM_GET_PIT2, &chip->pit);
	if (ret < 0) {
		err("KVM_GET_PIT2: %s", strerror(-ret));
		return ret;
	}
	return 0;
}

static void full_reset(struct device *dev)
{
	struct full_irqchip *chip = container_of(dev, struct full_irqchip, dev);
	int vm_fd = dev->vm->kvm.vm_fd;
	int ret = 0;

	for (u32 i = 0; i < ARRAY_SIZE(chip->chips) && ret >= 0; i++)
		ret = xioctl(vm_fd, KVM_SET_IRQCHIP, &chip->chips[i]);
	if (ret >= 0)
		ret = xioctl(vm_fd, KVM_SET_PIT2, &chip->pit);
	if (ret < 0)
		warn("the interrupt controllers cannot be reset: %s", strerror(-ret));
}

static void full_destroy(struct device *dev)
{
	free(container_of(dev, struct full_irqchip, dev));
}

static const struct device_ops full_device_ops = {
	.realize = full_realize,
	.reset = full_reset,
	.destroy = full_destroy,
};

static int full_create(struct vm *vm)
{
	struct full_irqchip *chip = xcalloc(1, sizeof(*chip));
	int ret;

	chip->dev.name = "irqchip";
	chip->dev.ops = &full_device_ops;
	ret = device_add(vm, &chip->dev);
	if (ret)
		free(chip);
	return ret;
}

/* Split: the chip of struct irqs, with GSIs 0 to 23 led through the IOAPIC. */

u64 x86_kvm_msi_address(u64 addr)
{
	const u64 ext = 0xfe0;

	return addr >> 32 ? addr : (addr & ~ext) | (addr & ext) << 35;
}

static u64 kvm_msi_address(const struct vm *vm, u64 addr)
{
	return vm->arch->msi_ext_dest ? x86_kvm_msi_address(addr) : addr;
}

static void split_set_level(void *opaque, u32 gsi, bool level)
{
	struct vm *vm = opaque;

	if (vm->arch->ioapic)
		x86_ioapic_set_level(vm->arch->ioapic, gsi, level);
}

static void split_send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	struct vm *vm = opaque;

	kvm_irq_chip_ops.send_msi(&vm->kvm, kvm_msi_address(vm, addr), data, devid);
}

/* A pin's irqfd would go past the IOAPIC's mask and remote IRR. */
static int split_bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	struct vm *vm = opaque;

	if (gsi < X86_IOAPIC_PINS)
		return -ENOTSUP;
	return kvm_irq_chip_ops.bind_irqfd(&vm->kvm, fd, gsi, assign);
}

static int split_set_routes(void *opaque, const struct kvm_irq_routing_entry *entries, u32 count)
{
	struct vm *vm = opaque;
	struct kvm_irq_routing_entry *table;
	int ret;

	if (!vm->arch->msi_ext_dest)
		return kvm_irq_chip_ops.set_routes(&vm->kvm, entries, count);
	table = calloc(count ? count : 1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (u32 i = 0; i < count; i++) {
		struct kvm_irq_routing_entry *e = &table[i];
		u64 addr;

		*e = entries[i];
		addr = (u64)e->u.msi.address_hi << 32 | e->u.msi.address_lo;
		addr = kvm_msi_address(vm, addr);
		e->u.msi.address_lo = (u32)addr;
		e->u.msi.address_hi = (u32)(addr >> 32);
	}
	ret = kvm_irq_chip_ops.set_routes(&vm->kvm, table, count);
	free(table);
	return ret;
}

static const struct irq_chip_ops split_irq_chip_ops = {
	.set_level = split_set_level,
	.send_msi = split_send_msi,
	.bind_irqfd = split_bind_irqfd,
	.set_routes = split_set_routes,
};

static int split_init(struct vm *vm)
{
	struct kvm_irq_routing_entry table[X86_IOAPIC_PINS] = { 0 };
	int ret;

	ret = kvm_enable_cap(&vm->kvm, KVM_CAP_SPLIT_IRQCHIP, X86_IOAPIC_PINS);
	if (ret) {
		err("cannot create the split irqchip: %s; this host's KVM may not have it: try "
		    "--irqchip full",
		    strerror(-ret));
		return ret;
	}
	vm->irqs.ops = &split_irq_chip_ops;
	vm->irqs.opaque = vm;
	/* Edge-triggered messages: nothing that KVM would watch, until the IOAPIC is programmed. */
	for (u32 gsi = 0; gsi < X86_IOAPIC_PINS; gsi++) {
		table[gsi].gsi = gsi;
		table[gsi].type = KVM_IRQ_ROUTING_MSI;
		table[gsi].u.msi.address_lo = X86_LAPIC;
	}
	ret = irq_set_fixed_routes(&vm->irqs, table, X86_IOAPIC_PINS, X86_IOAPIC_PINS);
	if (ret)
		err("cannot route the interrupt pins: KVM_SET_GSI_ROUTING: %s", strerror(-ret));
	return ret;
}

int x86_irqchip_init(struct vm *vm)
{
	const u64 x2apic = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	u32 cpus = vm->cfg->cpus;
	int ret;

	vm->arch->split_irqchip =
		vm->cfg->x86.irqchip == X86_IRQCHIP_SPLIT ||
		(vm->cfg->x86.irqchip == X86_IRQCHIP_DEFAULT && cpus > X86_XAPIC_MAX_VCPUS);
	ret = kvm_enable_cap(&vm->kvm, KVM_CAP_X2APIC_API, x2apic);
	if (ret && cpus > X86_XAPIC_MAX_VCPUS) {
		err("%u vcpus: this host's KVM has no 32-bit APIC ids (KVM_CAP_X2APIC_API: %s); "
		    "use at most %u",
		    cpus, strerror(-ret), X86_XAPIC_MAX_VCPUS);
		return ret;
	}
	vm->arch->msi_ext_dest = !ret && vm->arch->split_irqchip;
	return vm->arch->split_irqchip ? split_init(vm) : full_init(vm);
}

int x86_irqchip_create(struct vm *vm)
{
	if (vm->arch->split_irqchip)
		return x86_ioapic_create(vm, &vm->arch->ioapic);
	return full_create(vm);
}
