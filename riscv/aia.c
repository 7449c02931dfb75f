/* SPDX-License-Identifier: MIT */
/*
 * The Advanced Interrupt Architecture in KVM: an APLIC, whose sources are the lines of devices, and
 * for each hart an IMSIC, to which the APLIC and PCI devices send messages (RISC-V Advanced
 * Interrupt Architecture 1.0; Linux arch/riscv/include/uapi/asm/kvm.h and arch/riscv/kvm). KVM
 * learns its shape and its addresses when all vcpus exist.
 */
#include <stdlib.h>

#include "layout.h"
#include "lkvm/fdt.h"
#include "lkvm/irq.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/vm.h"
#include "riscv.h"

#define IMSIC_SIZE  (4 * KiB)  /* the file of supervisor level; a guest has no others */
#define APLIC_SIZE  (16 * KiB) /* KVM_DEV_RISCV_APLIC_SIZE */
#define MAX_SOURCES (RISCV_NR_LINES - 1)
#define SKETCH_IDS  255 /* where no host says: as QEMU's virt machine has them */

/* The device tree's interrupt types (devicetree/bindings/interrupt-controller/riscv,aplic.yaml). */
enum { TYPE_EDGE_RISING = 1, TYPE_LEVEL_HIGH = 4 };

/*
 * The chip's operations: KVM's, but that KVM does not see the end of an interrupt at an APLIC that
 * sends messages, and so never writes a resample fd.
 */

static void aia_set_level(void *opaque, u32 gsi, bool level)
{
	kvm_irq_chip_ops.set_level(opaque, gsi, level);
}

static void aia_send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	kvm_irq_chip_ops.send_msi(opaque, addr, data, 0);
}

static int aia_bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	return kvm_irq_chip_ops.bind_irqfd(opaque, fd, gsi, assign);
}

static int aia_set_routes(void *opaque, struct kvm_irq_routing *table)
{
	return kvm_irq_chip_ops.set_routes(opaque, table);
}

static u32 aia_max_routes(void *opaque)
{
	return kvm_irq_chip_ops.max_routes(opaque);
}

static const struct irq_chip_ops aia_irq_chip_ops = {
	.set_level = aia_set_level,
	.send_msi = aia_send_msi,
	.bind_irqfd = aia_bind_irqfd,
	.set_routes = aia_set_routes,
	.max_routes = aia_max_routes,
};

/* Without --aia KVM's own choice stands: with guest files where the host has some. */
static int set_mode(const struct vm *vm)
{
	static const u32 modes[] = {
		[RISCV_AIA_EMUL] = KVM_DEV_RISCV_AIA_MODE_EMUL,
		[RISCV_AIA_HWACCEL] = KVM_DEV_RISCV_AIA_MODE_HWACCEL,
		[RISCV_AIA_AUTO] = KVM_DEV_RISCV_AIA_MODE_AUTO,
	};
	enum riscv_aia_mode asked = vm->cfg->riscv.aia;
	int ret;

	if (asked == RISCV_AIA_DEFAULT)
		return 0;
	ret = kvm_set_attr(vm->arch->irqchip.fd, KVM_DEV_RISCV_AIA_GRP_CONFIG,
			   KVM_DEV_RISCV_AIA_CONFIG_MODE, &modes[asked]);
	if (ret == -EINVAL)
		err("--aia %s: the CPUs of this host have no guest interrupt files; use --aia "
		    "emul, or omit the option",
		    riscv_aia_names[asked]);
	else if (ret)
		err("--aia %s: KVM does not take it: %s", riscv_aia_names[asked], strerror(-ret));
	return ret;
}

int riscv_aia_init(struct vm *vm)
{
	struct riscv_irqchip *chip = &vm->arch->irqchip;
	int ret = kvm_create_device(&vm->kvm, KVM_DEV_TYPE_RISCV_AIA, 0, &chip->fd);

	if (ret) {
		err("cannot create the AIA: KVM_CREATE_DEVICE: %s", strerror(-ret));
		return ret;
	}
	vm->irqs.ops = &aia_irq_chip_ops;
	vm->irqs.opaque = &vm->kvm;
	return set_mode(vm);
}

void riscv_aia_sketch(struct vm *vm)
{
	vm->arch->irqchip.num_ids = SKETCH_IDS;
	vm->arch->irqchip.num_sources = MAX_SOURCES;
}

static u32 hart_bits(const struct vm *vm)
{
	u32 bits = 0;

	while (1U << bits < vm->cfg->cpus)
		bits++;
	return bits;
}

/* Devices of virtio-mmio have a source each. */
static int check_lines(const struct vm *vm)
{
	const struct riscv_irqchip *chip = &vm->arch->irqchip;
	u64 nr = config_virtio_devices(vm->cfg);
	u32 first = RISCV_GSI_VIRTIO_MMIO;
	u32 max = chip->num_sources + 1 - MIN(chip->num_sources + 1, first);

	if (transport_is_pci(vm->cfg->transport) || nr <= max)
		return 0;
	err("--virtio-transport %s: has a maximum of %u devices on this host, whose AIA tells %u "
	    "interrupts apart, but %llu are configured; use pci, or --irqchip plic",
	    virtio_transport_names[vm->cfg->transport], max, chip->num_ids, nr);
	return -ENOSPC;
}

