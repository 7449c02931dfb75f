/* SPDX-License-Identifier: MIT */
/*
 * The expansion ROM of a function that is passed through (PCI Local Bus 3.0, 6.3): a file of the
 * user's, or the device's own, which is read when the guest first looks. The guest cannot write it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "pci.h"
#include "vfio-abi.h"

/* The largest that hardware has (6.2.5.2), and the smallest. */
#define MAX_ROM (16 * MiB)
#define MIN_ROM (2 * KiB)

struct vfio_pci_rom {
	struct vfio_pci *vp;
	pthread_mutex_t lock;
	u64 size;  /* of what there is; beyond it reads are all ones */
	u8 *bytes; /* NULL: not read yet */
};

static void check_signature(const struct vfio_pci_rom *rom)
{
	if (rom->bytes[0] != 0x55 || rom->bytes[1] != 0xaa)
		warn("--vfio %s: its ROM does not begin with 55 AA: the guest will not use it",
		     rom->vp->dev->name.id);
}

/* In one piece for each page, since the kernel copies from the device byte by byte. Under the lock.
 * What cannot be read is all ones, and is not tried again. */
static void read_device(struct vfio_pci_rom *rom)
{
	rom->bytes = malloc(rom->size);
	if (!rom->bytes)
		return;
	memset(rom->bytes, 0xff, rom->size);
	for (u64 at = 0; at < rom->size; at += 4 * KiB) {
		u32 len = (u32)MIN(4 * KiB, rom->size - at);
		int ret = vfio_device_read(rom->vp->dev, VFIO_PCI_ROM_REGION_INDEX, at,
					   rom->bytes + at, len);

		if (ret) {
			guest_warn("%s: its ROM cannot be read at 0x%llx: %s; rom=FILE gives "
				   "another, rom=off none",
				   rom->vp->pci.dev.name, at, strerror(-ret));
			break;
		}
	}
	check_signature(rom);
}

static void rom_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct vfio_pci_rom *rom = opaque;

	if (offset >= rom->size)
		return;
	pthread_mutex_lock(&rom->lock);
	if (!rom->bytes)
		read_device(rom);
	if (rom->bytes)
		memcpy(data, rom->bytes + offset, MIN(len, rom->size - offset));
	pthread_mutex_unlock(&rom->lock);
}

static void rom_write(void *opaque, u64 offset, const void *data, u32 len) {}

static const struct bus_ops rom_ops = { rom_read, rom_write };

static int file_error(const struct vfio_pci *vp, const char *why, int ret)
{
	err("--vfio %s: rom=%s: %s", vp->dev->name.id, vp->dev->cfg->rom, why);
	return ret;
}

static int load_file(struct vfio_pci_rom *rom)
{
	struct vfio_pci *vp = rom->vp;
	int fd = open(vp->dev->cfg->rom, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;
	struct stat st;

	if (fd < 0)
		return file_error(vp, strerror(errno), -errno);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		ret = file_error(vp, "is not a file", -EINVAL);
	else if (st.st_size < 2)
		ret = file_error(vp, "is empty", -EINVAL);
	else if ((u64)st.st_size > MAX_ROM)
		ret = file_error(vp, "is larger than 16 MiB, the maximum", -EFBIG);
	else
		ret = 0;
	if (!ret) {
		rom->size = (u64)st.st_size;
		rom->bytes = xcalloc(1, rom->size);
		ret = pread_full(fd, rom->bytes, rom->size, 0);
		if (ret)
			file_error(vp, strerror(-ret), ret);
		else
			check_signature(rom);
	}
	close(fd);
	return ret;
}

int vfio_pci_rom_init(struct vfio_pci *vp)
{
	const char *file = vp->dev->cfg ? vp->dev->cfg->rom : NULL;
	struct vfio_pci_rom *rom;
	u64 shown = MIN_ROM;
	int ret = 0;

	if (file && !strcmp(file, "off"))
		return 0;
	rom = xcalloc(1, sizeof(*rom));
	pthread_mutex_init(&rom->lock, NULL);
	rom->vp = vp;
	vp->rom = rom;
	if (file)
		ret = load_file(rom);
	else
		rom->size = vp->dev->regions[VFIO_PCI_ROM_REGION_INDEX].size;
	if (rom->size > MAX_ROM) {
		warn("--vfio %s: hides its ROM of 0x%llx bytes: the maximum is 16 MiB",
		     vp->dev->name.id, rom->size);
		rom->size = 0;
	}
	/* Of a byte there is not even the signature. */
	if (ret || rom->size < 2)
		return ret;
	while (shown < rom->size)
		shown <<= 1;
	pci_set_rom(&vp->pci, shown, &rom_ops, rom);
	return 0;
}

void vfio_pci_rom_fini(struct vfio_pci *vp)
{
	if (!vp->rom)
		return;
	pthread_mutex_destroy(&vp->rom->lock);
	free(vp->rom->bytes);
	free(vp->rom);
	vp->rom = NULL;
}
