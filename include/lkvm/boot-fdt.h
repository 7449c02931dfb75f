/* SPDX-License-Identifier: MIT */
/*
 * What machines with a device tree share, whatever their architecture: nodes of the tree that say
 * what the machine starts from, where kernel, tree and initrds go in one RAM, and the formats of
 * kernels. An architecture says what differs (struct boot_machine) and adds its own.
 */
#ifndef LKVM_BOOT_FDT_H
#define LKVM_BOOT_FDT_H

#include "lkvm/boot.h"
#include "lkvm/config-fdt.h"
#include "lkvm/plan.h"
#include "lkvm/types.h"

struct fdtw;
struct guest_memory;
struct vcpu;
struct vm;
struct vm_config;

/* boot/fdt.c: nodes (Devicetree Specification 0.4, chapter 3). The root is open. */

/* What /chosen tells. */
struct boot_fdt_input {
	u64 initrd; /* address; size 0: none */
	u64 initrd_size;
	const char *cmdline; /* NULL: none */
};

/* Properties of the root: called first. @irq_parent is a phandle. */
void boot_fdt_root(struct fdtw *fdt, const char *model, u32 irq_parent);
/* /chosen: command line, initrd, @console's path, and the seeds that @cfg asks for. */
void boot_fdt_chosen(struct fdtw *fdt, const struct vm_config *cfg, const struct boot_fdt_input *in,
		     const char *console);
/*
 * The same for arch_platform's serial port, and before it the aliases: of that port, and of a
 * second one at @debug (0: there is none).
 */
void boot_fdt_console(struct fdtw *fdt, const struct vm_config *cfg,
		      const struct boot_fdt_input *in, u64 debug);
/* A node for each region of RAM from @ram on: below it lie pages that belong to devices. */
void boot_fdt_memory(struct fdtw *fdt, const struct guest_memory *mem, u64 ram);
/* The clock of a bus of PrimeCells, which have to name one; devices name @phandle from then on. */
void boot_fdt_clock(struct fdtw *fdt, u32 phandle);
/* @size bytes that a confidential guest shares with its devices; they name @phandle from then on.
 */
void boot_fdt_pool(struct fdtw *fdt, u64 size, u32 phandle);

/* boot/map.c */

/* What the address space goes by; constants of an architecture, or of a kind of guest. */
struct boot_map_rules {
	u64 ram;	    /* where it begins */
	u64 pci_mem64_size; /* of the window for 64-bit BARs, which is aligned to it */
	u32 bits_min;	    /* a guest has at least so many bits of address */
	u32 bits_taken;	    /* upper ones of the guest's that mean something else */
};
/* What follows from the size of RAM and of persistent memory. */
struct boot_map {
	u64 ram_end;
	u64 pmem_base, pmem_end; /* without any: where RAM ends */
	u64 pci_mem64_base;
	u32 bits; /* the fewest that hold it all */
};
void boot_map_memory(const struct boot_map_rules *rules, const struct vm_config *cfg, u64 pmem,
		     struct boot_map *map);
/* Does @map, of the others, fit in the @max bits of address that a guest has on this host? 0 or
 * -EINVAL (printed). */
int boot_map_check(const struct boot_map_rules *rules, const struct vm_config *cfg, u64 pmem,
		   const struct boot_map *map, u32 max) __must_check;

/* boot/place.c */

/* One RAM, and what goes where in it. */
struct boot_place {
	const struct boot_image *image; /* what is started, and its role in messages */
	const char *what;
	u64 ram, ram_end;
	/* Result. */
	u64 entry;
	u64 low, high; /* what the image takes, its zeroes included */
	u64 fdt;
	u64 initrd, initrd_size;
};

/* What is wrong with the image at hand, in one line. Value: the error. */
#define boot_place_error(p, error, ...) \
	boot_image_error((p)->image, (p)->what, (error), __VA_ARGS__)
/* The RAM of @mem that begins at p->ram: sets ram_end. */
void boot_place_ram(struct boot_place *p, const struct guest_memory *mem);
/* Is [base, base+size) RAM? Prints how much memory it would take. */
int boot_place_check(const struct boot_place *p, u64 base, u64 size) __must_check;
/* The whole image at @base, entered at its first byte, into @plan; it uses @size bytes there.
 * Prints. */
int boot_place_raw(struct boot_place *p, struct boot_plan *plan, enum boot_kind kind, u64 base,
		   u64 size) __must_check;
