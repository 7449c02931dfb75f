/* SPDX-License-Identifier: MIT */
/*
 * What the host calls its devices: pci.ids, the list of the PCI ID Project, where a distribution
 * has it. "8086  Intel Corporation" begins a vendor, "\t10d3  82574L ..." is a device of it; what
 * has two tabs, and what stands after the line "C 00", is of no use here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lkvm/util.h"
#include "lkvm/vfio-host.h"

static const char *const places[] = { "/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids" };

/* The number and the name of a line without its tabs; false: it is none of these. */
static bool read_line(char *line, u32 *id, const char **name)
{
	u8 bytes[2];
	char digits[5] = "";

	if (strlen(line) < 7 || line[4] != ' ' || line[5] != ' ')
		return false;
	memcpy(digits, line, 4);
	if (parse_hex(digits, bytes, sizeof(bytes)))
		return false;
	*id = (u32)bytes[0] << 8 | bytes[1];
	*name = line + 6;
	return true;
}

/* The next line, of which what does not fit is dropped. */
static bool next_line(FILE *file, char *buf, int size)
{
	size_t len;
	int c;

	if (!fgets(buf, size, file))
		return false;
	len = strlen(buf);
	if (len && buf[len - 1] == '\n')
		buf[len - 1] = '\0';
	else
		while ((c = getc(file)) != EOF && c != '\n')
			;
	return true;
}

static void name_devices(struct host_pci_tree *tree, FILE *file)
{
	char line[256], vendor_name[64] = "";
	u32 vendor = HOST_PCI_NONE, id;
	const char *name;

	while (next_line(file, line, sizeof(line)) && strncmp(line, "C ", 2) != 0) {
		if (*line != '\t') {
			if (!read_line(line, &vendor, &name))
				continue;
			snprintf(vendor_name, sizeof(vendor_name), "%.63s", name);
		} else if (vendor == HOST_PCI_NONE || !read_line(line + 1, &id, &name)) {
			continue;
		} else {
			for (u32 i = 0; i < tree->nr; i++) {
				struct host_pci *dev = &tree->devices[i];

				if (dev->vendor != vendor || dev->device != id || *dev->name)
					continue;
				snprintf(dev->name, sizeof(dev->name), "%s %.95s", vendor_name,
					 name);
				text_mask(dev->name);
			}
		}
	}
}

void host_pci_name(const char *root, struct host_pci_tree *tree)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *path = xasprintf("%s%s", root, places[i]);
		FILE *file = fopen(path, "re");

		free(path);
		if (!file)
			continue;
		name_devices(tree, file);
		fclose(file);
		return;
	}
}
