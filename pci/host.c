/* SPDX-License-Identifier: MIT */
/*
 * The PCI host bridge: device 0, the ways into configuration space (ECAM: PCI Express 5.0, 7.2.2;
 * ports: PCI Local Bus 3.0, 3.2.2.3.2) and the four interrupt lines.
 */
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* 8 bytes: the address register, then the window to the 4 bytes that it selects. */
#define CONFIG_PORTS	     0xcf8
#define CONFIG_PORTS_SIZE    8
#define CONFIG_RESET	     (PORT_RESET_CONTROL - CONFIG_PORTS)
#define CONFIG_DATA	     4
#define CONFIG_ADDRESS_VALID 0x80fffffc
#define CONFIG_ENABLE	     0x80000000

/* ECAM: bus << 20 | devfn << 12 | register. */

static void ecam_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct pci_host *host = opaque;
	u32 step = MIN(len, 4u);

	for (u32 i = 0; i < len; i += step)
		put_le((u8 *)data + i, step,
		       pci_config_read(host, (u16)((offset + i) >> 12), (offset + i) & 0xfff,
				       step));
}

static void ecam_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct pci_host *host = opaque;
	u32 step = MIN(len, 4u);

	for (u32 i = 0; i < len; i += step)
		pci_config_write(host, (u16)((offset + i) >> 12), (offset + i) & 0xfff,
				 (u32)get_le((const u8 *)data + i, step), step);
}

static const struct bus_ops ecam_ops = { ecam_read, ecam_write };

/* Ports. Only whole words reach the address register. */

static u32 get_address(struct pci_host *host)
{
	u32 address;

	pthread_mutex_lock(&host->lock);
	address = host->config_address;
	pthread_mutex_unlock(&host->lock);
	return address;
}

/* Which register of which function the data window is; false: it is switched off. */
static bool data_target(u32 address, u64 offset, u16 *bdf, u32 *reg)
{
	*bdf = (u16)(address >> 8);
	*reg = (address & 0xfc) + (u32)(offset - CONFIG_DATA);
	return address & CONFIG_ENABLE;
}

static void ports_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct pci_host *host = opaque;
	u32 address = get_address(host);
	u32 reg;
	u16 bdf;

	if (!offset && len == 4)
		put_le(data, 4, address);
	else if (offset == CONFIG_RESET && len == 1)
		*(u8 *)data = (u8)atomic_load(&host->reset_control);
	else if (offset >= CONFIG_DATA && data_target(address, offset, &bdf, &reg))
		put_le(data, len, pci_config_read(host, bdf, reg, len));
}

static void ports_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct pci_host *host = opaque;
	u32 reg;
	u16 bdf;

	if (!offset && len == 4) {
		pthread_mutex_lock(&host->lock);
		host->config_address = (u32)get_le(data, 4) & CONFIG_ADDRESS_VALID;
		pthread_mutex_unlock(&host->lock);
	} else if (offset == CONFIG_RESET && len == 1) {
		reset_control_write(host->dev.vm, &host->reset_control, *(const u8 *)data);
	} else if (offset >= CONFIG_DATA && data_target(get_address(host), offset, &bdf, &reg)) {
		pci_config_write(host, bdf, reg, (u32)get_le(data, len), len);
	}
}

static const struct bus_ops ports_ops = { ports_read, ports_write };

/* The device */

static struct pci_host *to_host(struct device *dev)
{
	return container_of(dev, struct pci_host, dev);
}

static int claim_lines(struct pci_host *host)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(host->intx); i++) {
		int ret = device_claim_irq(&host->dev, &host->intx[i], host->layout->intx_gsi[i],
					   false);

		if (ret)
			return ret;
	}
	return 0;
}

static void release_lines(struct pci_host *host)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(host->intx); i++)
		irq_line_destroy(&host->intx[i]);
}

static int host_realize(struct device *dev, struct vm *vm)
{
	struct pci_host *host = to_host(dev);
	const struct arch_pci_layout *l = host->layout;
	int ret;

	if (vm->pci) {
		err("pci: a VM has only one host bridge");
		return -EEXIST;
	}
	ret = claim_lines(host);
	if (ret)
		goto fail;
	ret = device_claim_mmio(dev, l->ecam_base, l->ecam_size, &ecam_ops, host);
	if (ret)
		goto fail;
	if (l->config_ports) {
		ret = device_claim_pio(dev, CONFIG_PORTS, CONFIG_PORTS_SIZE, &ports_ops, host);
		if (ret)
			goto fail_ecam;
	}
	vm->pci = host;
	return 0;
fail_ecam:
	bus_remove(&vm->mmio, l->ecam_base);
fail:
	release_lines(host);
	return ret;
}

static void host_reset(struct device *dev)
{
	struct pci_host *host = to_host(dev);

	pthread_mutex_lock(&host->lock);
	host->config_address = 0;
	atomic_store(&host->reset_control, 0);
	pthread_mutex_unlock(&host->lock);
	pci_device_reset(&host->bridge);
}

static void host_free(struct pci_host *host)
{
	pci_device_fini(&host->bridge);
	pthread_mutex_destroy(&host->update);
	pthread_mutex_destroy(&host->lock);
	pthread_mutex_destroy(&host->intx_lock);
	free(host);
}

static void host_destroy(struct device *dev)
{
	struct pci_host *host = to_host(dev);

	bus_remove(&dev->vm->mmio, host->layout->ecam_base);
	if (host->layout->config_ports)
		bus_remove(&dev->vm->pio, CONFIG_PORTS);
	release_lines(host);
	dev->vm->pci = NULL;
	host_free(host);
}

static const struct device_ops host_ops = {
	.realize = host_realize,
	.reset = host_reset,
	.state = &pci_host_state,
	.describe_fdt = pci_host_describe_fdt,
	.describe_acpi = pci_host_describe_acpi,
	.destroy = host_destroy,
};

static void init_bridge(struct pci_host *host, u32 id)
{
	const struct pci_ident ident = {
		.vendor = (u16)id, .device = (u16)(id >> 16), .class = 0x0600, /* host bridge */
	};
	struct pci_device *bridge = &host->bridge;

	bridge->dev.name = "pci-bridge";
	pci_device_init(bridge, &ident, PCI_CFG_SPACE_SIZE);
	memcpy(bridge->initial, bridge->config, bridge->config_size);
	bridge->host = host;
	bridge->bus = &host->root;
	host->root.functions[0] = bridge;
}

int pci_host_add(struct vm *vm, const struct arch_pci_layout *layout, u64 mem64_base)
{
	struct pci_host *host = xcalloc(1, sizeof(*host));
	int ret;

	host->dev.name = "pci0";
	host->dev.ops = &host_ops;
	host->layout = layout;
	host->mem64_base = mem64_base;
	/* 6.2.5.1: address 0 is none for some guests. */
	host->next_io = MAX(layout->io_base, 0x1000ULL);
	host->next_mem32 = layout->mem32_base;
	host->next_mem64 = host->mem64_base;
	pthread_mutex_init(&host->update, NULL);
	pthread_mutex_init(&host->lock, NULL);
	pthread_mutex_init(&host->intx_lock, NULL);
	init_bridge(host, arch_pci_bridge_id(vm));
	ret = device_add(vm, &host->dev);
	if (ret)
		host_free(host);
	return ret;
}
