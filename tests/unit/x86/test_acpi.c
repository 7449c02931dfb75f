/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables of whole machines, found and read as a guest would and checked with iasl; and the
 * power management registers that they name.
 */
#include "unit.h"

#include "iasl.h"

#include "../../../x86/platform.h"
#include "../../../x86/x86.h"
#include "capture.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/pci.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

struct fixture {
	struct vm_config cfg;
	struct vm vm;
	int msis, highs, last_gsi;
};

static void set_level(void *opaque, u32 gsi, bool level)
{
	struct fixture *f = opaque;

	f->highs += level;
	f->last_gsi = (int)gsi;
}

static const struct irq_chip_ops chip = { .set_level = set_level };

static enum x86_host_bridge bridge;
static bool with_pic;

static void machine(struct fixture *f, u32 cpus, bool pci, bool split)
{
	const struct arch_platform *p = &arch_platform;

	memset(f, 0, sizeof(*f));
	config_init(&f->cfg);
	f->cfg.cpus = cpus;
	f->cfg.x86.host_bridge = bridge;
	assert_int_equal(vm_init(&f->vm, &f->cfg), 0);
	assert_int_equal(irq_init(&f->vm.irqs, &chip, f), 0);
	assert_int_equal(
		memory_add(&f->vm.mem,
			   &(struct memory_desc){ .gpa = 0, .size = 2 * MiB, .name = "ram" }),
		0);
	f->vm.arch = calloc(1, sizeof(*f->vm.arch));
	f->vm.arch->pci_mem64_base = X86_PCI_MEM64_SIZE;
	f->vm.arch->split_irqchip = split;
	f->vm.arch->topology = x86_topology_of(f->vm.cfg);
	assert_int_equal(x86_pm_create(&f->vm, &f->vm.arch->pm), 0);
	assert_int_equal(x86_pm1_create(&f->vm), 0);
	assert_int_equal(i8042_create(&f->vm), 0);
	assert_int_equal(cmos_rtc_create(&f->vm), 0);
	assert_int_equal(serial_create(&f->vm, &p->serial, 0, NULL), 0);
	assert_int_equal(pvpanic_create(&f->vm, &p->pvpanic), 0);
	assert_int_equal(debug_exit_create(&f->vm, &p->debug_exit), 0);
	assert_int_equal(boot_mark_create(&f->vm, &p->boot_mark), 0);
	if (pci)
		assert_int_equal(pci_host_add(&f->vm, &p->pci, X86_PCI_MEM64_SIZE), 0);
}

static void machine_end(struct fixture *f)
{
	vm_destroy_devices(&f->vm);
	free(f->vm.arch);
	vm_destroy(&f->vm);
	config_destroy(&f->cfg);
}

static u8 sum(const u8 *p, size_t len)
{
	u8 s = 0;

	while (len--)
		s = (u8)(s + *p++);
	return s;
}

/* A table at @gpa: inside the area, with length and checksum right. */
static const u8 *table_at(struct fixture *f, u64 gpa, const char *signature)
{
	const u8 *t = memory_ptr(&f->vm.mem, gpa, 36);
	u32 len;

	assert_non_null(t);
	len = (u32)get_le(t + 4, 4);
	assert_true(range_within(gpa, len, X86_ACPI_BASE, X86_ACPI_SIZE));
	assert_int_equal(sum(t, len), 0);
	if (signature)
		assert_memory_equal(t, signature, 4);
	return t;
}

static const u8 *xsdt(struct fixture *f)
{
	struct boot_plan plan;
	u64 gpa = 0;
	const u8 *rsdp;

	boot_plan_init(&plan);
	assert_int_equal(x86_acpi_plan(&f->vm, &plan, !with_pic, &gpa), 0);
	assert_int_equal(boot_plan_check(&plan, &f->vm.mem), 0);
	assert_int_equal(boot_plan_load(&plan, &f->vm.mem), 0);
	boot_plan_free(&plan);
	assert_int_equal(gpa, 0xe0000);
	rsdp = memory_ptr(&f->vm.mem, gpa, 36);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	assert_int_equal(rsdp[15], 2);
	assert_int_equal(get_le(rsdp + 20, 4), 36);
	return table_at(f, get_le(rsdp + 24, 8), "XSDT");
}

