/* SPDX-License-Identifier: MIT */
/* Recognizes images that this loader cannot start, so that the message can say what to do. */
#include <elf.h>

#include "loader.h"

static const struct {
	u32 offset;
	u8 len;
	const char *magic;
	const char *text;
} known[] = {
	/* EFI zboot: Linux drivers/firmware/efi/libstub/zboot-header.S. */
	{ 4, 4, "zimg",
	  "an EFI zboot image, which only EFI firmware unpacks; give the kernel that is inside "
	  "it" },
	/* Linux Documentation/arch/arm64/booting.rst, riscv/boot-image-header.rst,
	 * loongarch/booting.rst: magic numbers at 56. */
	{ 56, 4, "ARM\x64", "a Linux kernel for arm64, and the guest is x86-64" },
	{ 56, 4, "RSC\x05", "a Linux kernel for riscv64, and the guest is x86-64" },
	{ 56, 4, "\xcd\x23\x82\x81", "a Linux kernel for loongarch64, and the guest is x86-64" },
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
	{ 0, 3, "\x5d\0\0", "compressed by lzma; unpack it with unlzma first" },
	{ 0, 5, "07070", "a cpio archive: an initrd, which -i takes" },
	{ 0, 8, "ANDROID!", "an Android boot image; give the kernel that is inside it" },
	{ 0, 4, "\x27\x05\x19\x56", "a U-Boot image; give the kernel that is inside it" },
	{ 0, 4, "\xd0\x0d\xfe\xed", "a device tree or FIT image; give the kernel itself" },
	{ 0, 4, "QFI\xfb", "a qcow2 disk image; disks are given with -d" },
	{ 0, 2, "#!", "a script; give the kernel image itself" },
	{ 0, 2, "MZ", "an EFI or Windows program without a Linux boot header; it needs firmware" },
	/* A boot sector's signature; Linux before protocol 2.00 (1.3.73) has nothing else. */
	{ 510, 2, "\x55\xaa",
	  "a boot sector or a Linux kernel too old to have a 64-bit entry; lkvm runs no 16-bit "
	  "boot code" },
};

const char *x86_identify(const struct boot_image *img)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		u8 buf[8];

		if (!boot_image_read(img, known[i].offset, buf, known[i].len) &&
		    !memcmp(buf, known[i].magic, known[i].len))
			return known[i].text;
	}
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
