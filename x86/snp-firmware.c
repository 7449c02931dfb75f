/* SPDX-License-Identifier: MIT */
/*
 * Firmware of SNP guests: OVMF (edk2 OvmfPkg/ResetVector, OvmfSevMetadata.asm) and what follows it
 * have a table of the pages that are to be there at the start. They are launched as QEMU launches
 * them, since tools that compute measurements count on that: all of the image, then the table's
 * sections in its order.
 */
#include "boot.h"
#include "firmware-table.h"
#include "lkvm/config.h"
#include "snp.h"

/* dc886566-984a-4798-a75e-5585a7bf67cc: how far before the image's end the metadata begins. */
static const u8 metadata_guid[16] =
	FIRMWARE_GUID(0xdc886566, 0x984a, 0x4798, 0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc);
/* 00f771de-1a7e-4fcb-890e-68c77e2fb44e: where secondary processors begin. */
static const u8 reset_guid[16] =
	FIRMWARE_GUID(0x00f771de, 0x1a7e, 0x4fcb, 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e);

#define SIGNATURE    0x56455341U /* "ASEV" */
#define VERSION	     1
#define HEADER	     16U
#define SECTION	     12U /* address, size, type */
#define MAX_SECTIONS 64U /* a rank for each */

#define KERNEL_HASHES "kernel hashes"

enum section_type {
	SECTION_MEMORY = 1,
	SECTION_SECRETS = 2,
	SECTION_CPUID = 3,
	SECTION_SVSM_CAA = 4,
	SECTION_KERNEL_HASHES = 0x10,
};

/* 7255371f-3a3b-4b04-927b-1da6efa8d454: where the table of the kernel's hashes is looked for. */
static const u8 hashes_guid[16] =
	FIRMWARE_GUID(0x7255371f, 0x3a3b, 0x4b04, 0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54);

/* In @buf of @len bytes; 0, -ENOENT, or another errno: it is damaged. */
static int read_entry(const struct boot_image *img, const u8 guid[16], u8 *buf, u32 len)
{
	u8 data[FIRMWARE_ENTRY_MAX];
	u32 have = sizeof(data);
	int ret = x86_firmware_entry(img, guid, data, &have);

	if (ret)
		return ret;
	if (have < len)
		return -EBADMSG;
	memcpy(buf, data, len);
	return 0;
}

static int damaged(struct x86_boot *b, const char *what)
{
	return boot_error(b, -EINVAL, "its SEV metadata is damaged: %s", what);
}

/* The kernel's hashes (OvmfPkg, BlobVerifierLibSevHashes) */

static int hash_image(const struct boot_image *img, const char *what, u8 out[32])
{
	u8 chunk[16 * KiB];
	struct hash h;
	u64 size = 0;
	int ret = boot_image_measure(img, &size);

	hash_begin(&h, HASH_SHA256);
	for (u64 at = 0; at < size && !ret; at += sizeof(chunk)) {
		u64 len = MIN(size - at, (u64)sizeof(chunk));

		ret = boot_image_read(img, at, chunk, len);
		if (!ret)
			hash_add(&h, chunk, len);
	}
	hash_end(&h, out);
	return ret ? boot_image_error(img, what, ret, "cannot read: %s", strerror(-ret)) : 0;
}

/* Without an initrd it is the hash of nothing, without a command line that of its NUL. */
static int hash_kernel(const struct x86_boot *b, struct snp_kernel_hashes *hashes)
{
	const struct boot *boot = b->boot;
	const char *cmdline = b->cmdline ? b->cmdline : "";
	int ret = hash_check();

	if (ret)
		return ret;
	if (boot->nr_initrds > 1)
		return boot_error(b, -EINVAL, "it is told of one initrd at most; omit some");
	hash_bytes(HASH_SHA256, cmdline, strlen(cmdline) + 1, hashes->cmdline);
	hash_bytes(HASH_SHA256, NULL, 0, hashes->initrd);
	ret = hash_image(&boot->kernel, "kernel", hashes->kernel);
	if (!ret && boot->nr_initrds)
		ret = hash_image(&boot->initrds[0], "initrd", hashes->initrd);
	return ret;
}