/* The table of that signature, or NULL. */
static const u8 *find_table(struct fixture *f, const char *signature)
{
	const u8 *root = xsdt(f);
	u32 count = ((u32)get_le(root + 4, 4) - 36) / 8;
	const u8 *found = NULL;

	for (u32 i = 0; i < count; i++) {
		const u8 *t = table_at(f, get_le(root + 36 + 8 * i, 8), NULL);

		if (!memcmp(t, signature, 4))
			found = t;
	}
	return found;
}

static const u8 *find_dsdt(struct fixture *f)
{
	return table_at(f, get_le(find_table(f, "FACP") + 140, 8), "DSDT");
}

static void test_fadt(void **state)
{
	struct fixture f;
	const u8 *t;

	machine(&f, 2, true, false);
	t = find_table(&f, "FACP");
	assert_non_null(t);
	assert_int_equal(get_le(t + 4, 4), 276);
	assert_int_equal(t[8], 6);
	assert_int_equal(get_le(t + 40, 4), get_le(t + 140, 8)); /* DSDT, X_DSDT */
	assert_int_equal(get_le(t + 109, 2), 1 | 4);		 /* ISA, no VGA */
	/* WBINVD, C1, no fixed buttons, timer of 32 bits, reset register, hardware-reduced */
	assert_int_equal(get_le(t + 112, 4), 1 << 0 | 1 << 2 | 3 << 4 | 5 << 8 | 1 << 20);
	assert_memory_equal(t + 116, "\1\10\0\1\2\6\0\0\0\0\0\0\1", 13); /* reset 0x602 := 1 */
	assert_memory_equal(t + 244, "\1\10\0\1\0\6\0\0\0\0\0\0", 12);	 /* sleep control 0x600 */
	assert_memory_equal(t + 256, "\1\10\0\1\1\6\0\0\0\0\0\0", 12);	 /* sleep status 0x601 */
	/* The timer at 0x608. */
	assert_int_equal(get_le(t + 76, 4), 0x608);
	assert_int_equal(t[91], 4);
	assert_memory_equal(t + 208, "\1\40\0\3\10\6\0\0\0\0\0\0", 12);
	/* PM1a control 0x604, two bytes, beside them; no other fixed hardware, no SCI. */
	assert_int_equal(get_le(t + 64, 4), 0x604);
	assert_int_equal(t[89], 2);
	assert_memory_equal(t + 172, "\1\20\0\2\4\6\0\0\0\0\0\0", 12);
	assert_int_equal(get_le(t + 46, 2), 0);
	assert_int_equal(get_le(t + 56, 4) | t[88], 0);
	machine_end(&f);
}

/*
 * A guest that is told to use no IOAPIC (words.c) finds a machine with SCI and fixed hardware: only
 * there does Linux use the 8259s.
 */
static void test_fadt_with_pic(void **state)
{
	struct fixture f;
	const u8 *t;

	machine(&f, 1, true, false);
	with_pic = true;
	t = find_table(&f, "FACP");
	assert_non_null(t);
	assert_int_equal(get_le(t + 112, 4), 1 << 0 | 1 << 2 | 3 << 4 | 5 << 8);
	assert_int_equal(get_le(t + 46, 2), X86_GSI_SCI);
	assert_int_equal(get_le(t + 48, 4), 0); /* SMI_CMD: in ACPI mode from the start */
	assert_int_equal(get_le(t + 56, 4), 0x60c);
	assert_int_equal(get_le(t + 64, 4), 0x604);
	assert_int_equal(t[88], 4);
	assert_int_equal(t[89], 2);
	assert_memory_equal(t + 148, "\1\40\0\3\14\6\0\0\0\0\0\0", 12);
	assert_true(get_le(t + 96, 2) > 100 && get_le(t + 98, 2) > 1000); /* no C2, no C3 */
	with_pic = false;
	machine_end(&f);
}

struct madt_count {
	u32 lapics, x2apics, ioapics, overrides, nmis, x2apic_nmis;
};

static struct madt_count count_madt(const u8 *t)
{
	struct madt_count c = { 0 };
	u32 len = (u32)get_le(t + 4, 4), at;

