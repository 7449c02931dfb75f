/* SPDX-License-Identifier: MIT */
/*
 * The MP configuration table (Intel MultiProcessor Specification 1.4, chapter 4) beside ACPI, for
 * systems that read no ACPI. The floating pointer is in the first KiB of the EBDA; the table says
 * what the MADT says, and where PCI's pins lead.
 */
#include "layout.h"
#include "lkvm/aml.h"
#include "lkvm/config.h"
#include "lkvm/pci.h"
#include "lkvm/plan.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "x86.h"

#define __mp __attribute__((packed))

#define MP_POINTER   (X86_EBDA + 0x10)
#define SPEC_REV     4U /* 1.4 */
#define ALL_APICS    0xffU
#define PIC_CASCADE  2U
#define NR_ISA	     16U
#define APIC_VERSION 0x14U /* integrated */

/* 4.1 */
struct mp_pointer {
	char signature[4];
	__le32 table;
	u8 length; /* in 16 bytes */
	u8 revision;
	u8 checksum;
	u8 features[5];
} __mp;

/* 4.2 */
struct mp_header {
	char signature[4];
	__le16 length;
	u8 revision;
	u8 checksum;
	char oem[8];
	char product[12];
	__le32 oem_table;
	__le16 oem_table_size;
	__le16 entries;
	__le32 lapic;
	__le16 extended_length;
	u8 extended_checksum;
	u8 reserved;
} __mp;

/* 4.3 */
enum { MP_CPU, MP_BUS, MP_IOAPIC, MP_INTERRUPT, MP_LOCAL_INTERRUPT };
enum { INT_VECTORED, INT_NMI, INT_SMI, INT_EXTERNAL };
#define ENABLED	     BIT(0)
#define BOOT_CPU     BIT(1)
#define LEVEL_LOW    0xfU /* polarity 11, trigger 11; 0: as the bus has it */
#define FEATURE_FPU  BIT(0)
#define FEATURE_APIC BIT(9)

struct mp_cpu {
	u8 type, id, version, flags;
	__le32 signature, features, reserved[2];
} __mp;

struct mp_bus {
	u8 type, id;
	char name[6];
} __mp;

struct mp_ioapic {
	u8 type, id, version, flags;
	__le32 address;
} __mp;

struct mp_interrupt {
	u8 type, kind;
	__le16 flags;
	u8 bus, irq, apic, pin;
} __mp;

struct table {
	struct aml bytes; /* a buffer that grows; nothing of AML in it */
	u16 entries;
};

static void add(struct table *t, const void *entry, size_t len)
{
	aml_raw(&t->bytes, entry, len);
	t->entries++;
}

/* Any processor's family will do: a list may not depend on the host's. */
static void add_cpus(struct table *t, const struct x86_topology *topology)
{
	for (u32 i = 0; i < x86_topology_cpus(topology); i++) {
		u32 id = x86_topology_apic_id(topology, i);
		struct mp_cpu cpu = {
			.type = MP_CPU,
			.id = (u8)id,
			.version = APIC_VERSION,
			.flags = ENABLED | (id ? 0 : BOOT_CPU),
			.signature = cpu_to_le32(0x600),
			.features = cpu_to_le32(FEATURE_FPU | FEATURE_APIC),
		};

		if (id < X86_XAPIC_MAX_VCPUS)
			add(t, &cpu, sizeof(cpu));
	}
}

static void add_bus(struct table *t, u8 id, const char *name)
{
	struct mp_bus bus = { .type = MP_BUS, .id = id };

	memcpy(bus.name, name, sizeof(bus.name));
	add(t, &bus, sizeof(bus));
}

static void add_interrupt(struct table *t, u8 type, u8 kind, u16 flags, u8 bus, u32 irq, u8 apic,
			  u32 pin)
{
	struct mp_interrupt entry = { type, kind, cpu_to_le16(flags), bus, (u8)irq, apic, (u8)pin };

	add(t, &entry, sizeof(entry));
}

/* To the split irqchip's 8259s nothing is wired (pic.c). */
static void add_interrupts(struct table *t, bool pci, bool pic)
{
	const u8 pci_bus = 0, isa_bus = pci;

	for (u32 irq = 0; irq < NR_ISA; irq++)
		if (irq != PIC_CASCADE)
			add_interrupt(t, MP_INTERRUPT, INT_VECTORED, 0, isa_bus, irq, 0, irq);
	/* D.3: the device in bits 2 to 6 of the source, the pin below. */
	for (u32 source = 0; pci && source < PCI_NR_SLOTS * 4; source++)
		add_interrupt(t, MP_INTERRUPT, INT_VECTORED, LEVEL_LOW, pci_bus, source, 0,
			      X86_GSI_INTX + (source / 4 + source) % 4);
	if (pic)
		add_interrupt(t, MP_LOCAL_INTERRUPT, INT_EXTERNAL, 0, isa_bus, 0, ALL_APICS, 0);
	add_interrupt(t, MP_LOCAL_INTERRUPT, INT_NMI, 0, isa_bus, 0, ALL_APICS, 1);
}

static u8 checksum(const void *bytes, size_t len)
{
	const u8 *p = bytes;
	u8 sum = 0;

	while (len--)
		sum = (u8)(sum + *p++);
	return (u8)-sum;
}

static void finish(struct table *t)
{
	struct mp_header *h = (struct mp_header *)t->bytes.data;

	h->length = cpu_to_le16((u16)t->bytes.len);
	h->entries = cpu_to_le16(t->entries);
	h->checksum = checksum(h, t->bytes.len);
}

void x86_mptable_plan(const struct vm *vm, struct boot_plan *plan, bool pci)
{
	const bool pic = !vm->arch->split_irqchip;
	const struct mp_header header = {
		.signature = { 'P', 'C', 'M', 'P' },
		.revision = SPEC_REV,
		.oem = { 'L', 'K', 'V', 'M', ' ', ' ', ' ', ' ' },
		.product = { 'L', 'K', 'V', 'M', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ' },
		.lapic = cpu_to_le32((u32)X86_LAPIC),
	};
	const struct mp_ioapic ioapic = {
		.type = MP_IOAPIC,
		.version = pic ? X86_IOAPIC_VERSION_KVM : X86_IOAPIC_VERSION,
		.flags = ENABLED,
		.address = cpu_to_le32((u32)X86_IOAPIC),
	};
	struct mp_pointer pointer = {
		.signature = { '_', 'M', 'P', '_' },
		.table = cpu_to_le32(X86_MPTABLE),
		.length = sizeof(pointer) / 16,
		.revision = SPEC_REV,
	};
	struct table t = { 0 };

	aml_init(&t.bytes);
	aml_raw(&t.bytes, &header, sizeof(header));
	add_cpus(&t, &vm->arch->topology);
	if (pci)
		add_bus(&t, 0, "PCI   ");
	add_bus(&t, pci, "ISA   ");
	add(&t, &ioapic, sizeof(ioapic));
	add_interrupts(&t, pci, pic);
	finish(&t);
	pointer.checksum = checksum(&pointer, sizeof(pointer));
	boot_plan_add(plan, BOOT_TABLES, "MP floating pointer", MP_POINTER, &pointer,
		      sizeof(pointer));
	boot_plan_add(plan, BOOT_TABLES, "MP table", X86_MPTABLE, t.bytes.data, t.bytes.len);
	aml_free(&t.bytes);
}
