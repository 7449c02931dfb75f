/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controller in KVM: which one, its addresses, its routes, its node in the device
 * tree (Linux Documentation/virt/kvm/devices/arm-vgic.rst, arm-vgic-v3.rst, arm-vgic-its.rst).
 */
#include "arm.h"

#include <stdlib.h>
#include <unistd.h>

#include "layout.h"
#include "lkvm/fdt.h"
#include "lkvm/irq.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* Sizes of what KVM maps (arm-vgic.rst, arm-vgic-v3.rst); its headers' own names lack SZ_64K. */
#define GICV2_DIST_SIZE (4 * KiB)
#define GICV2_CPU_SIZE	(8 * KiB)
#define GICV3_CPU_SIZE	(128 * KiB) /* one redistributor */
#define ITS_SIZE	(128 * KiB)
#define GICV2M_SIZE	(4 * KiB)
/* kvmtool leaves this much room for a GICv2's CPU interface, and the frame of a GICv2m below. */
#define GICV2_CPU_ROOM (128 * KiB)
#define GICV2M_ROOM    (64 * KiB)

/* Values of KVM_DEV_ARM_VGIC_CONFIG_GICV4. */
enum { GICV4_UNAVAILABLE, GICV4_DISABLE, GICV4_ENABLE };

/* The chip's operations: a GSI is the number of a shared interrupt. */

static void gic_set_level(void *opaque, u32 gsi, bool level)
{
	struct vm *vm = opaque;

	if (gsi >= ARM_NR_SPIS)
		return;
	kvm_irq_chip_ops.set_level(
		&vm->kvm, KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (gsi + ARM_FIRST_SPI),
		level);
}

static void gic_send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	struct vm *vm = opaque;
	const struct arm_gic *gic = &vm->arch->gic;
	int gsi;

	if (gic->kind == ARM_IRQCHIP_GICV3_ITS) {
		kvm_irq_chip_ops.send_msi(&vm->kvm, addr, data, devid);
	} else if (gic->kind == ARM_IRQCHIP_GICV2M) {
		gsi = arm_gicv2m_gsi(gic->msi_base, addr, data);
		if (gsi < 0)
			return;
		gic_set_level(vm, (u32)gsi, true);
		gic_set_level(vm, (u32)gsi, false);
	}
}

static int gic_bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	struct vm *vm = opaque;

	return kvm_irq_chip_ops.bind_irqfd(&vm->kvm, fd, gsi, assign);
}

static void fill_pin(struct kvm_irq_routing_entry *e, u32 gsi, u32 pin)
{
	*e = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = 0, .pin = pin },
	};
}

/* KVM has no GICv2m: a message to the frame is routed to the interrupt that it stands for. */
static int frame_routes(const struct arm_gic *gic, struct kvm_irq_routing_entry *table, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		struct kvm_irq_routing_entry *e = &table[i];
		u64 addr = (u64)e->u.msi.address_hi << 32 | e->u.msi.address_lo;
		int pin;

		if (e->type != KVM_IRQ_ROUTING_MSI)
			continue;
		if (gic->kind != ARM_IRQCHIP_GICV2M)
			return -ENXIO;
		pin = arm_gicv2m_gsi(gic->msi_base, addr, e->u.msi.data);
		if (pin < 0)
			return pin;
		fill_pin(e, e->gsi, (u32)pin);
	}
	return 0;
}

static int gic_set_routes(void *opaque, struct kvm_irq_routing *table)
{
	struct vm *vm = opaque;
	int ret = 0;

	if (vm->arch->gic.kind != ARM_IRQCHIP_GICV3_ITS)
		ret = frame_routes(&vm->arch->gic, table->entries, table->nr);
	return ret ? ret : kvm_irq_chip_ops.set_routes(&vm->kvm, table);
}

static int gic_bind_resample(void *opaque, int fd, int resample_fd, u32 gsi, bool assign)
{
	struct vm *vm = opaque;

	return kvm_irq_chip_ops.bind_resample(&vm->kvm, fd, resample_fd, gsi, assign);
}

static u32 gic_max_routes(void *opaque)
{
	struct vm *vm = opaque;

	return kvm_irq_chip_ops.max_routes(&vm->kvm);
}

static const struct irq_chip_ops gic_irq_chip_ops = {
	.set_level = gic_set_level,
	.send_msi = gic_send_msi,
	.bind_irqfd = gic_bind_irqfd,
	.set_routes = gic_set_routes,
	.bind_resample = gic_bind_resample,
	.resample_alone = true, /* a pin has one level, whoever drives it */
	.max_routes = gic_max_routes,
};