	for (at = 44; at + 2 <= len; at += t[at + 1]) {
		const u8 *e = t + at;

		assert_true(e[1] >= 2 && at + e[1] <= len);
		switch (e[0]) {
		case 0:
			assert_int_equal(e[1], 8);
			assert_int_equal(e[2], c.lapics);
			assert_int_equal(e[3], c.lapics++);
			assert_int_equal(get_le(e + 4, 4), 1);
			break;
		case 1:
			assert_int_equal(get_le(e + 4, 4), 0xfec00000);
			assert_int_equal(get_le(e + 8, 4), 0);
			c.ioapics++;
			break;
		case 2: /* ISA 4 is GSI 4, edge, active high */
			assert_memory_equal(e, "\2\12\0\4\4\0\0\0\5\0", 10);
			c.overrides++;
			break;
		case 4:
			assert_memory_equal(e, "\4\6\377\0\0\1", 6);
			c.nmis++;
			break;
		case 9:
			assert_int_equal(e[1], 16);
			assert_int_equal(get_le(e + 4, 4), 255 + c.x2apics);
			assert_int_equal(get_le(e + 8, 4), 1);
			assert_int_equal(get_le(e + 12, 4), 255 + c.x2apics++);
			break;
		case 10:
			c.x2apic_nmis++;
			break;
		default:
			fail_msg("MADT structure %u", e[0]);
		}
	}
	assert_int_equal(at, len);
	return c;
}

static u32 count_type(const u8 *t, u8 type)
{
	u32 n = 0, len = (u32)get_le(t + 4, 4);

	for (u32 at = 44; at + 2 <= len; at += t[at + 1])
		n += t[at] == type;
	return n;
}

/* Ids with gaps: 2 sockets of 3 cores are 0 to 2 and 4 to 6; UIDs are the DSDT's. */
static void test_madt_topology(void **state)
{
	static const u8 uids[] = { 0, 1, 2, 3, 4, 5 }, ids[] = { 0, 1, 2, 4, 5, 6 };
	struct fixture f;
	const u8 *t;

	machine(&f, 6, true, true);
	f.vm.arch->topology = (struct x86_topology){ 2, 1, 3, 1 };
	t = find_table(&f, "APIC") + 44;
	for (u32 i = 0; i < 6; i++, t += 8) {
		assert_int_equal(t[0], 0);
		assert_int_equal(t[2], uids[i]);
		assert_int_equal(t[3], ids[i]);
	}
	machine_end(&f);
	/* 8-bit ids end at 254, whatever the number of vcpus: 128 sockets of 3. */
	machine(&f, 384, true, true);
	f.vm.arch->topology = (struct x86_topology){ 128, 1, 3, 1 };
	t = find_table(&f, "APIC");
	assert_int_equal(count_type(t, 0), 192);
	assert_int_equal(count_type(t, 9), 192);
	assert_int_equal(count_type(t, 0xa), 1);
	machine_end(&f);
}

