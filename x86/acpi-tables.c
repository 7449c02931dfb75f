/* SPDX-License-Identifier: MIT */
/*
 * ACPI's static tables for a hardware-reduced PC (ACPI 6.5, 5.2; PCI Firmware Specification 3.3,
 * 4.1.2 MCFG; Microsoft's SPCR revision 2). Each is appended to a buffer; nothing in them depends
 * on anything but the arguments.
 */
#include "layout.h"
#include "lkvm/aml.h"
#include "platform.h"

#define __acpi __attribute__((packed))

/* 5.2.6 System Description Table Header */
struct acpi_header {
	char signature[4];
	__le32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	__le32 oem_revision;
	char creator_id[4];
	__le32 creator_revision;
} __acpi;

/* 5.2.3.2 Generic Address Structure */
enum { GAS_MEMORY = 0, GAS_IO = 1 };
struct acpi_gas {
	u8 space;
	u8 bit_width;
	u8 bit_offset;
	u8 access_size; /* 1: byte, 2: word, 3: four bytes */
	__le64 address;
} __acpi;

static struct acpi_gas io_block(u16 port, u8 bytes)
{
	return (struct acpi_gas){
		.space = GAS_IO,
		.bit_width = (u8)(8 * bytes),
		.access_size = bytes == 1   ? 1
			       : bytes == 2 ? 2
					    : 3,
		.address = cpu_to_le64(port),
	};
}

static struct acpi_gas io_register(u16 port)
{
	return io_block(port, 1);
}

static u8 checksum(const u8 *p, size_t len)
{
	u8 sum = 0;

	while (len--)
		sum = (u8)(sum + *p++);
	return (u8)-sum;
}

size_t acpi_begin(struct aml *out, const char *signature, u8 revision)
{
	struct acpi_header header = {
		.revision = revision,
		.oem_id = { 'L', 'K', 'V', 'M', ' ', ' ' },
		.oem_table_id = { 'L', 'K', 'V', 'M', ' ', ' ', ' ', ' ' },
		.oem_revision = cpu_to_le32(1),
		.creator_id = { 'L', 'K', 'V', 'M' },
		.creator_revision = cpu_to_le32(1),
	};
	static const u8 zeros[16];
	size_t start;

	aml_raw(out, zeros, -out->len & 15);
	start = out->len;
	memcpy(header.signature, signature, sizeof(header.signature));
	aml_raw(out, &header, sizeof(header));
	return start;
}

void acpi_end(struct aml *out, size_t start)
{
	size_t len = out->len - start;
	u8 *table = out->data + start;

	put_le(table + offsetof(struct acpi_header, length), 4, len);
	table[offsetof(struct acpi_header, checksum)] = 0;
	table[offsetof(struct acpi_header, checksum)] = checksum(table, len);
}

/* 5.2.9 Fixed ACPI Description Table, without its header */
struct acpi_fadt {
	__le32 firmware_ctrl;
	__le32 dsdt;
	u8 reserved0;
	u8 preferred_pm_profile;
	__le16 sci_int;
	__le32 smi_cmd;
	u8 acpi_enable[4];
	__le32 pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2, pm_timer, gpe0, gpe1;
	u8 pm1_event_len, pm1_control_len, pm2_len, pm_timer_len;
	u8 gpe[3], c_state_control;
	__le16 c2_latency, c3_latency;
	u8 flush_and_duty[6], alarm[2];
	u8 century;
	__le16 iapc_boot_arch;
	u8 reserved1;
	__le32 flags;
	struct acpi_gas reset_reg;
	u8 reset_value;
	__le16 arm_boot_arch;
	u8 minor_version;
	__le64 x_firmware_ctrl;
	__le64 x_dsdt;
	struct acpi_gas x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control;
	struct acpi_gas x_pm2, x_pm_timer, x_gpe0, x_gpe1;
	struct acpi_gas sleep_control_reg;
	struct acpi_gas sleep_status_reg;
	char hypervisor_vendor[8];
} __acpi;
_Static_assert(sizeof(struct acpi_fadt) + sizeof(struct acpi_header) == 276, "FADT revision 6");