/* Which one */

static bool offers(const struct kvm *kvm, u32 type)
{
	return !kvm_create_device(kvm, type, KVM_CREATE_DEVICE_TEST, NULL);
}

static bool can_do(const struct kvm *kvm, enum arm_irqchip kind)
{
	switch (kind) {
	case ARM_IRQCHIP_GICV3_ITS:
		return offers(kvm, KVM_DEV_TYPE_ARM_VGIC_V3) &&
		       offers(kvm, KVM_DEV_TYPE_ARM_VGIC_ITS);
	case ARM_IRQCHIP_GICV3:
		return offers(kvm, KVM_DEV_TYPE_ARM_VGIC_V3);
	default:
		return offers(kvm, KVM_DEV_TYPE_ARM_VGIC_V2);
	}
}

static bool is_v3(enum arm_irqchip kind)
{
	return kind == ARM_IRQCHIP_GICV3 || kind == ARM_IRQCHIP_GICV3_ITS;
}

static int no_gic(const struct vm *vm)
{
	const char *asked = arm_irqchip_names[vm->cfg->arm.irqchip];
	bool v5 = offers(&vm->kvm, KVM_DEV_TYPE_ARM_VGIC_V5);

	if (vm->cfg->arm.irqchip != ARM_IRQCHIP_DEFAULT)
		err("--irqchip %s: this host's KVM does not support it; omit the option to get the "
		    "best that it supports (`lkvm host` lists them)",
		    asked);
	else if (v5)
		err("this host's GICv5 offers guests no GICv3 (FEAT_GCIE_LEGACY), and KVM's GICv5 "
		    "has no interrupts for devices: guests cannot run here");
	else if (vm->cfg->arm.realm.on)
		err("--realm: needs a GICv3, which this host's KVM does not offer");
	else if (vm->cfg->arm.nested)
		err("--nested: needs a GICv3, which this host's KVM does not offer");
	else
		err("this host's KVM offers no interrupt controller (neither GICv3 nor GICv2); "
		    "guests cannot run here");
	return -ENODEV;
}

/* kvmtool's order: messages before none, new before old. */
static int choose(const struct vm *vm, enum arm_irqchip *kind)
{
	static const enum arm_irqchip order[] = {
		ARM_IRQCHIP_GICV3_ITS,
		ARM_IRQCHIP_GICV3,
		ARM_IRQCHIP_GICV2M,
		ARM_IRQCHIP_GICV2,
	};
	enum arm_irqchip asked = vm->cfg->arm.irqchip;

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (asked != ARM_IRQCHIP_DEFAULT && asked != order[i])
			continue;
		if (((vm->cfg->arm.nested || vm->cfg->arm.realm.on) && !is_v3(order[i])) ||
		    !can_do(&vm->kvm, order[i]))
			continue;
		*kind = order[i];
		return 0;
	}
	return no_gic(vm);
}

static void place(struct vm *vm)
{
	struct arm_gic *gic = &vm->arch->gic;

	if (is_v3(gic->kind)) {
		gic->cpu_size = vm->cfg->cpus * GICV3_CPU_SIZE;
		gic->cpu_base = ARM_GIC_DIST - gic->cpu_size;
	} else {
		gic->cpu_size = GICV2_CPU_SIZE;
		gic->cpu_base = ARM_GIC_DIST - GICV2_CPU_ROOM;
	}
	if (gic->kind == ARM_IRQCHIP_GICV3_ITS) {
		gic->msi_size = ITS_SIZE;
		gic->msi_base = gic->cpu_base - ITS_SIZE;
	} else if (gic->kind == ARM_IRQCHIP_GICV2M) {
		gic->msi_size = GICV2M_SIZE;
		gic->msi_base = gic->cpu_base - GICV2M_ROOM;
	}
}