static void test_madt(void **state)
{
	static const struct {
		u32 cpus, lapics, x2apics;
		bool split;
	} cases[] = {
		{ 1, 1, 0, false },    { 64, 64, 0, true },	  { 255, 255, 0, false },
		{ 256, 255, 1, true }, { 2048, 255, 1793, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct madt_count c;
		struct fixture f;
		const u8 *t;

		machine(&f, cases[i].cpus, true, cases[i].split);
		t = find_table(&f, "APIC");
		assert_non_null(t);
		assert_int_equal(get_le(t + 36, 4), 0xfee00000);
		assert_int_equal(get_le(t + 40, 4), cases[i].split ? 0 : 1); /* 8259 */
		c = count_madt(t);
		assert_int_equal(c.lapics, cases[i].lapics);
		assert_int_equal(c.x2apics, cases[i].x2apics);
		assert_int_equal(c.ioapics, 1);
		assert_int_equal(c.overrides, 1);
		assert_int_equal(c.nmis, 1);
		assert_int_equal(c.x2apic_nmis, cases[i].x2apics ? 1 : 0);
		machine_end(&f);
	}
}

/* Without a PCI host there is no MCFG. */
static void test_what_is_there(void **state)
{
	struct fixture f;
	const u8 *t;

	machine(&f, 1, true, false);
	t = find_table(&f, "MCFG");
	assert_non_null(t);
	assert_int_equal(get_le(t + 44, 8), 0xe0000000);
	assert_int_equal(t[55], 255);
	t = find_table(&f, "SPCR");
	assert_non_null(t);
	assert_int_equal(get_le(t + 44, 8), 0x3f8);
	assert_int_equal(get_le(t + 54, 4), 4);
	machine_end(&f);
	machine(&f, 1, false, false);
	assert_null(find_table(&f, "MCFG"));
	assert_non_null(find_table(&f, "SPCR"));
	machine_end(&f);
}

/* The same machine has the same tables, and a second write (a reboot) changes nothing. */
static void test_deterministic(void **state)
{
	static u8 first[X86_ACPI_SIZE], second[X86_ACPI_SIZE];
	struct fixture f;

	machine(&f, 7, true, false);
	xsdt(&f);
	assert_int_equal(memory_read(&f.vm.mem, X86_ACPI_BASE, first, sizeof(first)), 0);
	xsdt(&f);
	assert_int_equal(memory_read(&f.vm.mem, X86_ACPI_BASE, second, sizeof(second)), 0);
	assert_memory_equal(first, second, sizeof(first));
	machine_end(&f);
	machine(&f, 7, true, false);
	xsdt(&f);
	assert_int_equal(memory_read(&f.vm.mem, X86_ACPI_BASE, second, sizeof(second)), 0);
	assert_memory_equal(first, second, sizeof(first));
	machine_end(&f);
}

static void test_no_room(void **state)
{
	struct boot_plan plan;
	struct fixture f;
	u64 gpa;

	boot_plan_init(&plan);
	machine(&f, 4095, true, false);
	capture_begin();
	assert_int_equal(x86_acpi_plan(&f.vm, &plan, true, &gpa), -ENOSPC);
	assert_one_line(capture_end());
	assert_contains(captured, "fewer vcpus");
	machine_end(&f);
}

static void check(const u8 *table, const char *const *parts)
{
	const char *source;

	iasl_check(table, get_le(table + 4, 4), &source);
	for (; *parts; parts++)
		if (!strstr(source, *parts))
			fail_msg("no '%s' in: %s", *parts, source);
}

static void test_iasl(void **state)
{
	static const char *const dsdt[] = {
		"Device (C001)",
		"\"ACPI0007\"",
		"Name (_UID, One)",
		"Device (PWRB)",
		"EisaId (\"PNP0C0C\")",
		"\"ACPI0013\"",
		"Method (_EVT, 1, Serialized)",
		"OperationRegion (EREG, SystemIO, 0x0603, One)",
		"Local0 = EVNT",
		"If ((Local0 & One))",
		"Notify (PWRB, 0x80)",
		"Name (\\_S5, Package (0x04)",
		"EisaId (\"PNP0501\")",
		"EisaId (\"PNP0B00\")",
		"EisaId (\"PNP0A08\")",
		NULL,
	};
	static const char *const fadt[] = {
		"Hardware Reduced (V5) : 1",
		"Reset Register Supported (V2) : 1",
		"Control Method Power Button (V1) : 1",
		"VGA Not Present (V4) : 1",
		"8042 Present on ports 60/64 (V2) : 0",
		"CMOS RTC Not Present (V5) : 0",
		NULL,
	};
	static const char *const madt[] = {
		"Processor Local x2APIC",    "Local APIC NMI",
		"Local x2APIC NMI",	     "I/O APIC",
		"Interrupt Source Override", NULL,
	};
	static const char *const mcfg[] = { "00000000E0000000", NULL };
	static const char *const spcr[] = { "00000000000003F8", NULL };
	struct fixture f;

	if (iasl_missing()) {
		print_message("iasl is not installed (acpica-tools)\n");
		skip();
	}
	machine(&f, 300, true, false);
	check(find_dsdt(&f), dsdt);
	check(find_table(&f, "FACP"), fadt);
	check(find_table(&f, "APIC"), madt);
	check(find_table(&f, "MCFG"), mcfg);
	check(find_table(&f, "SPCR"), spcr);
	check(xsdt(&f), (const char *const[]){ NULL });
	machine_end(&f);
}

/* The registers */

static void out8(struct fixture *f, u64 port, u8 value)
{
	assert_true(bus_write(&f->vm.pio, port, &value, 1));
}

static u8 in8(struct fixture *f, u64 port)
{
	u8 value = 0xff;

	assert_true(bus_read(&f->vm.pio, port, &value, 1));
	return value;
}

static void test_power_off(void **state)
{
	struct fixture f;

	machine(&f, 1, false, false);
	out8(&f, 0x601, 0x80);	 /* what a guest writes first: clear WAK_STS */
	out8(&f, 0x600, 5 << 2); /* no SLP_EN */
	assert_int_equal(f.vm.stop, VM_STOP_NONE);
	capture_begin();
	out8(&f, 0x600, 3 << 2 | 0x20); /* S3 is not offered */
	assert_contains(capture_end(), "sleep type 3");
	assert_int_equal(f.vm.stop, VM_STOP_NONE);
	assert_int_equal(in8(&f, 0x601), 0);
	out8(&f, 0x600, 5 << 2 | 0x20);
	assert_int_equal(f.vm.stop, VM_STOP_POWEROFF);
	machine_end(&f);
}

static void test_reset(void **state)
{
	struct fixture f;

	machine(&f, 1, false, false);
	out8(&f, 0x602, 0);
	assert_int_equal(f.vm.stop, VM_STOP_NONE);
	out8(&f, 0x602, 1);
	assert_int_equal(f.vm.stop, VM_STOP_RESET);
	machine_end(&f);
}

/* The MP table, as a system without ACPI reads it (MultiProcessor Specification 1.4, 4). */
struct mp_count {
	u32 cpus, buses, ioapics, isa, pci, locals;
	const u8 *pci_bus;
};

static struct mp_count count_mp(struct fixture *f)
{
	const u8 *pointer, *t, *end, *e;
	struct mp_count c = { 0 };
	u32 entries = 0;

	xsdt(f);
	pointer = memory_ptr(&f->vm.mem, X86_EBDA + 0x10, 16);
	assert_memory_equal(pointer, "_MP_", 4);
	assert_int_equal(sum(pointer, 16), 0);
	assert_int_equal(pointer[9], 4);
	assert_int_equal(pointer[11], 0); /* there is a table */
	t = memory_ptr(&f->vm.mem, get_le(pointer + 4, 4), 0x2000);
	assert_memory_equal(t, "PCMP", 4);
	end = t + get_le(t + 4, 2);
	assert_int_equal(sum(t, (size_t)(end - t)), 0);
	assert_int_equal(get_le(t + 36, 4), 0xfee00000);
	for (e = t + 44; e < end; e += e[0] ? 8 : 20, entries++) {
		switch (e[0]) {
		case 0:
			assert_int_equal(e[1], c.cpus);
			assert_int_equal(e[3], c.cpus++ ? 1 : 3); /* enabled; boot processor */
			break;
		case 1:
			c.pci_bus = memcmp(e + 2, "PCI   ", 6) ? c.pci_bus : e;
			assert_true(c.pci_bus == e || !memcmp(e + 2, "ISA   ", 6));
			assert_int_equal(e[1], c.buses++);
			break;
		case 2:
			assert_int_equal(get_le(e + 4, 4), 0xfec00000);
			c.ioapics++;
			break;
		case 3:
			if (c.pci_bus && e[4] == c.pci_bus[1]) {
				assert_int_equal(e[2], 0xf);
				assert_int_equal(e[7], 16 + (e[5] / 4 + e[5] % 4) % 4);
				assert_int_equal(e[5], c.pci++);
			} else {
				assert_int_equal(e[5], e[7]);
				c.isa++;
			}
			break;
		case 4:
			assert_int_equal(e[6], 0xff);
			assert_int_equal(e[1], e[7] ? 1 : 3); /* LINT1: NMI, LINT0: the 8259s */
			c.locals++;
			break;
		}
	}
	assert_ptr_equal(e, end);
	assert_int_equal(entries, get_le(t + 34, 2));
	return c;
}

static void test_mp_table(void **state)
{
	struct mp_count c;
	struct fixture f;

	machine(&f, 3, true, false);
	c = count_mp(&f);
	assert_true(c.cpus == 3 && c.buses == 2 && c.ioapics == 1 && c.locals == 2);
	assert_true(c.isa == 15 && c.pci == 128);
	machine_end(&f);
	/* Without PCI; with no more ids than 8 bits have; nothing comes by 8259s. */
	machine(&f, 300, false, true);
	c = count_mp(&f);
	assert_true(c.cpus == 255 && c.buses == 1 && c.ioapics == 1 && c.locals == 1);
	assert_true(c.isa == 15 && c.pci == 0);
	machine_end(&f);
}

static void out16(struct fixture *f, u64 port, u16 value)
{
	u8 bytes[2] = { (u8)value, (u8)(value >> 8) };

	assert_true(bus_write(&f->vm.pio, port, bytes, 2));
}

static u16 in16(struct fixture *f, u64 port)
{
	u8 bytes[2] = { 0xff, 0xff };

	assert_true(bus_read(&f->vm.pio, port, bytes, 2));
	return (u16)get_le(bytes, 2);
}

/* SLP_EN ends it in whatever width and with whatever type: simple systems know no \_S5. */
static void test_pm1_power_off(void **state)
{
	static const u16 values[] = { 0x2000, 0x3400, 0x3c01, 0x2001 };
	struct fixture f;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		machine(&f, 1, false, false);
		out16(&f, 0x604, values[i] & ~0x2000);
		assert_int_equal(f.vm.stop, VM_STOP_NONE);
		out16(&f, 0x604, values[i]);
		assert_int_equal(f.vm.stop, VM_STOP_POWEROFF);
		machine_end(&f);
	}
	machine(&f, 1, false, false);
	out8(&f, 0x604, 0x20);
	assert_int_equal(f.vm.stop, VM_STOP_NONE);
	out8(&f, 0x605, 0x20);
	assert_int_equal(f.vm.stop, VM_STOP_POWEROFF);
	machine_end(&f);
}

