/* SPDX-License-Identifier: MIT */
/*
 * What an image is, so that the message about one that is not started can say what to do. The order
 * of evidence: what says how to enter the image is strong and decides alone (Linux's boot header or
 * Image magic; in ELF files a PVH note, a multiboot header, Linux's own note, a place in the
 * machine's RAM where only kernels are linked to). All that is here is weaker, and is asked only
 * where none of those was found: a sign of something else (multiboot2, Xen PV, programs), a magic.
 */
#include <ctype.h>
#include <elf.h>
#include <stdio.h>

#include "lkvm/boot.h"
#include "lkvm/magic.h"

/* Kernels, and the machine of each. */
static const struct {
	u32 offset;
	const char *bytes; /* four */
	const char *machine;
} kernels[] = {
	/* Linux Documentation/arch/arm64/booting.rst, riscv/boot-image-header.rst,
	 * loongarch/booting.rst: magic numbers at 56. */
	{ 56, "ARM\x64", "arm64" },
	{ 56, "RSC\x05", "riscv64" },
	/* Linux Documentation/arch/x86/boot.rst: header, at 0x202. Kernels as new as 6.12 have the
	 * number below, too, which is of any EFI kernel (include/linux/pe.h). */
	{ 0x202, "HdrS", "x86-64" },
	{ 56, "\xcd\x23\x82\x81", "loongarch64" },
	/* zImage: Linux arch/arm/boot/compressed/head.S. */
	{ 36, "\x18\x28\x6f\x01", "32-bit Arm" },
};

static bool has(const struct boot_image *img, u64 offset, const char *bytes, u64 len)
{
	char buf[16];

	return !boot_image_read(img, offset, buf, len) && !memcmp(buf, bytes, len);
}

static const char *kernel_machine(const struct boot_image *img)
{
	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
		if (has(img, kernels[i].offset, kernels[i].bytes, 4))
			return kernels[i].machine;
	return NULL;
}

/*
 * Microsoft PE format: "PE" where the word at 0x3c says, a COFF header of 20 bytes, an optional
 * header, sections of 40 bytes that begin with their names. Unified kernel images (UAPI group
 * specification 5) have a section ".linux".
 */
static const char *identify_pe(const struct boot_image *img)
{
	u8 head[0x40], coff[24];
	u64 pe, sections;

	if (boot_image_read(img, 0, head, sizeof(head)) || memcmp(head, "MZ", 2))
		return NULL;
	pe = get_le(head + 0x3c, 4);
	if (boot_image_read(img, pe, coff, sizeof(coff)) || memcmp(coff, "PE\0\0", 4))
		return NULL;
	sections = pe + sizeof(coff) + get_le(coff + 20, 2);
	for (u64 i = 0; i < get_le(coff + 6, 2); i++)
		if (has(img, sections + i * 40, ".linux\0", 8))
			return "a unified kernel image; take the kernel out of it with: objcopy -O "
			       "binary --only-section=.linux FILE KERNEL";
	return "an EFI or Windows program without a Linux boot header; it needs firmware";
}

static bool is_text(const struct boot_image *img)
{
	u64 len = MIN(img->size, 64ULL);
	u8 buf[64];

	if (len < 16 || boot_image_read(img, 0, buf, len))
		return false;
	for (u64 i = 0; i < len; i++)
		if (!isprint(buf[i]) && !isspace(buf[i]))
			return false;
	return true;
}

/* Multiboot2 specification 2.0, 3.1.1: in the first 32768 bytes, at a multiple of 8. */
static bool is_multiboot2(const struct boot_image *img)
{
	const u64 end = MIN(img->size, 32768ULL);
	u8 buf[4096];

	/* Pieces overlap by half a header. */
	for (u64 at = 0; at < end; at += sizeof(buf) - 8) {
		u64 len = MIN(end - at, (u64)sizeof(buf));

		if (boot_image_read(img, at, buf, len))
			return false;
		for (u64 i = 0; i + 16 <= len; i += 8)
			if (get_le(buf + i, 4) == 0xe85250d6 &&
			    !(u32)(get_le(buf + i, 4) + get_le(buf + i + 4, 4) +
				   get_le(buf + i + 8, 4) + get_le(buf + i + 12, 4)))
				return true;
	}
	return false;
}

