/* SPDX-License-Identifier: MIT */
/*
 * The device tree of a machine: nodes that every one has (Devicetree Specification 0.4, chapter 3),
 * those of its architecture, and its devices in the order of their creation. Nothing depends on the
 * time or the host: the same configuration gives the same bytes, but for the seeds, which are
 * written only when they are asked for.
 */
#include <stdio.h>
#include <sys/random.h>

#include "lkvm/arch.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/log.h"
#include "lkvm/memory.h"
#include "lkvm/vm.h"

#define PRIMECELL_CLOCK_HZ 24000000
#define RNG_SEED_BYTES	   64
#define POOL_ALIGN	   (2 * MiB)
/* What most trees have room in. libfdt zeroes all of it, so there is more only for who needs it. */
#define FDT_ROOM (64 * KiB)

void boot_fdt_root(struct fdtw *fdt, const char *model, u32 irq_parent)
{
	fdtw_string(fdt, "compatible", "linux,dummy-virt");
	fdtw_string(fdt, "model", model);
	fdtw_u32(fdt, "#address-cells", FDTW_ADDRESS_CELLS);
	fdtw_u32(fdt, "#size-cells", FDTW_SIZE_CELLS);
	fdtw_u32(fdt, "interrupt-parent", irq_parent);
}

/* Seeds of @len bytes; the kernel erases them from the tree once it has read them. */
static void describe_seed(struct fdtw *fdt, const char *name, size_t len)
{
	u8 seed[RNG_SEED_BYTES];

	/* So few bytes come whole (getrandom(2)); without them the guest collects its own. */
	if (getrandom(seed, len, 0) == (ssize_t)len)
		fdtw_bytes(fdt, name, seed, len);
	else
		guest_warn("no random bytes for %s: %s", name, strerror(errno));
	explicit_bzero(seed, sizeof(seed));
}

void boot_fdt_chosen(struct fdtw *fdt, const struct vm_config *cfg, const struct boot_fdt_input *in,
		     const char *console)
{
	fdtw_node(fdt, "chosen");
	if (in->cmdline)
		fdtw_string(fdt, "bootargs", in->cmdline);
	fdtw_string(fdt, "stdout-path", console);
	if (in->initrd_size) {
		fdtw_u64(fdt, "linux,initrd-start", in->initrd);
		fdtw_u64(fdt, "linux,initrd-end", in->initrd + in->initrd_size);
	}
	if (cfg->fdt.kaslr_random)
		describe_seed(fdt, "kaslr-seed", sizeof(u64));
	else if (cfg->fdt.kaslr_seed)
		fdtw_u64(fdt, "kaslr-seed", cfg->fdt.kaslr_seed);
	if (cfg->fdt.rng_seed)
		describe_seed(fdt, "rng-seed", RNG_SEED_BYTES);
	fdtw_close(fdt);
}

static void serial_path(char path[32], u64 base)
{
	snprintf(path, 32, "/serial@%llx", base);
}

void boot_fdt_console(struct fdtw *fdt, const struct vm_config *cfg,
		      const struct boot_fdt_input *in, u64 debug)
{
	char path[32], debug_path[32];

	serial_path(path, arch_platform.serial.base);
	fdtw_node(fdt, "aliases");
	fdtw_string(fdt, "serial0", path);
	if (debug) {
		serial_path(debug_path, debug);
		fdtw_string(fdt, "serial1", debug_path);
	}
	fdtw_close(fdt);
	boot_fdt_chosen(fdt, cfg, in, path);
}

void boot_fdt_memory(struct fdtw *fdt, const struct guest_memory *mem, u64 ram)
{
	const struct memory_region *r;

	memory_for_each(mem, r) {
		if (r->gpa < ram || r->kind != MEM_RAM)
			continue;
		fdtw_node(fdt, "memory@%llx", r->gpa);
		fdtw_string(fdt, "device_type", "memory");
		fdtw_reg(fdt, r->gpa, r->size);
		fdtw_close(fdt);
	}
}

/* Documentation/devicetree/bindings/reserved-memory: the guest chooses the place. */
void boot_fdt_pool(struct fdtw *fdt, u64 size, u32 phandle)
{
	fdtw_node(fdt, "reserved-memory");
	fdtw_u32(fdt, "#address-cells", FDTW_ADDRESS_CELLS);
	fdtw_u32(fdt, "#size-cells", FDTW_SIZE_CELLS);
	fdtw_empty(fdt, "ranges");
	fdtw_node(fdt, "restricted-dma-pool");
	fdtw_string(fdt, "compatible", "restricted-dma-pool");
	fdtw_u64(fdt, "size", size);
	fdtw_u64(fdt, "alignment", POOL_ALIGN);
	fdtw_u32(fdt, "phandle", phandle);
	fdtw_close(fdt);
	fdtw_close(fdt);
	fdt->dma_pool_phandle = phandle;
}

/* clock/fixed-clock.yaml: PrimeCells must name the clock of their bus. */
void boot_fdt_clock(struct fdtw *fdt, u32 phandle)
{
	fdtw_node(fdt, "apb-pclk");
	fdtw_string(fdt, "compatible", "fixed-clock");
	fdtw_u32(fdt, "#clock-cells", 0);
	fdtw_u32(fdt, "clock-frequency", PRIMECELL_CLOCK_HZ);
	fdtw_string(fdt, "clock-output-names", "apb-pclk");
	fdtw_u32(fdt, "phandle", phandle);
	fdtw_close(fdt);
	fdt->clock_phandle = phandle;
}

static int build(const struct boot_machine *m, struct vm *vm, const struct boot_fdt_input *in,
		 struct fdtw *fdt, size_t room, size_t *len)
{
	fdtw_begin(fdt, room);
	m->describe(vm, in, fdt);
	for (struct device *dev = vm->devices; dev; dev = dev->next)
		if (dev->ops->describe_fdt)
			dev->ops->describe_fdt(dev, fdt);
	return fdtw_finish(fdt, len);
}

int boot_fdt_build(const struct boot_machine *m, struct vm *vm, const struct boot_fdt_input *in,
		   void **blob, size_t *len)
{
	const u64 max = m->place->fdt_max;
	u64 room = MIN(max, FDT_ROOM);
	struct fdtw fdt;
	int ret;

	*blob = NULL;
	while ((ret = build(m, vm, in, &fdt, room, len)) == -ENOSPC && room < max) {
		fdtw_destroy(&fdt);
		room = max;
	}
	if (!ret) {
		*blob = fdt.buf;
		return 0;
	}
	if (ret == -ENOSPC)
		err("the device tree is larger than %llu bytes; use fewer vcpus or devices, or a "
		    "shorter command line",
		    max);
	else
		err("cannot build the device tree: %s", strerror(-ret));
	fdtw_destroy(&fdt);
	return ret;
}
