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