static void test_pm1_registers(void **state)
{
	struct fixture f;

	machine(&f, 1, false, false);
	assert_int_equal(in16(&f, 0x604), 1); /* SCI_EN */
	out16(&f, 0x604, 0);
	assert_int_equal(in16(&f, 0x604), 1);
	/* No event has happened; what is enabled reads back, as ACPICA checks. */
	assert_int_equal(in16(&f, 0x60c), 0);
	out16(&f, 0x60c, 0xffff);
	assert_int_equal(in16(&f, 0x60c), 0);
	out16(&f, 0x60e, 0x0120);
	assert_int_equal(in16(&f, 0x60e), 0x0120);
	assert_int_equal(in8(&f, 0x60f), 0x01);
	vm_reset_devices(&f.vm);
	assert_int_equal(in16(&f, 0x60e), 0);
	assert_int_equal(f.highs, 0);
	machine_end(&f);
}

/* What edk2's CloudHv build asks of the machine; others have no such bridge. */
static void test_cloud_hypervisor(void **state)
{
	struct fixture f;

	machine(&f, 1, true, false);
	assert_int_equal(pci_config_read(f.vm.pci, 0, 0, 4), 0x00081b36);
	machine_end(&f);
	bridge = X86_BRIDGE_CLOUD_HYPERVISOR;
	machine(&f, 1, true, false);
	bridge = X86_BRIDGE_GENERIC;
	assert_int_equal(pci_config_read(f.vm.pci, 0, 0, 4), 0x0d578086);
	machine_end(&f);
}

