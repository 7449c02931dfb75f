/* SPDX-License-Identifier: MIT */
/* ACPI tables (ACPI 6.5, 5.2): RSDP to XSDT to the one that is wanted. */
#include "guest.h"

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem[26];
} __attribute__((packed));

static bool sums_to_zero(const void *p, u32 n)
{
	const u8 *b = p;
	u8 sum = 0;

	while (n--)
		sum = (u8)(sum + *b++);
	return !sum;
}

const void *acpi_find(const char *signature)
{
	const u8 *rsdp = (const u8 *)(uintptr_t)boot.rsdp;
	const struct acpi_header *xsdt;

	if (!rsdp || memcmp(rsdp, "RSD PTR ", 8) || !sums_to_zero(rsdp, 20) || rsdp[15] < 2 ||
	    !sums_to_zero(rsdp, 36))
		return NULL;
	xsdt = *(const struct acpi_header *const *)(rsdp + 24);
	if (memcmp(xsdt->signature, "XSDT", 4) || !sums_to_zero(xsdt, xsdt->length))
		return NULL;
	for (u32 at = sizeof(*xsdt); at + 8 <= xsdt->length; at += 8) {
		const struct acpi_header *h =
			*(const struct acpi_header *const *)((const u8 *)xsdt + at);

		if (!memcmp(h->signature, signature, 4))
			return sums_to_zero(h, h->length) ? h : NULL;
	}
	return NULL;
}

const void *acpi_dsdt(void)
{
	static const struct acpi_header *dsdt;
	const struct acpi_header *h;
	const u8 *fadt;

	if (dsdt)
		return dsdt;
	fadt = acpi_find("FACP");
	if (!fadt)
		return NULL;
	/* 5.2.9: X_DSDT, else DSDT */
	h = *(const struct acpi_header *const *)(fadt + 140);
	if (!h)
		h = (const struct acpi_header *)(uintptr_t) * (const u32 *)(fadt + 40);
	if (h && !memcmp(h->signature, "DSDT", 4) && sums_to_zero(h, h->length))
		dsdt = h;
	return dsdt;
}

/*
 * No interpreter: the device's _HID as a string, then in its _CRS the 32-bit fixed memory range
 * (6.4.3.4) and the extended interrupt (6.4.3.6).
 */
bool acpi_virtio_mmio(u32 nth, u64 *base, u32 *irq)
{
	const struct acpi_header *h = acpi_dsdt();
	const u8 *p = (const u8 *)h, *end;

	if (!h)
		return false;
	for (end = p + h->length; p + 8 < end; p++)
		if (*p == 'L' && !memcmp(p, "LNRO0005", 8) && !nth--)
			break;
	for (*base = 0; p + 12 < end; p++) {
		if (!*base && p[0] == 0x86 && p[1] == 9 && !p[2])
			*base = *(const u32 *)(p + 4);
		if (!*base || p[0] != 0x89 || p[1] != 6 || p[2])
			continue;
		*irq = *(const u32 *)(p + 5);
		return true;
	}
	return false;
}