static int add_hashes(struct x86_boot *b, u64 gpa, u64 size)
{
	struct snp_kernel_hashes hashes;
	u8 page[BOOT_PAGE], where[4];
	u32 offset;
	int ret;

	if (!b->boot->kernel.path) {
		boot_plan_add_zero(b->plan, "firmware's memory", gpa, size);
		return 0;
	}
	if (size != BOOT_PAGE || read_entry(b->image, hashes_guid, where, sizeof(where)))
		return damaged(b, "the place of the kernel's hashes");
	offset = (u32)get_le(where, 4) & (BOOT_PAGE - 1);
	if (offset > BOOT_PAGE - SNP_HASHES_SIZE)
		return damaged(b, "the place of the kernel's hashes");
	ret = hash_kernel(b, &hashes);
	if (ret)
		return ret;
	snp_hashes_page(&hashes, offset, page);
	boot_plan_add(b->plan, BOOT_TABLES, KERNEL_HASHES, gpa, page, sizeof(page));
	return 0;
}

static int add_section(struct x86_boot *b, u64 gpa, u64 size, u32 type)
{
	static const u8 page[BOOT_PAGE];

	if (!size || !IS_ALIGNED(gpa | size, BOOT_PAGE))
		return damaged(b, "a section is not of whole pages");
	switch (type) {
	case SECTION_MEMORY:
	case SECTION_SVSM_CAA:
		boot_plan_add_zero(b->plan, "firmware's memory", gpa, size);
		return 0;
	case SECTION_KERNEL_HASHES:
		return add_hashes(b, gpa, size);
	case SECTION_SECRETS:
	case SECTION_CPUID:
		if (size != BOOT_PAGE)
			return damaged(b, "its CPUID or secrets section is not one page");
		boot_plan_add(b->plan, type == SECTION_CPUID ? BOOT_CPUID : BOOT_SECRETS,
			      type == SECTION_CPUID ? "CPUID page" : "secrets page", gpa, page,
			      sizeof(page));
		return 0;
	}
	return boot_error(b, -EINVAL,
			  "its SEV metadata has a section of type %u, which is unknown here", type);
}

static int add_sections(struct x86_boot *b, u64 offset, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		u8 raw[SECTION];
		int ret = boot_image_read(b->image, offset + (u64)i * SECTION, raw, sizeof(raw));

		if (ret)
			return place_error(b, ret);
		/* The order counts, whatever their addresses are. */
		b->plan->rank++;
		ret = add_section(b, get_le(raw, 4), get_le(raw + 4, 4), (u32)get_le(raw + 8, 4));
		if (ret)
			return ret;
	}
	return 0;
}

/* Where the sections are, in the image, and how many. */
static int find_sections(struct x86_boot *b, u64 *offset, u32 *count)
{
	u8 raw[HEADER], where[4];
	u64 back;
	int ret = read_entry(b->image, metadata_guid, where, sizeof(where));

	if (ret == -ENOENT)
		return boot_error(b, -ENOEXEC,
				  "it has no SEV metadata, so it is not built for SNP guests; use "
				  "OVMF's AmdSev build, or start a kernel without firmware (-k)");
	if (ret)
		return damaged(b, "the table at its end");
	back = get_le(where, 4);
	if (back < HEADER || back > b->image->size)
		return damaged(b, "it lies outside of the image");
	*offset = b->image->size - back;
	if (boot_image_read(b->image, *offset, raw, sizeof(raw)))
		return place_error(b, -ENODATA);
	*offset += HEADER;
	*count = (u32)get_le(raw + 12, 4);
	if (get_le(raw, 4) != SIGNATURE || get_le(raw + 8, 4) != VERSION)
		return damaged(b, "its signature or its version");
	if (!*count || *count > MAX_SECTIONS)
		return damaged(b, "the number of its sections");
	if ((u64)*count * SECTION > back - HEADER || get_le(raw + 4, 4) < HEADER + *count * SECTION)
		return damaged(b, "its sections reach beyond its end");
	return 0;
}

int x86_snp_firmware_plan(struct x86_boot *b)
{
	u8 address[4] = { 0 };
	u64 offset = 0;
	u32 count = 0;
	int ret = find_sections(b, &offset, &count);

	if (ret)
		return ret;
	ret = add_sections(b, offset, count);
	b->plan->rank = 0;
	if (ret)
		return ret;
	if (b->boot->kernel.path && !boot_plan_find(b->plan, KERNEL_HASHES))
		return boot_error(b, -EINVAL,
				  "it has no place for a kernel's hashes, so it cannot be told of "
				  "one; omit --kernel");
	ret = read_entry(b->image, reset_guid, address, sizeof(address));
	if (ret && ret != -ENOENT)
		return damaged(b, "the table at its end");
	b->entry.ap_address = (u32)get_le(address, 4);
	b->entry.signature = b->signature;
	return 0;
}
