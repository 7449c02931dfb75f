/* SPDX-License-Identifier: MIT */
/* What the guest starts from: finds out its format and hands over to the format's own file. */
#include <elf.h>

#include "boot.h"
#include "lkvm/arch.h"
#include "lkvm/guest-tdx.h"
#include "lkvm/log.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "snp.h"
#include "tdx.h"

/* What says how the image is entered, the strongest first: see boot/identify.c. */
struct evidence {
	bool bzimage, is_elf, multiboot;
	struct elf_image elf; /* when is_elf */
	struct multiboot_header mb;
};

/* 0; -EINVAL: a broken ELF file (*why says how). */
static int look(const struct boot_image *img, struct evidence *e, const char **why)
{
	int ret = elf_parse(img, &e->elf, why);

	e->is_elf = !ret;
	e->bzimage = bzimage_probe(img);
	/* With addresses of its own it needs no ELF headers. */
	e->multiboot = !multiboot_find(img, &e->mb) &&
		       (ret != -EINVAL || e->mb.flags & MULTIBOOT_AOUT_KLUDGE);
	return ret == -EINVAL ? ret : 0;
}

/* The format of an image that the user did not name; AUTO: none is known. @only64: it is to be one
 * that is entered in 64-bit mode, where the image has such an entry. */
static enum x86_kernel_format decide(const struct evidence *e, bool only64)
{
	if (e->bzimage)
		return X86_KERNEL_BZIMAGE;
	if (only64 && e->is_elf && e->elf.is64 && e->elf.machine == EM_X86_64 &&
	    (e->elf.linux_note || !e->elf.pvh_entry))
		return X86_KERNEL_ELF;
	if (e->is_elf && e->elf.pvh_entry)
		return X86_KERNEL_PVH;
	/* In a file that is neither loadable by it nor ELF the header is chance, or another's. */
	if (e->multiboot && (e->is_elf || e->mb.flags & MULTIBOOT_AOUT_KLUDGE))
		return X86_KERNEL_MULTIBOOT;
	return e->is_elf ? X86_KERNEL_ELF : X86_KERNEL_AUTO;
}

/* What an ELF file is that the user did not insist on, and that is not Linux; NULL: unknown. */
static const char *stranger(const struct boot_image *img, const struct elf_image *elf, bool named)
{
	return named || elf->linux_note ? NULL : elf_identify(img, elf);
}

bool arch_boots_linux(const struct vm_config *cfg, const struct boot *boot)
{
	enum x86_kernel_format format = cfg->x86.kernel_format;
	bool named = format != X86_KERNEL_AUTO;
	struct evidence e;
	const char *why;

	if (!boot)
		return format != X86_KERNEL_FLAT && format != X86_KERNEL_MULTIBOOT;
	if (!boot->kernel.path || look(&boot->kernel, &e, &why))
		return false;
	if (!named)
		format = decide(&e, false);
	if (format == X86_KERNEL_PVH)
		return e.elf.linux_note;
	if (format == X86_KERNEL_ELF)
		return e.elf.machine == EM_X86_64 && !stranger(&boot->kernel, &e.elf, named);
	return format == X86_KERNEL_BZIMAGE;
}

bool arch_image_base(const struct vm_config *cfg, const struct boot_image *img, u64 *gpa)
{
	*gpa = X86_HIGH_BASE; /* linux_flat_load's */
	return cfg->x86.kernel_format == X86_KERNEL_FLAT;
}

/* As far as x86_expects_pc wants to know it. */
static enum x86_kernel_format format_of(const struct boot *boot)
{
	struct multiboot_header mb;
	struct evidence e;
	const char *why;

	/* Of a packed kernel nothing but the head is unpacked so far: that shows what matters. */
	if (bzimage_probe(&boot->kernel))
		return X86_KERNEL_BZIMAGE;
	if (!boot->is_known)
		return multiboot_find(&boot->kernel, &mb) ? X86_KERNEL_AUTO : X86_KERNEL_MULTIBOOT;
	if (boot->is_linux)
		return X86_KERNEL_AUTO;
	/* A file that is none of these is not started at all. */
	return boot->kernel.path && !look(&boot->kernel, &e, &why) ? decide(&e, false)
								   : X86_KERNEL_AUTO;
}

/* The kernel's format, as far as x86_expects_pc wants to know it. */
static enum x86_kernel_format kernel_format(const struct vm_config *cfg, const struct boot *boot)
{
	enum x86_kernel_format format = cfg->x86.kernel_format;

