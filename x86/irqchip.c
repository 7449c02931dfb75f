/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers of the PC in KVM, and where interrupts lead (Linux
 * Documentation/virt/kvm/api.rst, 4.52 KVM_SET_GSI_ROUTING).
 *
 * Full: PICs, PIT, IOAPIC and local APICs are all KVM's. Split: KVM keeps the local APICs, the
 * IOAPIC is ioapic.c, the PIT pit.c, and no interrupt comes by a PIC (pic.c); only this form
 * reaches more than 255 vcpus.
 */
#include <stdlib.h>

#include "chips.h"
#include "layout.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "pristine.h"
#include "x86.h"

#define PIC_PINS   8U
#define MAX_ROUTES (2 * PIC_PINS + X86_IOAPIC_PINS)

/* Full */

static void add_pin(struct kvm_irq_routing_entry *table, u32 *count, u32 gsi, u32 chip, u32 pin)
{
	table[(*count)++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/*
 * KVM's own table, with which it begins (arch/x86/kvm/irq_comm.c, default_routing): each ISA
 * interrupt reaches a PIC and the IOAPIC's pin of its number, the PIT's too. A PC has that one at
 * pin 2 and says so by an override; here the MADT says the identity.
 */
static int full_routes(struct vm *vm)
{
	struct kvm_irq_routing_entry table[MAX_ROUTES];
	u32 count = 0;

	for (u32 gsi = 0; gsi < 2 * PIC_PINS; gsi++)
		add_pin(table, &count, gsi,
			gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
			gsi % PIC_PINS);
	for (u32 gsi = 0; gsi < X86_IOAPIC_PINS; gsi++)
		add_pin(table, &count, gsi, KVM_IRQCHIP_IOAPIC, gsi);
	return irq_adopt_fixed_routes(&vm->irqs, table, count, X86_IOAPIC_PINS);
}

/*
 * A reset does not reach KVM's chips by itself: a device puts back the state in which KVM makes
 * them.
 */

struct full_irqchip {
	struct device dev;
	struct x86_chips now; /* while it is saved or loaded */
};

static int full_realize(struct device *dev, struct vm *vm)
{
	return 0;
}

static void full_reset(struct device *dev)
{
	const struct x86_pristine *p;
	int ret;

	/* Said there, and the vcpus' reset, which comes next, fails by it. */
	if (x86_pristine(dev->vm, &p))
		return;
	ret = x86_chips_set(&dev->vm->kvm, &p->chips);
	if (ret)
		guest_warn("cannot reset the interrupt controllers: %s", strerror(-ret));
}

static int full_save(void *obj)
{
	struct full_irqchip *chip = obj;

	return x86_chips_get(&chip->dev.vm->kvm, &chip->now);
}

static int full_load(void *obj)
{
	struct full_irqchip *chip = obj;
	int ret = x86_chips_set(&chip->dev.vm->kvm, &chip->now);

	if (ret)
		err("cannot restore the interrupt controllers: %s", strerror(-ret));
	return ret;
}

#define PIC(member) STATE_VALUE(struct kvm_pic_state, member)
static const struct state_field pic_fields[] = {
	PIC(last_irr),
	PIC(irr),
	PIC(imr),
	PIC(isr),
	PIC(priority_add),
	PIC(irq_base),
	PIC(read_reg_select),
	PIC(poll),
	PIC(special_mask),
	PIC(init_state),
	PIC(auto_eoi),
	PIC(rotate_on_auto_eoi),
	PIC(special_fully_nested_mode),
	PIC(init4),
	PIC(elcr),
	PIC(elcr_mask),
};
static const struct device_state pic_state = { .version = 1, STATE_TABLE(pic_fields) };

static const struct state_field ioapic_fields[] = {
	STATE_VALUE(struct kvm_ioapic_state, base_address),
	STATE_VALUE(struct kvm_ioapic_state, ioregsel),
	STATE_VALUE(struct kvm_ioapic_state, id),
	STATE_VALUE(struct kvm_ioapic_state, irr),
	STATE_ARRAY(struct kvm_ioapic_state, redirtbl),
};
static const struct device_state ioapic_state = { .version = 1, STATE_TABLE(ioapic_fields) };

#define PIT(member) STATE_VALUE(struct kvm_pit_channel_state, member)
static const struct state_field pit_fields[] = {
	PIT(count),
	PIT(latched_count),
	PIT(count_latched),
	PIT(status_latched),
	PIT(status),
	PIT(read_state),
	PIT(write_state),
	PIT(write_latch),
	PIT(rw_mode),
	PIT(mode),
	PIT(bcd),
	PIT(gate),
	STATE_CLOCK(struct kvm_pit_channel_state, count_load_time),
};
static const struct device_state pit_state = { .version = 1, STATE_TABLE(pit_fields) };

static const struct state_field full_fields[] = {
	STATE_PART(struct full_irqchip, now.chips[KVM_IRQCHIP_PIC_MASTER].chip.pic, &pic_state),
	STATE_PART(struct full_irqchip, now.chips[KVM_IRQCHIP_PIC_SLAVE].chip.pic, &pic_state),
	STATE_PART(struct full_irqchip, now.chips[KVM_IRQCHIP_IOAPIC].chip.ioapic, &ioapic_state),
	STATE_PARTS(struct full_irqchip, now.pit.channels, &pit_state),
	STATE_VALUE(struct full_irqchip, now.pit.flags),
};

static const struct device_state full_state = {
	.version = 1,
	STATE_TABLE(full_fields),
	.device_at = offsetof(struct full_irqchip, dev),
	.save = full_save,
	.load = full_load,
};

static void full_destroy(struct device *dev)
{
	free(container_of(dev, struct full_irqchip, dev));
}

static const struct device_ops full_device_ops = {
	.realize = full_realize,
	.reset = full_reset,
	.state = &full_state,
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

static int split_bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	struct vm *vm = opaque;

	return kvm_irq_chip_ops.bind_irqfd(&vm->kvm, fd, gsi, assign);
}

static int split_set_routes(void *opaque, struct kvm_irq_routing *table)
{
	struct vm *vm = opaque;

	for (u32 i = 0; i < table->nr; i++) {
		struct kvm_irq_routing_entry *e = &table->entries[i];
		u64 addr = (u64)e->u.msi.address_hi << 32 | e->u.msi.address_lo;

		addr = kvm_msi_address(vm, addr);
		e->u.msi.address_lo = (u32)addr;
		e->u.msi.address_hi = (u32)(addr >> 32);
	}
	return kvm_irq_chip_ops.set_routes(&vm->kvm, table);
}

static u32 split_max_routes(void *opaque)
{
	struct vm *vm = opaque;

	return kvm_irq_chip_ops.max_routes(&vm->kvm);
}

/* The IOAPIC here sees the end of an interrupt, KVM does not. */
static int split_bind_resample(void *opaque, int fd, int resample_fd, u32 gsi, bool assign)
{
	struct vm *vm = opaque;

	if (!vm->arch->ioapic)
		return -ENOTSUP;
	return x86_ioapic_bind_resample(vm->arch->ioapic, fd, resample_fd, gsi, assign);
}

static const struct irq_chip_ops split_irq_chip_ops = {
	.set_level = split_set_level,
	.send_msi = split_send_msi,
	.bind_irqfd = split_bind_irqfd,
	.first_irqfd_gsi = X86_IOAPIC_PINS, /* it would pass by the IOAPIC's mask and remote IRR */
	.set_routes = split_set_routes,
	.bind_resample = split_bind_resample,
	.max_routes = split_max_routes,
};

static int split_routes(struct vm *vm)
{
	struct kvm_irq_routing_entry table[X86_IOAPIC_PINS] = { 0 };

	vm->irqs.ops = &split_irq_chip_ops;
	vm->irqs.opaque = vm;
	/* Edge-triggered messages: nothing that KVM would watch, until the IOAPIC is programmed.
	 * KVM begins without any, which is the same. */
	for (u32 gsi = 0; gsi < X86_IOAPIC_PINS; gsi++) {
		table[gsi].gsi = gsi;
		table[gsi].type = KVM_IRQ_ROUTING_MSI;
		table[gsi].u.msi.address_lo = X86_LAPIC;
	}
	return irq_adopt_fixed_routes(&vm->irqs, table, X86_IOAPIC_PINS, X86_IOAPIC_PINS);
}

/*
 * Who is told of the machine by ACPI takes interrupts from the IOAPIC and by messages. The 8259s
 * that KVM has are for systems that look for a PC, and for Linux where its words turn the IOAPIC
 * off. They are not free: each chip in KVM takes its ports off the VM's bus behind a grace period
 * when the VM ends, 10 to 20 ms in all, and KVM's PIT, which makes up for lost ticks, keeps AMD's
 * AVIC off.
 */
bool x86_wants_split_irqchip(const struct vm_config *cfg, const struct boot *boot)
{
	if (cfg->x86.irqchip != X86_IRQCHIP_DEFAULT)
		return cfg->x86.irqchip == X86_IRQCHIP_SPLIT;
	return x86_nr_apic_ids(cfg) > X86_XAPIC_MAX_VCPUS ||
	       !(x86_expects_pc(cfg, boot) || x86_loses_ioapic(cfg, boot));
}

int x86_irqchip_init(struct vm *vm, const struct boot *boot)
{
	const struct vm_config *cfg = vm->cfg;
	u32 ids = x86_nr_apic_ids(cfg);
	/* What is measured may not depend on what the host has. */
	bool must = cfg->x86.snp.on || cfg->x86.irqchip != X86_IRQCHIP_DEFAULT ||
		    ids > X86_XAPIC_MAX_VCPUS;
	bool wide_ids;
	int ret;

	vm->arch->split_irqchip = x86_wants_split_irqchip(cfg, boot);
	ret = x86_chips_make(&vm->kvm, ids, &vm->arch->split_irqchip, must, &wide_ids);
	if (ret)
		return ret;
	debug("interrupt controllers: %s", vm->arch->split_irqchip ? "split" : "full");
	vm->arch->msi_ext_dest = wide_ids && vm->arch->split_irqchip;
	ret = vm->arch->split_irqchip ? split_routes(vm) : full_routes(vm);
	if (ret)
		err("cannot route the interrupt pins: %s", strerror(-ret));
	return ret;
}

int x86_irqchip_create(struct vm *vm)
{
	int ret;

	if (vm->arch->split_irqchip) {
		ret = x86_ioapic_create(vm, &vm->arch->ioapic);
		/* A trust domain takes no interrupt of theirs, and knows its TSC's frequency. */
		if (!ret && vm->cfg->x86.tdx.on)
			return 0;
		if (!ret)
			ret = x86_pit_create(vm);
		return ret ? ret : x86_pic_create(vm);
	}
	/* Without KVM there is nothing to keep. */
	if (vm->kvm.vm_fd < 0)
		return 0;
	return full_create(vm);
}
