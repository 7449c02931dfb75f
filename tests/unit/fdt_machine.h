/* SPDX-License-Identifier: MIT */
/*
 * For unit tests of machines with a device tree: one that is made without KVM, its whole tree, and
 * what is the same in that of every architecture. The architecture's test gives the machine memory,
 * vcpus and devices at fixed places.
 */
#ifndef TEST_FDT_MACHINE_H
#define TEST_FDT_MACHINE_H

#include "capture.h"
#include "dtc.h"
#include "fdt_read.h"
#include "unit.h"

#include <malloc.h>
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/hw.h"
#include "lkvm/pci.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"

struct fdt_machine {
	struct vm vm;
	struct vm_config cfg;
	void *blob;
	size_t len;
};

static void fdt_machine_ignore(void *opaque, u32 gsi, bool level) {}

static const struct irq_chip_ops fdt_machine_chip = { .set_level = fdt_machine_ignore };

static inline void fdt_machine_begin(struct fdt_machine *m, const struct vm_config *cfg)
{
	m->cfg = *cfg;
	assert_int_equal(vm_init(&m->vm, &m->cfg), 0);
	assert_int_equal(irq_init(&m->vm.irqs, &fdt_machine_chip, m), 0);
}

/* Devices that every machine has, beside those at fixed places. */
static inline void fdt_machine_add_devices(struct fdt_machine *m)
{
	assert_int_equal(serial_create(&m->vm, &arch_platform.serial, 0, NULL), 0);
	if (m->cfg.transport == TRANSPORT_PCI)
		assert_int_equal(
			pci_host_add(&m->vm, &arch_platform.pci, arch_pci_mem64_base(&m->vm)), 0);
	assert_int_equal(virtio_rng_create(&m->vm), 0);
}

/* Its tree, until the next or the end. */
static inline const void *fdt_machine_build(struct fdt_machine *m,
					    const struct boot_machine *machine,
					    const struct boot_fdt_input *in)
{
	free(m->blob);
	assert_int_equal(boot_fdt_build(machine, &m->vm, in, &m->blob, &m->len), 0);
	assert_int_equal(fdt_check_full(m->blob, m->len), 0);
	if (!dtc_missing())
		dtc_check(m->blob, m->len);
	return m->blob;
}

static const struct boot_fdt_input nothing;
static const struct boot_fdt_input linux_input = { .initrd = 0x8fe00000,
						   .initrd_size = 0x1234,
						   .cmdline = "console=ttyS0 a=\"b c\"" };

/* What @fdt, made with linux_input, says to a kernel, whose console is @console. */
static inline void check_chosen(const void *fdt, const char *console)
{
	assert_dt_string(fdt, "/", "compatible", "linux,dummy-virt");
	assert_dt_string(fdt, "/chosen", "bootargs", linux_input.cmdline);
	assert_int_equal(fdtw_cell64(fdt, "/chosen", "linux,initrd-start", 0), 0x8fe00000);
	assert_int_equal(fdtw_cell64(fdt, "/chosen", "linux,initrd-end", 0), 0x8fe01234);
	assert_dt_string(fdt, "/chosen", "stdout-path", console);
	assert_dt_string(fdt, "/aliases", "serial0", console);
	fdtw_path(fdt, console);
	assert_false(fdtw_has(fdt, "/chosen", "kaslr-seed"));
	assert_false(fdtw_has(fdt, "/chosen", "rng-seed"));
}

/* A command line of the size of all that a tree may have: one line that has @why. */
static inline void check_too_large(struct fdt_machine *m, const struct boot_machine *machine,
				   const char *why)
{
	u64 max = machine->place->fdt_max;
	char *cmdline = malloc(max);
	const struct boot_fdt_input in = { .cmdline = cmdline };
	void *blob = cmdline;
	size_t len;
	int ret;

	assert_non_null(cmdline);
	memset(cmdline, 'x', max - 1);
	cmdline[max - 1] = '\0';
	capture_begin();
	ret = boot_fdt_build(machine, &m->vm, &in, &blob, &len);
	capture_end();
	assert_int_equal(ret, -ENOSPC);
	assert_one_line(captured);
	assert_contains(captured, why);
	assert_null(blob);
	free(cmdline);
}

/*
 * The same bytes whatever the memory held before, in a second machine too: @make makes one, @end
 * ends it. Returns the tree (caller frees it) and its @len.
 */
static inline void *check_deterministic(const struct boot_machine *machine,
					struct fdt_machine *(*make)(void), void (*end)(void),
					size_t *len)
{
	static const struct boot_fdt_input in = { .initrd = 0x80000000,
						  .initrd_size = 1,
						  .cmdline = "a" };
	struct fdt_machine *m;
	void *first;

	mallopt(M_PERTURB, 0x5a);
	m = make();
	fdt_machine_build(m, machine, &in);
	first = m->blob;
	*len = m->len;
	m->blob = NULL;
	fdt_machine_build(m, machine, &in);
	assert_int_equal(m->len, *len);
	assert_memory_equal(m->blob, first, *len);
	end();
	mallopt(M_PERTURB, 0xc3);
	m = make();
	fdt_machine_build(m, machine, &in);
	assert_int_equal(m->len, *len);
	assert_memory_equal(m->blob, first, *len);
	end();
	mallopt(M_PERTURB, 0);
	return first;
}

#endif