	return format == X86_KERNEL_AUTO ? format_of(boot) : format;
}

bool x86_is_multiboot(const struct vm_config *cfg, const struct boot *boot)
{
	return !boot->firmware.path && kernel_format(cfg, boot) == X86_KERNEL_MULTIBOOT;
}

/*
 * Multiboot has no place for a pointer to ACPI's tables, nor has the reset vector: what starts
 * there knows a PC, or looks for one. A 32-bit Linux may be one without any APIC.
 */
bool x86_expects_pc(const struct vm_config *cfg, const struct boot *boot)
{
	enum x86_kernel_format format;

	/* Of either kind: what it starts is not known. */
	if (boot->firmware.path)
		return true;
	format = kernel_format(cfg, boot);
	return format == X86_KERNEL_MULTIBOOT ||
	       (format == X86_KERNEL_BZIMAGE && bzimage_is_32bit(&boot->kernel));
}

static int load_unknown(struct x86_boot *b, const struct evidence *e)
{
	char known[160];
	u8 signature[2];

	if (boot_identify(b->image, arch_platform.name, known, sizeof(known)))
		return boot_error(b, -ENOEXEC, "%s", known);
	if (e->multiboot)
		return multiboot_load(b, &e->mb, NULL); /* says what is missing */
	/* Linux before protocol 2.00 (1.3.73) has nothing else. */
	if (!boot_image_read(b->image, 510, signature, 2) && get_le(signature, 2) == 0xaa55)
		return boot_error(b, -ENOEXEC,
				  "a boot sector, or a Linux kernel too old to have a boot header; "
				  "lkvm runs no 16-bit boot code");
	return boot_error(b, -ENOEXEC,
			  "neither bzImage, ELF nor multiboot; a raw 64-bit image is started by "
			  "--kernel-format flat");
}

static int load_elf64(struct x86_boot *b, const struct elf_image *elf, bool named)
{
	const char *known = stranger(b->image, elf, named);

	if (known)
		return boot_error(b, -ENOEXEC, "%s, or insist with --kernel-format elf", known);
	if (!elf->is64 || elf->machine != EM_X86_64)
		return boot_error(b, -ENOEXEC,
				  "a 32-bit ELF file without multiboot header or PVH note; "
				  "nothing says how it is entered");
	return linux_elf_load(b, elf);
}

static int load_elf_as(struct x86_boot *b, const struct evidence *e, enum x86_kernel_format format,
		       bool named)
{
	if (!e->is_elf && (format != X86_KERNEL_MULTIBOOT || !e->multiboot))
		return boot_error(b, -ENOEXEC, "%s; omit --kernel-format",
				  format == X86_KERNEL_MULTIBOOT
					  ? "no multiboot header in its first 8 KiB"
					  : "not an ELF file");
	if (e->is_elf && e->elf.machine != EM_X86_64 && e->elf.machine != EM_386)
		return boot_error(b, -ENOEXEC,
				  "an ELF file for %s, and the guest is x86-64; use a kernel built "
				  "for x86-64",
				  elf_machine_name(e->elf.machine));
	if (format == X86_KERNEL_ELF)
		return load_elf64(b, &e->elf, named);
	if (format == X86_KERNEL_PVH && !e->elf.pvh_entry)
		return boot_error(b, -ENOEXEC, "it has no PVH entry note (Linux: CONFIG_PVH); %s",
				  b->image == &b->boot->firmware
					  ? "firmware is raw, or ELF with this note"
					  : "omit --kernel-format");
	if (format == X86_KERNEL_PVH)
		return pvh_load(b, &e->elf);
	if (!e->multiboot)
		return boot_error(b, -ENOEXEC,
				  "no multiboot header in its first 8 KiB; omit --kernel-format");
	return multiboot_load(b, &e->mb, e->is_elf ? &e->elf : NULL);
}

