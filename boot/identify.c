/* SPDX-License-Identifier: MIT */
/* Recognizes images that a loader cannot start, so that the message can say what to do. */
#include <elf.h>
#include <stdio.h>

#include "lkvm/boot.h"

struct magic {
	u32 offset;
	u8 len;
	const char *bytes;
	const char *text;
};

/* Kernels, and the machine of each. */
static const struct magic kernels[] = {
	/* Linux Documentation/arch/arm64/booting.rst, riscv/boot-image-header.rst,
	 * loongarch/booting.rst: magic numbers at 56. */
	{ 56, 4, "ARM\x64", "arm64" },
	{ 56, 4, "RSC\x05", "riscv64" },
	{ 56, 4, "\xcd\x23\x82\x81", "loongarch64" },
	/* Linux Documentation/arch/x86/boot.rst: header, at 0x202. */
	{ 0x202, 4, "HdrS", "x86-64" },
	/* zImage: Linux arch/arm/boot/compressed/head.S. */
	{ 36, 4, "\x18\x28\x6f\x01", "32-bit Arm" },
};

/* What is left after EFI zboot images were unpacked (boot/zboot.c). */
static const struct magic zboot = {
	4, 4, "zimg", "a damaged EFI zboot image, or one inside another; use the kernel itself"
};

static const struct magic others[] = {
	{ 0, 6,
	  "\xfd"
	  "7zXZ",
	  "compressed by xz; unpack it with unxz first" },
	{ 0, 3, "BZh", "compressed by bzip2; unpack it with bunzip2 first" },
	{ 0, 4, "\x04\x22\x4d\x18", "compressed by lz4; unpack it with unlz4 first" },
	{ 0, 4, "\x02\x21\x4c\x18", "compressed by lz4; unpack it with unlz4 first" },
	{ 0, 4, "\x89LZO", "compressed by lzop; unpack it with lzop -d first" },
	{ 0, 3, "\x1f\x8b\x08", "compressed by gzip twice; unpack it with gunzip first" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "compressed by zstd twice; unpack it with unzstd first" },
	/* With a dictionary of 8 or 64 MiB: fewer bytes are a branch on arm64. */
	{ 0, 5, "\x5d\0\0\x80\0", "compressed by lzma; unpack it with unlzma first" },
	{ 0, 5, "\x5d\0\0\0\x04", "compressed by lzma; unpack it with unlzma first" },
	{ 0, 5, "07070", "a cpio archive, as initrds are; pass those with -i" },
	{ 0, 8, "ANDROID!", "an Android boot image; use the kernel inside it" },
	{ 0, 4, "\x27\x05\x19\x56", "a U-Boot image; use the kernel inside it" },
	{ 0, 4, "\xd0\x0d\xfe\xed", "a device tree or FIT image; use the kernel itself" },
	{ 0, 4, "QFI\xfb", "a qcow2 disk image; pass disks with -d" },
	{ 0, 2, "#!", "a script; use the kernel image itself" },
	{ 0, 2, "MZ", "an EFI or Windows program without a Linux boot header; it needs firmware" },
};

static const struct magic *find(const struct boot_image *img, const struct magic *table, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		u8 buf[8];

		if (!boot_image_read(img, table[i].offset, buf, table[i].len) &&
		    !memcmp(buf, table[i].bytes, table[i].len))
			return &table[i];
	}
	return NULL;
}

bool boot_identify(const struct boot_image *img, const char *guest, char *text, size_t len)
{
	const struct magic *m = find(img, &zboot, 1);

	/* It has loongarch64's number at 56, whatever its machine is. */
	if (m) {
		snprintf(text, len, "%s", m->text);
		return true;
	}
	m = find(img, kernels, ARRAY_SIZE(kernels));
	if (m) {
		snprintf(text, len, "a Linux kernel for %s, and the guest is %s", m->text, guest);
		return true;
	}
	m = find(img, others, ARRAY_SIZE(others));
	if (m)
		snprintf(text, len, "%s", m->text);
	return m;
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