/* 5.2.9.3 IA-PC boot architecture flags; not set: 8042 (ours only resets), no CMOS RTC */
#define IAPC_LEGACY_DEVICES  BIT(0)
#define IAPC_VGA_NOT_PRESENT BIT(2)
/* table 5.10 fixed feature flags */
#define FADT_WBINVD	BIT(0)
#define FADT_PROC_C1	BIT(2)
#define FADT_PWR_BUTTON BIT(4) /* set: no fixed-hardware button */
#define FADT_SLP_BUTTON BIT(5) /* likewise */
#define FADT_TIMER_32	BIT(8)
#define FADT_RESET_REG	BIT(10)
#define FADT_HW_REDUCED BIT(20)

/*
 * PM1a control is named in any case: who needs no more than a way to power off takes it. So is the
 * timer: where KVM's clock is not used nothing else tells a hardware-reduced Linux, which looks for
 * no PIT, how fast the TSC is, and it waits for ever in its calibration. Such systems may ignore
 * both (5.2.9).
 */
size_t acpi_fadt(struct aml *out, u64 dsdt_gpa, bool reduced)
{
	struct acpi_fadt fadt = {
		.dsdt = cpu_to_le32((u32)dsdt_gpa),
		.x_dsdt = cpu_to_le64(dsdt_gpa),
		.century = 0x32, /* the CMOS byte where PCs keep it */
		.iapc_boot_arch = cpu_to_le16(IAPC_LEGACY_DEVICES | IAPC_VGA_NOT_PRESENT),
		.flags = cpu_to_le32(FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON |
				     FADT_SLP_BUTTON | FADT_TIMER_32 | FADT_RESET_REG |
				     (reduced ? FADT_HW_REDUCED : 0)),
		.pm1a_control = cpu_to_le32(X86_PM1A_CONTROL),
		.pm1_control_len = 2,
		.pm_timer = cpu_to_le32(X86_PM_TIMER),
		.pm_timer_len = 4,
		.x_pm1a_control = io_block(X86_PM1A_CONTROL, 2),
		.x_pm_timer = io_block(X86_PM_TIMER, 4),
		.reset_reg = io_register(X86_PM_RESET),
		.reset_value = X86_PM_RESET_VALUE,
		.minor_version = 5,
		.sleep_control_reg = io_register(X86_PM_SLEEP_CONTROL),
		.sleep_status_reg = io_register(X86_PM_SLEEP_STATUS),
		.hypervisor_vendor = "LKVM",
	};
	size_t start = acpi_begin(out, "FACP", 6);

	/* Without SMI_CMD the machine is in ACPI mode from the start (4.8.2.5). */
	if (!reduced) {
		fadt.sci_int = cpu_to_le16(X86_GSI_SCI);
		fadt.pm1a_event = cpu_to_le32(X86_PM1A_EVENT);
		fadt.pm1_event_len = X86_PM1A_EVENT_LEN;
		fadt.x_pm1a_event = io_block(X86_PM1A_EVENT, X86_PM1A_EVENT_LEN);
		fadt.c2_latency = cpu_to_le16(101); /* more than 100: there is no C2 */
		fadt.c3_latency = cpu_to_le16(1001);
	}
	aml_raw(out, &fadt, sizeof(fadt));
	acpi_end(out, start);
	return start;
}

/* 5.2.12 Multiple APIC Description Table: its structures */
#define MADT_PCAT_COMPAT BIT(0)
#define MADT_ENABLED	 BIT(0)
#define MADT_EDGE_HIGH	 0x5 /* MPS INTI flags: polarity 01 high, trigger 01 edge */

