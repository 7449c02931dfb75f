/* SPDX-License-Identifier: MIT */
/*
 * What the guest starts from: opened once, before anything else, and read again at every reset. All
 * contents are hostile: every offset, size and count is checked before use. What is packed is
 * unpacked as it is read (boot/stream.h), and a kernel straight into guest memory: nothing of it is
 * kept while the guest runs.
 */
#ifndef LKVM_BOOT_H
#define LKVM_BOOT_H

#include "lkvm/memory.h"
#include "lkvm/types.h"

struct boot_plan;
struct boot_stream;
struct boot_window;
struct measure;
struct vm;
struct vm_config;

/* A file, or bytes in memory, or what is packed in one of these. */
struct boot_image {
	const char *path;   /* owned by the configuration, or path_owned */
	char *path_owned;   /* freed by boot_image_close */
	const char *words;  /* what was named after the file, the configuration's; NULL: nothing */
	int fd;		    /* -1: there is none */
	u8 *blob;	    /* the caller's buffer, where there is no file */
	const char *packed; /* "gzip" or "zstd" where it is the contents of @file, else NULL */
	struct boot_image *file;    /* owned */
	struct boot_stream *stream; /* unpacks @file; owned */
	u64 start;		    /* its contents begin there in the file or blob */
	u64 size;		    /* of a packed one: see boot_image_measure */
	struct boot_window *window; /* of fd: its beginning, and what the host said; owned */
};

struct boot {
	struct boot_image kernel; /* path NULL: none */
	bool is_known;		  /* it was looked at, and the next one says what was found: */
	bool is_linux;		  /* it is Linux: lkvm's own words are for it (arch_boots_linux) */
	struct boot_image firmware; /* path NULL: none */
	struct boot_image *initrds;
	u32 nr_initrds;
};

/*
 * Open all that @cfg names. An initrd may be "FILE WORDS": the words are what follows the longest
 * part, up to a space, that is a file's name; a name with spaces alone has none. Of compressed
 * kernels the head is unpacked now. Prints; 0 or -errno.
 */
int boot_open(struct boot *boot, const struct vm_config *cfg) __must_check;
void boot_close(struct boot *boot);
/*
 * boot/aim.c: one loading of the guest, from begin to end.
 *
 * boot_begin tells a compressed kernel where in @mem its parts belong, as far as that is seen from
 * its head: an ELF file's segments, or all of what is loaded in one piece (arch_image_base). They
 * are unpacked there when something behind them is read, and are zeroed again by boot_settle where
 * the list, which is made meanwhile, wants them elsewhere. @mem NULL: there is none to fill.
 * boot_end unpacks the rest where that is little, for the sake of its checksum, if @ret is 0, and
 * lets all go that only loading needs. Both print; 0 or -errno, boot_end @ret where that is one.
 */
int boot_begin(struct boot *boot, const struct vm_config *cfg,
	       struct guest_memory *mem) __must_check;
void boot_settle(struct boot *boot, const struct boot_plan *plan, struct guest_memory *mem);
int boot_end(struct boot *boot, int ret) __must_check;
/*
 * Where the host refused to read a byte of an image, what was looked for there was not found, and
 * the image may have been taken for something else. To be asked before it starts. Prints; 0 or
 * -errno.
 */
int boot_check_read(const struct boot *boot) __must_check;
/* The guest's command line: with lkvm's own words, or the user's alone. */
const char *boot_cmdline(const struct boot *boot, const struct vm_config *cfg);
/* A warning for each initrd that Linux cannot be meant to unpack. */
void boot_check_initrds(const struct boot *boot);

/*
 * boot/image.c: open a regular file that is not empty. @what names its role in messages: "kernel",
 * "firmware", "initrd". Prints; 0 or -errno, and the image is closed then.
 */
int boot_image_open(struct boot_image *img, const char *path, const char *what) __must_check;
/* Safe on a zeroed or closed image. */
void boot_image_close(struct boot_image *img);
/* Forget what is kept of its contents: what is read next is in the file then. */
void boot_image_rest(struct boot_image *img);
/*
 * Read [offset, offset+len); -ENODATA beyond its end. Of a file the beginning is read once, until
 * boot_image_rest. Prints nothing.
 */
int boot_image_read(const struct boot_image *img, u64 offset, void *buf, u64 len) __must_check;
/* The same from the file itself straight into guest RAM; -EFAULT where that is not RAM. Prints
 * nothing. */
int boot_image_load(const struct boot_image *img, u64 offset, struct guest_memory *mem, u64 gpa,
		    u64 len) __must_check;
/*
 * Packed contents [offset, offset+len) are wanted at @gpa: they are unpacked there, in one pass
 * with all that is aimed before anything behind the head is read. @mem NULL: are wanted again, and
 * are kept until boot_image_rest. What cannot be aimed is unpacked when it is read, as all is.
 * Ignored for what is not packed.
 */
void boot_image_aim(const struct boot_image *img, u64 offset, u64 len, struct guest_memory *mem,
		    u64 gpa);
/*
 * The size. Of packed contents the end is nowhere written that could be believed, so size is larger
 * than any until it was seen: this unpacks all. 0 or -errno. Prints nothing.
 */
int boot_image_measure(const struct boot_image *img, u64 *size) __must_check;
/* What the host or a decoder said when something of it could not be read; 0: nothing. */
int boot_image_broken(const struct boot_image *img);
/* "--kernel FILE: ..." in one line, with what its contents were unpacked from. Returns @error. */
int boot_image_error(const struct boot_image *img, const char *what, int error, const char *fmt,
		     ...) __printf(4, 5);
