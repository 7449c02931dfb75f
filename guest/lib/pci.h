/* SPDX-License-Identifier: MIT */
/* PCI's functions: of bus 0, then of the buses behind its bridges, numbered as they are found. */
#ifndef GUEST_PCI_H
#define GUEST_PCI_H

#include "guest.h"

#define PCI_SCAN_BRIDGES 7

struct pci_scan {
	u64 fn; /* the configuration space of the one that was found */
	u32 id; /* device and function, on its bus */
	u32 devfn, at, nr;
	struct pci_scan_bus {
		u8 number, bridge; /* where the bridge is on bus 0 */
	} bus[PCI_SCAN_BRIDGES + 1];
};

/* The next function that is no bridge; *@s is zero before the first call. */
bool pci_next(struct pci_scan *s);
/* Whom its messages come from: a bridge speaks for what is behind it. */
u32 pci_requester(const struct pci_scan *s);
/* The interrupt that it raises: a bridge rotates pins as slots do. */
u32 pci_line(const struct pci_scan *s);

#endif