struct madt_lapic { /* 5.2.12.2 */
	u8 type, length;
	u8 uid;
	u8 apic_id;
	__le32 flags;
} __acpi;

struct madt_ioapic { /* 5.2.12.3 */
	u8 type, length;
	u8 id;
	u8 reserved;
	__le32 address;
	__le32 gsi_base;
} __acpi;

struct madt_override { /* 5.2.12.5 */
	u8 type, length;
	u8 bus;
	u8 source;
	__le32 gsi;
	__le16 flags;
} __acpi;

struct madt_lapic_nmi { /* 5.2.12.7 */
	u8 type, length;
	u8 uid;
	__le16 flags;
	u8 lint;
} __acpi;

struct madt_x2apic { /* 5.2.12.12 */
	u8 type, length;
	__le16 reserved;
	__le32 x2apic_id;
	__le32 flags;
	__le32 uid;
} __acpi;

struct madt_x2apic_nmi { /* 5.2.12.13 */
	u8 type, length;
	__le16 flags;
	__le32 uid;
	u8 lint;
	u8 reserved[3];
} __acpi;

struct madt_wakeup { /* 5.2.12.19 */
	u8 type, length;
	__le16 version;
	__le32 reserved;
	__le64 mailbox;
} __acpi;

static void madt_wakeup(struct aml *out, u64 mailbox)
{
	const struct madt_wakeup wakeup = {
		.type = 0x10,
		.length = sizeof(wakeup),
		.mailbox = cpu_to_le64(mailbox),
	};

	if (mailbox)
		aml_raw(out, &wakeup, sizeof(wakeup));
}

/* The UID is the number of the device in the DSDT. */
static void madt_cpus(struct aml *out, const struct x86_topology *topology)
{
	for (u32 uid = 0; uid < x86_topology_cpus(topology); uid++) {
		u32 id = x86_topology_apic_id(topology, uid);
		struct madt_lapic lapic = {
			.type = 0,
			.length = sizeof(lapic),
			.uid = (u8)uid,
			.apic_id = (u8)id,
			.flags = cpu_to_le32(MADT_ENABLED),
		};
		struct madt_x2apic x2apic = {
			.type = 9,
			.length = sizeof(x2apic),
			.x2apic_id = cpu_to_le32(id),
			.flags = cpu_to_le32(MADT_ENABLED),
			.uid = cpu_to_le32(uid),
		};

		if (id < X86_XAPIC_MAX_VCPUS)
			aml_raw(out, &lapic, sizeof(lapic));
		else
			aml_raw(out, &x2apic, sizeof(x2apic));
	}
}

/* LINT1 of every processor is NMI, as on a PC. */
static void madt_nmi(struct aml *out, const struct x86_topology *topology)
{
	const struct madt_lapic_nmi nmi = {
		.type = 4,
		.length = sizeof(nmi),
		.uid = 0xff, /* all */
		.lint = 1,
	};
	const struct madt_x2apic_nmi x2apic_nmi = {
		.type = 0xa,
		.length = sizeof(x2apic_nmi),
		.uid = cpu_to_le32(0xffffffff), /* all */
		.lint = 1,
	};

	aml_raw(out, &nmi, sizeof(nmi));
	if (x86_topology_nr_ids(topology) > X86_XAPIC_MAX_VCPUS)
		aml_raw(out, &x2apic_nmi, sizeof(x2apic_nmi));
}