/* For boot_image_error, where a file ends before the size that it had. */
#define BOOT_IMAGE_SHORTER \
	"it is shorter than when it was opened; do not change it while the VM runs"
/* What the guest starts from, and its role in messages: firmware or kernel. NULL: neither
 * (printed). */
const struct boot_image *boot_first_image(const struct boot *boot, const char **what);
/* An image over the caller's buffer, for tests and fuzzers. */
void boot_image_from_buffer(struct boot_image *img, const char *path, u8 *buf, u64 len);

/*
 * boot/decompress.c: where the contents are gzip or zstd, put what they hold in their place, at
 * most @max bytes, the size of the guest's memory, in as many members or frames as there are; other
 * images stay as they are. Prints (@what as above); 0 or -errno.
 */
int boot_image_decompress(struct boot_image *img, const char *what, u64 max) __must_check;

/*
 * boot/zboot.c: where the contents are an EFI zboot image, replace them by the kernel in it, in the
 * same way. Prints; 0 or -errno.
 */
int boot_image_unzboot(struct boot_image *img, const char *what, u64 max) __must_check;

/*
 * boot/launch.c: give the VM what a checked list says, the firmware of a confidential guest
 * included. RAM is zeroed, every vcpu was reset. Prints; 0 or -errno.
 */
int boot_launch(struct vm *vm, const struct boot_plan *plan) __must_check;
/* The same steps without KVM, of a kind that is measured: the calls of coco_measure, in
 * boot_launch's order. m->vm is a machine that is only described. Prints; 0 or -errno. */
int boot_measure(struct measure *m, const struct boot_plan *plan) __must_check;

/*
 * boot/initrd.c: the sum of all initrds that are to be one, each padded to 4 bytes as the kernel's
 * unpacker wants. -EINVAL: one has words, which nobody would read; -EOVERFLOW. Prints.
 */
int boot_initrd_size(const struct boot *boot, u64 *size) __must_check;
/* Add them one after the other at @gpa, each an entry, the padding zeroes. */
void boot_initrd_plan(const struct boot *boot, struct boot_plan *plan, u64 gpa);

/*
 * boot/identify.c: is it something else than what a guest for the machine @guest starts from? Then
 * what it is and what to do about it, as the end of a message.
 */
bool boot_identify(const struct boot_image *img, const char *guest, char *text,
		   size_t len) __must_check;
/* The same by the magics of files alone (include/lkvm/magic.h), for images that are not kernels. */
bool boot_identify_file(const struct boot_image *img, char *text, size_t len) __must_check;
/* The same of an initrd for Linux that it will not know what to do with; of its name alone. */
bool boot_identify_initrd(const struct boot_image *img, char *text, size_t len) __must_check;
/* The name of an ELF machine, "an unknown machine" for others. */
const char *elf_machine_name(u16 machine);

/*
 * boot/version.c: the release of the Linux in @img, unpacked: "6.1.0-18-amd64", letters, digits and
 * . + _ ~ - alone. An x86 header says it; else the whole image is looked through. -ENOENT: it shows
 * none; -ENOMEM. Prints nothing.
 */
#define BOOT_RELEASE_LEN 96
int boot_linux_release(const struct boot_image *img, char release[BOOT_RELEASE_LEN]) __must_check;

/* boot/firmware.c: may raw firmware be entered at offset @start, @where in a message? Prints what
 * the file is instead; 0 or -errno. */
int boot_firmware_check(const struct boot_image *img, u64 start, const char *where) __must_check;

/* boot/elf.c: 32-bit and 64-bit little-endian executables. */
#define ELF_MAX_SEGMENTS 64
struct elf_segment {
	u64 offset, paddr, filesz, memsz;
};
struct elf_image {
	bool is64;
	u16 machine;	 /* EM_* */
	u64 entry;	 /* e_entry: virtual, or physical as in Linux's x86 vmlinux */
	u64 entry_paddr; /* e_entry translated by the segment that holds it, else e_entry itself */
	u64 low, high;	 /* physical span of the segments */
	u64 pvh_entry;	 /* XEN_ELFNOTE_PHYS32_ENTRY; 0: none */
	bool linux_note; /* a note that only Linux has */
	bool xen_note;	 /* notes for Xen, which may or may not say pvh_entry */
	bool program;	 /* what programs and libraries have, and some kernels too */
	u32 nr_segments;
	struct elf_segment segments[ELF_MAX_SEGMENTS];
};
/* 0; -ENOEXEC: no ELF file; -EINVAL: a broken one (*why says how, in a few words). */
int elf_parse(const struct boot_image *img, struct elf_image *elf, const char **why) __must_check;
/* boot/identify.c: what an ELF file is that nothing strong says to be a kernel for this machine;
 * NULL: unknown. */
const char *elf_identify(const struct boot_image *img, const struct elf_image *elf);
/*
 * Aim the segments of an ELF file that is packed at @mem (NULL: none), and keep its notes. False:
 * it is none, or a broken one.
 */
bool elf_aim(const struct boot_image *img, struct guest_memory *mem);
/* Add all segments, which do not overlap, each with its tail (memsz beyond filesz) as zeroes. */
int elf_plan(const struct boot_image *img, const struct elf_image *elf, const char *what,
	     struct boot_plan *plan) __must_check;
/* Are there contents for @paddr? For entry points there must be. */
bool elf_holds(const struct elf_image *elf, u64 paddr);

#endif