static int load_image(struct x86_boot *b, enum x86_kernel_format format)
{
	bool named = format != X86_KERNEL_AUTO;
	struct evidence e;
	const char *why;
	int ret;

	if (format == X86_KERNEL_FLAT)
		return linux_flat_load(b);
	ret = look(b->image, &e, &why);
	if (!named)
		format = decide(&e, b->confidential);
	if (format == X86_KERNEL_BZIMAGE && e.bzimage)
		return bzimage_load(b);
	if (format == X86_KERNEL_BZIMAGE)
		return boot_error(b, -ENOEXEC,
				  "no Linux boot header (HdrS), so it is not a bzImage; omit "
				  "--kernel-format");
	if (ret && format != X86_KERNEL_MULTIBOOT)
		return boot_error(b, -ENOEXEC, "a damaged or unsupported ELF file: %s", why);
	return format == X86_KERNEL_AUTO ? load_unknown(b, &e) : load_elf_as(b, &e, format, named);
}

bool x86_firmware_is_raw(const struct boot *boot)
{
	u8 magic[4];

	return boot->firmware.path && (boot_image_read(&boot->firmware, 0, magic, sizeof(magic)) ||
				       memcmp(magic, "\177ELF", sizeof(magic)));
}

int x86_boot_list(struct x86_boot *b)
{
	const struct boot *boot = b->boot;
	bool firmware = boot->firmware.path;
	int ret;

	b->image = boot_first_image(boot, &b->what);
	if (!b->image)
		return -EINVAL;
	b->entry = (struct x86_entry){ 0 };
	if (!memory_holds_ram(b->mem, 0, X86_HIGH_BASE))
		return boot_error(b, -ENOMEM,
				  "the guest has less than 1M of memory; increase --mem");
	if (x86_firmware_is_raw(boot))
		return firmware_load(b);
	if (b->snp && firmware)
		return boot_error(b, -ENOEXEC,
				  "an SNP guest's firmware must be raw, with SEV metadata");
	bios_plan(b);
	ret = load_image(b, firmware ? X86_KERNEL_PVH : b->format);
	if (ret)
		return ret;
	if (b->confidential && b->entry.mode != X86_ENTRY_LONG64)
		return boot_error(
			b, -ENOEXEC,
			"it is not entered in 64-bit mode, as a confidential guest without "
			"firmware is; use a bzImage or vmlinux of 64-bit Linux");
	b->entry.c_bit = b->snp ? BIT_ULL(SNP_C_BIT) : 0;
	x86_entry_tables(b->plan, b->entry.mode, b->entry.c_bit);
	return b->snp ? x86_snp_stub_plan(b) : 0;
}

/* A trust domain: with firmware that has TDX metadata, or with a page of lkvm's own. */
static int plan_tdx(struct vm *vm, struct x86_boot *b)
{
	int ret;

	if (b->boot->firmware.path)
		return x86_tdx_plan_firmware(b, vm, &vm->arch->tdx_hob);
	b->mailbox = TDX_MAILBOX;
	vm->arch->tdx_hob = 0;
	ret = x86_boot_list(b);
	return ret ? ret : x86_tdx_plan_kernel(b);
}

int arch_boot_plan(struct vm *vm, const struct boot *boot, struct boot_plan *plan)
{
	struct x86_boot b = {
		.boot = boot,
		.mem = &vm->mem,
		.plan = plan,
		.cmdline = boot_cmdline(boot, vm->cfg),
		.format = vm->cfg->x86.kernel_format,
		.snp = vm->cfg->x86.snp.on,
		.confidential = vm->cfg->x86.snp.on || vm->cfg->x86.tdx.on,
		.signature = vm->cfg->x86.snp.signature,
	};
	const bool pic = !vm->arch->split_irqchip;
	int ret = 0;

	/* Firmware brings its own tables, or none. */
	if (!x86_firmware_is_raw(boot)) {
		ret = x86_acpi_plan(vm, plan, !pic || !x86_loses_ioapic(vm->cfg, boot), &b.rsdp);
		if (!vm->arch->told)
			x86_warn_words(vm->cfg, boot, pic);
	} else if (!vm->arch->told) {
		fw_cfg_warn(&boot->firmware);
		if (vm->cfg->x86.snp.on && boot->kernel.path && !vm->cfg->measured)
			warn("--kernel %s: the firmware is told its hash, which is measured, but "
			     "there is no fw_cfg from which it could read it",
			     boot->kernel.path);
	}
	vm->arch->told = true;
	/* Its registers are nobody's to set. */
	if (!ret && vm->cfg->x86.tdx.on)
		return plan_tdx(vm, &b);
	if (!ret)
		ret = x86_boot_list(&b);
	if (ret)
		return ret;
	x86_entry_plan(&b.entry, plan);
	vm->arch->entry = b.entry;
	return 0;
}
