/* SPDX-License-Identifier: MIT */
/* PCI's functions, by ECAM; see pci.h. */
#include "pci.h"

enum { HEADER = 0xe, SECONDARY = 0x19, PIN = 0x3d, MULTIFUNCTION = 0x80, BRIDGE = 1 };

bool pci_next(struct pci_scan *s)
{
	u64 base = arch_ecam();

	for (; base && s->at <= s->nr; s->devfn = 0, s->at++) {
		u64 bus = base + ((u64)s->bus[s->at].number << 20);

		while (s->devfn < 256) {
			u64 fn = bus + (s->devfn << 12);
			u32 ids = read32(fn);
			u8 header = read8(fn + HEADER);

			/* Only a first function that says so has others. */
			if (!(s->devfn & 7) && (ids == ~0u || !(header & MULTIFUNCTION)))
				s->devfn |= 7;
			s->devfn++;
			if (ids == ~0u)
				continue;
			s->fn = fn;
			s->id = (u32)(fn - bus) >> 12;
			if ((header & ~MULTIFUNCTION) != BRIDGE)
				return true;
			if (s->nr < PCI_SCAN_BRIDGES)
				s->bus[++s->nr] =
					(struct pci_scan_bus){ read8(fn + SECONDARY), (u8)s->id };
		}
	}
	return false;
}

u32 pci_requester(const struct pci_scan *s)
{
	return s->at ? s->bus[s->at].bridge : s->id;
}

u32 pci_line(const struct pci_scan *s)
{
	u32 slot = s->id >> 3, pin = read8(s->fn + PIN);

	if (!s->at)
		return arch_pci_line(slot, pin);
	return arch_pci_line(s->bus[s->at].bridge >> 3, (slot + pin - 1) % 4 + 1);
}
