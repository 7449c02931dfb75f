/* SPDX-License-Identifier: MIT */
/*
 * ACPI for the guest (ACPI 6.5, 5.2): which tables there are and where they lie. The root pointer
 * is at X86_ACPI_BASE, where a kernel that was not told finds it (5.2.5.1); the tables follow.
 */
#include "layout.h"
#include "lkvm/aml.h"
#include "lkvm/config.h"
#include "lkvm/guest-tdx.h"
#include "lkvm/log.h"
#include "lkvm/plan.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "x86.h"

#define RSDP_SIZE 36U

struct lookup {
	u64 base;
	bool found;
};

static void match_region(const struct bus_region *region, void *arg)
{
	struct lookup *l = arg;

	l->found |= region->base == l->base;
}

/* What is on the bus is described, nothing else. */
static bool has_region(struct bus *bus, u64 base)
{
	struct lookup l = { .base = base };

	bus_for_each(bus, match_region, &l);
	return l.found;
}

/* All but the XSDT into @out, for a place at @base, the DSDT first; how many, and where each is. */
static u32 add_tables(struct aml *out, struct vm *vm, bool reduced, u64 base, u64 mailbox,
		      size_t starts[X86_ACPI_MAX_TABLES])
{
	u32 count = 0;

	starts[count++] = acpi_dsdt(out, vm);
	starts[count++] = acpi_fadt(out, base + starts[0], reduced);
	starts[count++] = acpi_madt(out, &vm->arch->topology, !vm->arch->split_irqchip, mailbox);
	if (has_region(&vm->mmio, X86_ECAM_BASE))
		starts[count++] = acpi_mcfg(out);
	if (has_region(&vm->pio, X86_PORT_COM1))
		starts[count++] = acpi_spcr(out);
	return count;
}

/* All tables into @out, for a place at @base; returns the offset of the XSDT. */
static size_t build(struct aml *out, struct vm *vm, bool reduced, u64 base)
{
	size_t starts[X86_ACPI_MAX_TABLES];
	u64 tables[X86_ACPI_MAX_TABLES];
	u32 count =
		add_tables(out, vm, reduced, base, vm->cfg->x86.tdx.on ? TDX_MAILBOX : 0, starts);

	/* The FADT has the DSDT's place. */
	for (u32 i = 1; i < count; i++)
		tables[i - 1] = base + starts[i];
	return acpi_xsdt(out, tables, count - 1);
}

u32 x86_acpi_tables(struct aml *out, struct vm *vm, size_t starts[X86_ACPI_MAX_TABLES + 1])
{
	u32 count = add_tables(out, vm, true, 0, 0, starts);

	starts[count] = out->len;
	return count;
}

int x86_acpi_plan(struct vm *vm, struct boot_plan *plan, bool reduced, u64 *rsdp_gpa)
{
	const u64 base = ALIGN_UP(X86_ACPI_BASE + RSDP_SIZE, 16);
	const u64 room = X86_ACPI_BASE + X86_ACPI_SIZE - base;
	u8 rsdp[RSDP_SIZE];
	struct aml out;
	size_t xsdt;
	int ret = 0;

	aml_init(&out);
	xsdt = build(&out, vm, reduced, base);
	if (out.len > room) {
		err("the ACPI tables need %zu bytes, but have %llu; use fewer vcpus or devices",
		    out.len, room);
		ret = -ENOSPC;
		goto out;
	}
	acpi_rsdp(rsdp, base + xsdt);
	boot_plan_add(plan, BOOT_TABLES, "ACPI root pointer", X86_ACPI_BASE, rsdp, sizeof(rsdp));
	boot_plan_add(plan, BOOT_TABLES, "ACPI tables", base, out.data, out.len);
	x86_mptable_plan(vm, plan, has_region(&vm->mmio, X86_ECAM_BASE));
	*rsdp_gpa = X86_ACPI_BASE;
out:
	aml_free(&out);
	return ret;
}