/* Bounds of what boot_place_rest does. */
struct boot_place_rules {
	u64 fdt_max; /* room for the tree */
	u64 fdt_align;
	u64 windows[2]; /* how far from the beginning of RAM they may end: the first that holds them
			 */
};
/*
 * Device tree and initrds down from the end of RAM or of a window, above all that the image takes.
 * Prints.
 */
int boot_place_rest(struct boot_place *p, const struct boot *boot,
		    const struct boot_place_rules *rules) __must_check;

/*
 * boot/linux-image.c: the header of Linux's Image, the same on arm64 and riscv64 but for its magic
 * number (Documentation/arch/arm64/booting.rst, 4; arch/riscv/boot-image-header.rst).
 */
struct linux_image {
	u64 text_offset; /* from an aligned place to where the image goes */
	u64 size;	 /* that it takes in memory; 0: an old kernel, which does not say */
	u64 flags;
};
#define LINUX_IMAGE_BIG_ENDIAN BIT_ULL(0)
/* @magic: the four bytes at 56. 0; -ENOEXEC: not such an image. */
int linux_image_parse(const struct boot_image *img, const char magic[4],
		      struct linux_image *out) __must_check;
/* Whether the file @img, such an image, lacks something of what its EFI header says is in it. */
bool linux_image_is_truncated(const struct boot_image *img);

/*
 * boot/machine.c, boot/kernel.c: from images that nobody vouches for to the list of what lies where
 * at the start. Nothing here needs KVM or touches guest memory.
 */

/* What an architecture says of its machine: constants. */
struct boot_machine {
	u64 ram; /* where it begins */
	const struct boot_place_rules *place;
	u64 flat_offset;     /* from the beginning of RAM to raw images */
	u64 firmware_offset; /* and to firmware, where nobody says another address */
	u64 rom, rom_size;   /* where UEFI's, which runs in place, is; size 0: in RAM like any */
	u16 elf_machine;     /* EM_* */
	bool elf64;	     /* that number is 32-bit machines' too, and this is none */
	char image_magic[4];
	/* How far from the beginning of RAM an Image wants to be. NULL; or why it is not started,
	 * as the end of a message. */
	const char *(*image)(const struct linux_image *image, u64 *offset);
	/* Another kernel of Linux, which is loaded as raw images are; NULL: there is none. */
	bool (*is_raw_linux)(const struct boot_image *img);
	/* Write into the tree, whose root is open, what comes before the devices. */
	void (*describe)(struct vm *vm, const struct boot_fdt_input *in, struct fdtw *fdt);
};

/* What the making of one list works on. */
struct boot_load {
	const struct boot_machine *machine;
	const struct boot *boot;
	const struct guest_memory *mem; /* where RAM is; its contents are not looked at */
	struct boot_plan *plan;		/* what is added to */
	enum fdt_kernel_format format;
	u64 firmware_address; /* 0: the default */
	struct boot_place at; /* the result; place->fdt_max bytes for the device tree */
};

/*
 * boot/fdt.c: the device tree of @vm, deterministic: the same bytes for the same configuration. The
 * caller frees *blob. Prints; 0 or -errno.
 */
int boot_fdt_build(const struct boot_machine *m, struct vm *vm, const struct boot_fdt_input *in,
		   void **blob, size_t *len) __must_check;
/*
 * arch_boot_plan without registers: images and device tree of @vm into @plan; *at says where they
 * are. Prints; 0 or -errno.
 */
int boot_machine_plan(const struct boot_machine *m, struct vm *vm, const struct boot *boot,
		      struct boot_plan *plan, struct boot_place *at) __must_check;
/* boot/start.c: keep the registers of @plan for resets, and give them to vcpu 0; @id knows the id
 * that KVM has for a name. Prints; 0 or -errno. */
void boot_start_keep(struct boot_start *start, const struct boot_plan *plan);
int boot_start_set(const struct boot_start *start, struct vcpu *vcpu,
		   u64 (*id)(const char *name)) __must_check;
/*
 * boot->firmware or boot->kernel, and the initrds, into the list; choose where the device tree
 * goes. Prints; 0 or -errno.
 */
int boot_load_list(struct boot_load *b) __must_check;
/* The kernel, in any of its formats: entry, low and high. Prints. */
int boot_load_kernel(struct boot_load *b) __must_check;
/* What arch_boots_linux and arch_image_base say of such a machine. */
bool boot_machine_is_linux(const struct boot_machine *m, const struct vm_config *cfg,
			   const struct boot *boot);
bool boot_machine_image_base(const struct boot_machine *m, const struct vm_config *cfg,
			     const struct boot_image *img, u64 *gpa);

#endif