int arm_gic_init(struct vm *vm)
{
	struct arm_gic *gic = &vm->arch->gic;
	int ret = choose(vm, &gic->kind);
	const char *what = is_v3(gic->kind) ? "GICv3" : "GICv2";

	if (ret)
		return ret;
	ret = kvm_create_device(
		&vm->kvm, is_v3(gic->kind) ? KVM_DEV_TYPE_ARM_VGIC_V3 : KVM_DEV_TYPE_ARM_VGIC_V2, 0,
		&gic->fd);
	if (!ret && gic->kind == ARM_IRQCHIP_GICV3_ITS) {
		what = "ITS";
		ret = kvm_create_device(&vm->kvm, KVM_DEV_TYPE_ARM_VGIC_ITS, 0, &gic->its_fd);
	}
	if (ret) {
		err("cannot create the %s: KVM_CREATE_DEVICE: %s", what, strerror(-ret));
		return ret;
	}
	place(vm);
	debug("interrupt controller: %s", arm_irqchip_names[gic->kind]);
	vm->irqs.ops = &gic_irq_chip_ops;
	vm->irqs.opaque = vm;
	vm->irqs.msi_devid = gic->kind == ARM_IRQCHIP_GICV3_ITS;
	return 0;
}

void arm_gic_sketch(struct vm *vm)
{
	enum arm_irqchip asked = vm->cfg->arm.irqchip;

	vm->arch->gic.kind = asked == ARM_IRQCHIP_DEFAULT ? ARM_IRQCHIP_GICV3_ITS : asked;
	place(vm);
	vm->irqs.msi_devid = vm->arch->gic.kind == ARM_IRQCHIP_GICV3_ITS;
}

/* Setting it up */

/*
 * The attribute is not in Linux's releases: without it a host hands messages to the CPU directly
 * for all VMs or none, as it was booted.
 */
static int set_gicv4(const struct vm *vm)
{
	enum auto_switch want = vm->cfg->arm.gicv4;
	int fd = vm->arch->gic.fd, ret;
	u8 value = GICV4_UNAVAILABLE;

	if (want == SWITCH_AUTO)
		return 0;
	if (!is_v3(vm->arch->gic.kind) ||
	    !kvm_has_attr(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CONFIG_GICV4)) {
		if (want == SWITCH_ON) {
			err("--gicv4 on: this host's KVM cannot switch it for one VM; boot the "
			    "host with kvm-arm.vgic_v4_enable=1 and omit the option");
			return -ENOTSUP;
		}
		info("--gicv4 off: this host's KVM cannot switch it for one VM; it is off unless "
		     "the host was booted with kvm-arm.vgic_v4_enable=1");
		return 0;
	}
	ret = kvm_get_attr(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CONFIG_GICV4, &value);
	if (!ret && value == GICV4_UNAVAILABLE && want == SWITCH_OFF)
		return 0;
	if (!ret && value == GICV4_UNAVAILABLE) {
		err("--gicv4 on: this host has no GICv4, or was booted without "
		    "kvm-arm.vgic_v4_enable=1");
		return -ENOTSUP;
	}
	value = want == SWITCH_ON ? GICV4_ENABLE : GICV4_DISABLE;
	return kvm_irqchip_set(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CONFIG_GICV4, &value,
			       "--gicv4");
}

static int set_addresses(const struct arm_gic *gic)
{
	bool v3 = is_v3(gic->kind);
	u64 dist = ARM_GIC_DIST;
	int ret;

	ret = kvm_irqchip_set(gic->fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
			      v3 ? KVM_VGIC_V3_ADDR_TYPE_DIST : KVM_VGIC_V2_ADDR_TYPE_DIST, &dist,
			      "the distributor's address");
	if (ret)
		return ret;
	/* One range for the redistributors of all vcpus: nothing else stands in its way. */
	return kvm_irqchip_set(gic->fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
			       v3 ? KVM_VGIC_V3_ADDR_TYPE_REDIST : KVM_VGIC_V2_ADDR_TYPE_CPU,
			       &gic->cpu_base,
			       v3 ? "the redistributors' address" : "the CPU interface's address");
}

static int set_up_its(const struct arm_gic *gic)
{
	int ret;

	if (gic->its_fd < 0)
		return 0;
	ret = kvm_irqchip_set(gic->its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE,
			      &gic->msi_base, "the ITS's address");
	if (ret)
		return ret;
	return kvm_irqchip_set(gic->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT,
			       NULL, "the end of the ITS's setup");
}

static int set_routes(struct vm *vm)
{
	struct kvm_irq_routing_entry table[ARM_NR_SPIS];
	int ret;

	for (u32 i = 0; i < ARM_NR_SPIS; i++)
		fill_pin(&table[i], i, i);
	ret = irq_set_fixed_routes(&vm->irqs, table, ARM_NR_SPIS, ARM_NR_SPIS);
	if (ret)
		err("cannot route the interrupt lines: KVM_SET_GSI_ROUTING: %s", strerror(-ret));
	return ret;
}