/* There may not be more sources than identities. */
static int set_shape(struct vm *vm)
{
	struct riscv_irqchip *chip = &vm->arch->irqchip;
	u32 bits = hart_bits(vm);
	int ret = kvm_get_attr(chip->fd, KVM_DEV_RISCV_AIA_GRP_CONFIG, KVM_DEV_RISCV_AIA_CONFIG_IDS,
			       &chip->num_ids);

	if (ret) {
		err("interrupt controller: KVM does not tell its identities: %s", strerror(-ret));
		return ret;
	}
	chip->num_sources = MIN(MAX_SOURCES, chip->num_ids);
	ret = check_lines(vm);
	if (ret)
		return ret;
	ret = kvm_irqchip_set(chip->fd, KVM_DEV_RISCV_AIA_GRP_CONFIG, KVM_DEV_RISCV_AIA_CONFIG_SRCS,
			      &chip->num_sources, "the number of sources");
	if (ret)
		return ret;
	return kvm_irqchip_set(chip->fd, KVM_DEV_RISCV_AIA_GRP_CONFIG,
			       KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, &bits,
			       "the bits of a hart's number");
}

static int set_addresses(const struct vm *vm)
{
	int fd = vm->arch->irqchip.fd, ret;
	u64 addr = RISCV_APLIC;

	ret = kvm_irqchip_set(fd, KVM_DEV_RISCV_AIA_GRP_ADDR, KVM_DEV_RISCV_AIA_ADDR_APLIC, &addr,
			      "the APLIC's address");
	for (u32 i = 0; i < vm->cfg->cpus && !ret; i++) {
		addr = RISCV_IRQCHIP + i * IMSIC_SIZE;
		ret = kvm_irqchip_set(fd, KVM_DEV_RISCV_AIA_GRP_ADDR,
				      KVM_DEV_RISCV_AIA_ADDR_IMSIC(i), &addr, "an IMSIC's address");
	}
	return ret;
}

/* KVM's last step installed just these: each GSI leads to the source of its number. */
static int adopt_routes(struct vm *vm)
{
	struct kvm_irq_routing_entry table[MAX_SOURCES + 1];
	u32 count = vm->arch->irqchip.num_sources + 1;

	for (u32 i = 0; i < count; i++)
		table[i] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { .irqchip = 0, .pin = i },
		};
	return irq_adopt_fixed_routes(&vm->irqs, table, count, RISCV_NR_LINES);
}

int riscv_aia_finish(struct vm *vm)
{
	int ret = set_shape(vm);

	if (!ret)
		ret = set_addresses(vm);
	if (!ret)
		ret = kvm_irqchip_set(vm->arch->irqchip.fd, KVM_DEV_RISCV_AIA_GRP_CTRL,
				      KVM_DEV_RISCV_AIA_CTRL_INIT, NULL, "the end of its setup");
	return ret ? ret : adopt_routes(vm);
}

/* Device tree (devicetree/bindings/interrupt-controller/riscv,imsics.yaml, riscv,aplic.yaml) */

static u32 aia_irq_cells(u32 gsi, bool edge, u32 cells[FDTW_MAX_IRQ_CELLS])
{
	cells[0] = gsi;
	cells[1] = edge ? TYPE_EDGE_RISING : TYPE_LEVEL_HIGH;
	return 2;
}

static void describe_imsics(const struct vm *vm, struct fdtw *fdt)
{
	fdtw_node(fdt, "imsics@%llx", RISCV_IRQCHIP);
	fdtw_string(fdt, "compatible", "riscv,imsics");
	fdtw_reg(fdt, RISCV_IRQCHIP, IMSIC_SIZE * vm->cfg->cpus);
	fdtw_empty(fdt, "interrupt-controller");
	fdtw_u32(fdt, "#interrupt-cells", 0);
	fdtw_u32(fdt, "#address-cells", 0);
	fdtw_empty(fdt, "msi-controller");
	fdtw_u32(fdt, "#msi-cells", 0);
	riscv_irqchip_parents(vm, fdt);
	fdtw_u32(fdt, "riscv,num-ids", vm->arch->irqchip.num_ids);
	fdtw_u32(fdt, "riscv,hart-index-bits", hart_bits(vm));
	fdtw_u32(fdt, "phandle", RISCV_PHANDLE_MSI);
	fdtw_close(fdt);
}

void riscv_aia_describe(struct vm *vm, struct fdtw *fdt)
{
	describe_imsics(vm, fdt);
	fdtw_node(fdt, "aplic@%llx", RISCV_APLIC);
	fdtw_string(fdt, "compatible", "riscv,aplic");
	fdtw_reg(fdt, RISCV_APLIC, APLIC_SIZE);
	fdtw_empty(fdt, "interrupt-controller");
	fdtw_u32(fdt, "#interrupt-cells", 2);
	fdtw_u32(fdt, "#address-cells", 0);
	fdtw_u32(fdt, "msi-parent", RISCV_PHANDLE_MSI);
	fdtw_u32(fdt, "riscv,num-sources", vm->arch->irqchip.num_sources);
	fdtw_u32(fdt, "phandle", RISCV_PHANDLE_IRQCHIP);
	fdtw_close(fdt);
	fdt->irq_cells = aia_irq_cells;
	fdt->msi_phandle = RISCV_PHANDLE_MSI;
}