#define MULTIBOOT2 \
	"a multiboot2 image without multiboot 1 header or PVH note; use one that has these"

static int read_image(void *file, u64 offset, void *buf, u64 len)
{
	const struct boot_image *const *img = file;

	return boot_image_read(*img, offset, buf, len);
}

bool boot_identify_file(const struct boot_image *img, char *text, size_t len)
{
	const struct file_magic *m = magic_find(&img, img->size, read_image);

	if (!m)
		return false;
	switch (m->kind) {
	case MAGIC_PACKED:
		snprintf(text, len, "compressed by %s; unpack it with %s first", m->name, m->tool);
		break;
	case MAGIC_DISK:
		snprintf(text, len, "a %s disk image; pass disks with -d, after %s", m->name,
			 m->tool);
		break;
	case MAGIC_RAW:
		snprintf(text, len, "%s; pass disks with -d", m->name);
		break;
	case MAGIC_INITRD:
		snprintf(text, len, "%s, as initrds are; pass those with -i", m->name);
		break;
	default:
		snprintf(text, len, "%s; %s", m->name, m->tool);
	}
	return true;
}

bool boot_identify_initrd(const struct boot_image *img, char *text, size_t len)
{
	const struct file_magic *m = magic_find(&img, img->size, read_image);

	if (kernel_machine(img))
		snprintf(text, len, "a Linux kernel");
	else if (has(img, 0, ELFMAG, SELFMAG))
		snprintf(text, len, "an ELF file");
	else if (m && m->kind == MAGIC_DISK)
		snprintf(text, len, "a %s disk image", m->name);
	else if (m && m->kind == MAGIC_OTHER)
		snprintf(text, len, "%s", m->name);
	else
		return false;
	return true;
}

bool boot_identify(const struct boot_image *img, const char *guest, char *text, size_t len)
{
	const char *known = NULL;

	/* What is left after EFI zboot images were unpacked (boot/zboot.c). It has loongarch64's
	 * number at 56, whatever its machine is. */
	if (has(img, 4, "zimg", 4))
		known = "a damaged EFI zboot image, or one inside another; use the kernel itself";
	if (!known && kernel_machine(img)) {
		snprintf(text, len, "a Linux kernel for %s, and the guest is %s; use one for %s",
			 kernel_machine(img), guest, guest);
		return true;
	}
	if (!known && boot_identify_file(img, text, len))
		return true;
	if (!known)
		known = identify_pe(img);
	if (!known && is_multiboot2(img))
		known = MULTIBOOT2;
	if (!known && is_text(img))
		known = "a text file; use the image itself";
	if (known)
		snprintf(text, len, "%s", known);
	return known;
}

const char *elf_identify(const struct boot_image *img, const struct elf_image *elf)
{
	if (is_multiboot2(img))
		return MULTIBOOT2;
	if (elf->xen_note)
		return "a kernel for Xen's PV guests, whose notes name no PVH entry; use one built "
		       "for PVH";
	if (elf->program)
		return "a program or library for an operating system, not a kernel; name a kernel";
	return NULL;
}

const char *elf_machine_name(u16 machine)
{
	switch (machine) {
	case EM_386:
		return "i386";
	case EM_X86_64:
		return "x86-64";
	case EM_AARCH64:
		return "arm64";
	case EM_ARM:
		return "32-bit Arm";
	case EM_RISCV:
		return "RISC-V";
	case 258: /* EM_LOONGARCH: newer than some libc's elf.h */
		return "LoongArch";
	case EM_PPC64:
		return "ppc64";
	case EM_S390:
		return "s390";
	case EM_MIPS:
		return "MIPS";
	default:
		return "an unknown machine";
	}
}