int arm_gic_finish(struct vm *vm)
{
	const struct arm_gic *gic = &vm->arch->gic;
	const u32 nr_irqs = ARM_FIRST_SPI + ARM_NR_SPIS, maintenance = ARM_PPI_GIC_MAINT;
	int ret;

	ret = set_addresses(gic);
	if (!ret)
		ret = kvm_irqchip_set(gic->fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs,
				      "the number of interrupts");
	if (!ret && vm->cfg->arm.nested)
		ret = kvm_irqchip_set(gic->fd, KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0, &maintenance,
				      "the maintenance interrupt");
	if (!ret)
		ret = set_gicv4(vm);
	if (!ret)
		ret = kvm_irqchip_set(gic->fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
				      KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, "the end of its setup");
	if (!ret)
		ret = set_up_its(gic);
	/* KVM's own routes, which its last step installs, end at the pins. */
	return ret ? ret : set_routes(vm);
}

/* Device tree (Linux Documentation/devicetree/bindings/interrupt-controller/arm,gic*.yaml) */

static u32 gic_irq_cells(u32 gsi, bool edge, u32 cells[FDTW_MAX_IRQ_CELLS])
{
	cells[0] = 0; /* shared */
	cells[1] = gsi;
	cells[2] = edge ? 1 : 4; /* rising edge, high level */
	return 3;
}

static void describe_msi(const struct arm_gic *gic, struct fdtw *fdt)
{
	bool its = gic->kind == ARM_IRQCHIP_GICV3_ITS;

	if (!gic->msi_size)
		return;
	fdtw_node(fdt, "%s@%llx", its ? "msi-controller" : "v2m", gic->msi_base);
	fdtw_string(fdt, "compatible", its ? "arm,gic-v3-its" : "arm,gic-v2m-frame");
	fdtw_empty(fdt, "msi-controller");
	if (its)
		fdtw_u32(fdt, "#msi-cells", 1);
	fdtw_reg(fdt, gic->msi_base, gic->msi_size);
	fdtw_u32(fdt, "phandle", ARM_PHANDLE_MSI);
	fdtw_close(fdt);
	fdt->msi_phandle = ARM_PHANDLE_MSI;
	fdt->msi_devid = its;
}

void arm_gic_describe(struct vm *vm, struct fdtw *fdt)
{
	const struct arm_gic *gic = &vm->arch->gic;
	u64 dist_size = is_v3(gic->kind) ? ARM_GIC_DIST_SIZE : GICV2_DIST_SIZE;
	const u32 reg[] = {
		0, (u32)ARM_GIC_DIST,  0, (u32)dist_size,
		0, (u32)gic->cpu_base, 0, (u32)gic->cpu_size,
	};
	/* Private, numbered from interrupt id 16, level high. */
	const u32 maintenance[] = { 1, ARM_PPI_GIC_MAINT - 16, 4 };

	fdtw_node(fdt, "interrupt-controller@%llx", ARM_GIC_DIST);
	fdtw_string(fdt, "compatible", is_v3(gic->kind) ? "arm,gic-v3" : "arm,cortex-a15-gic");
	fdtw_u32(fdt, "#interrupt-cells", 3);
	fdtw_empty(fdt, "interrupt-controller");
	fdtw_cells(fdt, "reg", reg, ARRAY_SIZE(reg));
	if (vm->cfg->arm.nested)
		fdtw_cells(fdt, "interrupts", maintenance, ARRAY_SIZE(maintenance));
	fdtw_u32(fdt, "phandle", ARM_PHANDLE_GIC);
	fdtw_u32(fdt, "#address-cells", FDTW_ADDRESS_CELLS);
	fdtw_u32(fdt, "#size-cells", FDTW_SIZE_CELLS);
	fdtw_empty(fdt, "ranges");
	describe_msi(gic, fdt);
	fdtw_close(fdt);
	fdt->irq_phandle = ARM_PHANDLE_GIC;
	fdt->irq_cells = gic_irq_cells;
}

void arm_gic_destroy(struct vm *vm)
{
	struct arm_gic *gic = &vm->arch->gic;

	if (gic->its_fd >= 0)
		close(gic->its_fd);
	if (gic->fd >= 0)
		close(gic->fd);
	gic->its_fd = -1;
	gic->fd = -1;
}