static u32 pm_timer(struct fixture *f)
{
	u8 bytes[4] = { 0 };

	assert_true(bus_read(&f->vm.pio, 0x608, bytes, 4));
	return (u32)get_le(bytes, 4);
}

/* Every machine has the timer. It goes on, but not while the VM is paused. */
static void test_pm_timer(void **state)
{
	struct fixture f;
	u32 first, then;

	machine(&f, 1, false, false);
	first = pm_timer(&f);
	/* A limit is for a hang alone. */
	while (pm_timer(&f) - first < 1000)
		;
	vm_quiesce_devices(&f.vm);
	first = pm_timer(&f);
	for (u64 start = now_ns(); now_ns() - start < 1000000;)
		assert_int_equal(pm_timer(&f), first);
	vm_resume_devices(&f.vm);
	then = pm_timer(&f);
	assert_true(then - first < 0x80000000);
	while (pm_timer(&f) == then)
		;
	machine_end(&f);
}

static void test_power_button(void **state)
{
	struct fixture f;

	machine(&f, 1, false, false);
	assert_int_equal(in8(&f, 0x603), 0);
	assert_int_equal(arch_power_button(&f.vm), 0);
	assert_int_equal(f.highs, 1);
	assert_int_equal(f.last_gsi, 9);
	assert_int_equal(in8(&f, 0x603), 1);
	assert_int_equal(in8(&f, 0x603), 0);
	/* A reset forgets it; the guest cannot press it. */
	assert_int_equal(arch_power_button(&f.vm), 0);
	vm_reset_devices(&f.vm);
	out8(&f, 0x603, 0xff);
	assert_int_equal(in8(&f, 0x603), 0);
	vm_destroy_devices(&f.vm);
	assert_int_equal(arch_power_button(&f.vm), -ENOTSUP);
	machine_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fadt),	      cmocka_unit_test(test_madt),
		cmocka_unit_test(test_madt_topology), cmocka_unit_test(test_what_is_there),
		cmocka_unit_test(test_deterministic), cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_iasl),	      cmocka_unit_test(test_power_off),
		cmocka_unit_test(test_reset),	      cmocka_unit_test(test_power_button),
		cmocka_unit_test(test_pm1_power_off), cmocka_unit_test(test_pm1_registers),
		cmocka_unit_test(test_pm_timer),      cmocka_unit_test(test_fadt_with_pic),
		cmocka_unit_test(test_mp_table),      cmocka_unit_test(test_cloud_hypervisor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
