/* SPDX-License-Identifier: MIT */
/* Says how it was started: protocol, command line, memory, initrds. Exit status: exit=N. */
#include "guest.h"

int guest_main(void)
{
	u64 ram = 0;

	print("hello from %s\n", boot.protocol);
	print("cmdline '%s'\n", boot.cmdline ? boot.cmdline : "(none)");
	for (u32 i = 0; i < boot.nr_ranges; i++) {
		const struct guest_range *r = &boot.map[i];

		print("memory 0x%lx-0x%lx type %u\n", r->base, r->base + r->size - 1, r->type);
		if (r->type == GUEST_RAM)
			ram += r->size;
	}
	print("ram %lu KiB\n", ram >> 10);
	for (u32 i = 0; i < boot.nr_modules; i++)
		print("initrd %lu bytes, checksum %x\n", boot.modules[i].size,
		      checksum((const void *)boot.modules[i].base, boot.modules[i].size & ~3ULL));
	print("cpus %u\n", arch_nr_cpus());
	print("acpi%s%s%s%s\n", acpi_find("FACP") ? " FACP" : "", acpi_find("APIC") ? " APIC" : "",
	      acpi_find("MCFG") ? " MCFG" : "", acpi_find("SPCR") ? " SPCR" : "");
	return (int)word_value("exit", 0);
}