size_t acpi_madt(struct aml *out, const struct x86_topology *topology, bool pic, u64 mailbox)
{
	const struct {
		__le32 lapic_address;
		__le32 flags;
	} __acpi head = {
		.lapic_address = cpu_to_le32((u32)X86_LAPIC),
		.flags = cpu_to_le32(pic ? MADT_PCAT_COMPAT : 0),
	};
	const struct madt_ioapic ioapic = {
		.type = 1,
		.length = sizeof(ioapic),
		.address = cpu_to_le32((u32)X86_IOAPIC),
	};
	/*
	 * The identity, said aloud. There is none for the PIT, which irqchip.c wires to pin 0:
	 * SCI_INT is 0 in hardware-reduced mode, and Linux would take an override of interrupt 0
	 * for the SCI's.
	 */
	const struct madt_override com1 = {
		.type = 2,
		.length = sizeof(com1),
		.source = X86_GSI_COM1,
		.gsi = cpu_to_le32(X86_GSI_COM1),
		.flags = cpu_to_le16(MADT_EDGE_HIGH),
	};
	size_t start = acpi_begin(out, "APIC", 6);

	aml_raw(out, &head, sizeof(head));
	madt_cpus(out, topology);
	aml_raw(out, &ioapic, sizeof(ioapic));
	aml_raw(out, &com1, sizeof(com1));
	madt_nmi(out, topology);
	madt_wakeup(out, mailbox);
	acpi_end(out, start);
	return start;
}

size_t acpi_mcfg(struct aml *out)
{
	const struct {
		u8 reserved0[8];
		__le64 base;
		__le16 segment;
		u8 first_bus;
		u8 last_bus;
		u8 reserved1[4];
	} __acpi mcfg = {
		.base = cpu_to_le64(X86_ECAM_BASE),
		.last_bus = (u8)(X86_ECAM_SIZE / MiB - 1),
	};
	size_t start = acpi_begin(out, "MCFG", 1);

	aml_raw(out, &mcfg, sizeof(mcfg));
	acpi_end(out, start);
	return start;
}

size_t acpi_spcr(struct aml *out)
{
	const struct {
		u8 interface; /* 0: 16550 */
		u8 reserved0[3];
		struct acpi_gas base;
		u8 interrupt_type; /* bit 1: I/O APIC */
		u8 irq;
		__le32 gsi;
		u8 baud; /* 7: 115200 */
		u8 parity;
		u8 stop_bits;
		u8 flow_control;
		u8 terminal; /* 3: ANSI */
		u8 language;
		__le16 pci_device, pci_vendor; /* 0xffff: not a PCI device */
		u8 pci_bus, pci_slot, pci_function;
		__le32 pci_flags;
		u8 pci_segment;
		u8 reserved1[4];
	} __acpi spcr = {
		.base = io_register(X86_PORT_COM1),
		.interrupt_type = BIT(1),
		.gsi = cpu_to_le32(X86_GSI_COM1),
		.baud = 7,
		.stop_bits = 1,
		.terminal = 3,
		.pci_device = cpu_to_le16(0xffff),
		.pci_vendor = cpu_to_le16(0xffff),
	};
	size_t start;

	_Static_assert(sizeof(spcr) + sizeof(struct acpi_header) == 80, "SPCR revision 2");
	start = acpi_begin(out, "SPCR", 2);
	aml_raw(out, &spcr, sizeof(spcr));
	acpi_end(out, start);
	return start;
}

/* 5.2.8 Extended System Description Table */
size_t acpi_xsdt(struct aml *out, const u64 *tables, u32 count)
{
	size_t start = acpi_begin(out, "XSDT", 1);

	for (u32 i = 0; i < count; i++) {
		__le64 gpa = cpu_to_le64(tables[i]);

		aml_raw(out, &gpa, sizeof(gpa));
	}
	acpi_end(out, start);
	return start;
}

/* 5.2.5.3 Root System Description Pointer, revision 2 */
void acpi_rsdp(u8 rsdp[36], u64 xsdt_gpa)
{
	memset(rsdp, 0, 36);
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "LKVM  ", 6);
	rsdp[15] = 2;
	put_le(rsdp + 20, 4, 36);
	put_le(rsdp + 24, 8, xsdt_gpa);
	rsdp[8] = checksum(rsdp, 20); /* the fields of ACPI 1.0 */
	rsdp[32] = checksum(rsdp, 36);
}
