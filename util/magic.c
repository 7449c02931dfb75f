/* SPDX-License-Identifier: MIT */
/*
 * The signs of file formats, as data. Each is long enough, or stands where chance is rare enough,
 * to be believed. The first that fits wins: what a disk must not be stands before what it may hold.
 */
#include "lkvm/magic.h"

#include <stdlib.h>
#include <unistd.h>

#define PACKED(name, tool, offset, bytes)                                  \
	{                                                                  \
		offset, sizeof(bytes) - 1, MAGIC_PACKED, bytes, name, tool \
	}
#define DISK(name, offset, bytes)                                                             \
	{                                                                                     \
		offset, sizeof(bytes) - 1, MAGIC_DISK, bytes, name, "qemu-img convert -O raw" \
	}
#define RAW(name, offset, bytes)                                      \
	{                                                             \
		offset, sizeof(bytes) - 1, MAGIC_RAW, bytes, name, "" \
	}
#define OTHER(name, tool, offset, bytes)                                  \
	{                                                                 \
		offset, sizeof(bytes) - 1, MAGIC_OTHER, bytes, name, tool \
	}
/* Properties lc=3 lp=0 pb=2 and the size of the dictionary: fewer bytes are a branch on arm64. */
#define LZMA(dictionary) PACKED("lzma", "unlzma", 0, "\x5d\0\0" dictionary)

/* clang-format off */
static const struct file_magic magics[] = {
	PACKED("gzip", "gunzip", 0, "\x1f\x8b\x08"),
	PACKED("zstd", "unzstd", 0, "\x28\xb5\x2f\xfd"),
	PACKED("zstd", "unzstd", 0, "\x50\x2a\x4d\x18"), /* pzstd's skippable frame is first */
	PACKED("xz", "unxz", 0, "\xfd" "7zXZ\0"),
	PACKED("bzip2", "bunzip2", 4, "1AY&SY"),
	PACKED("lz4", "unlz4", 0, "\x04\x22\x4d\x18"),
	PACKED("lz4", "unlz4", 0, "\x02\x21\x4c\x18"),
	PACKED("lzop", "lzop -d", 0, "\x89LZO\0"),
	PACKED("lzip", "lzip -d", 0, "LZIP\1"),
	LZMA("\4\0"), LZMA("\x10\0"), LZMA("\x20\0"), LZMA("\x40\0"), LZMA("\x80\0"),
	LZMA("\0\1"), LZMA("\0\2"), LZMA("\0\4"),
	PACKED("zip", "unzip", 0, "PK\3\4"),
	PACKED("7z", "7z x", 0, "7z\xbc\xaf\x27\x1c"),

	DISK("qcow2", 0, "QFI\xfb"), /* and qcow of old */
	DISK("VMDK", 0, "KDMV"),
	DISK("VMDK", 0, "COWD"),
	DISK("VMDK", 0, "# Disk DescriptorFile"),
	DISK("VHDX", 0, "vhdxfile"),
	DISK("VHD", 0, "conectix"),
	/* Of fixed size, which qemu-img does not find by itself: features, version. */
	{ -512, 16, MAGIC_DISK, "conectix\0\0\0\2\0\1\0\0", "VHD",
	  "qemu-img convert -f vpc -O raw" },
	DISK("VDI", 0x40, "\x7f\x10\xda\xbe"),
	DISK("QED", 0, "QED\0"),
	DISK("Parallels", 0, "WithoutFreeSpace"),
	DISK("Parallels", 0, "WithouFreSpacExt"),
	DISK("DMG", -512, "koly\0\0\0\4"),
	{ 0, 6, MAGIC_DISK, "\x3a\xff\x26\xed\1\0", "Android sparse", "simg2img" },

	RAW("an ISO 9660 image", 0x8001, "CD001"), /* ECMA-119, 8.1.2 */
	RAW("a disk image with partitions", 512, "EFI PART"),
	RAW("a squashfs file system", 0, "hsqs"),
	RAW("an EROFS file system", 1024, "\xe2\xe1\xf5\xe0"),
	RAW("an XFS file system", 0, "XFSB"),
	RAW("a btrfs file system", 0x10040, "_BHRfS_M"),
	/* The superblock's s_magic; s_state is clean, s_errors goes on. */
	RAW("an ext4 file system", 1080, "\x53\xef\1\0\1\0"),
	RAW("a LUKS volume", 0, "LUKS\xba\xbe"),

	{ 0, 5, MAGIC_INITRD, "07070", "a cpio archive", "" },

	OTHER("an Android boot image", "use the kernel inside it", 0, "ANDROID!"),
	OTHER("an Android boot image", "use the kernel of its partner, boot.img", 0, "VNDRBOOT"),
	OTHER("a U-Boot image", "use the kernel inside it", 0, "\x27\x05\x19\x56"),
	OTHER("a device tree or FIT image", "use the kernel itself", 0, "\xd0\x0d\xfe\xed"),
	OTHER("a tar archive", "use the file inside it", 257, "ustar"),
	OTHER("an RPM package", "use the file inside it", 0, "\xed\xab\xee\xdb"),
	OTHER("a Debian package or a library", "use the file inside it", 0, "!<arch>\n"),
	OTHER("a script", "use the image itself", 0, "#!/"),
	OTHER("a script", "use the image itself", 0, "#! /"),
};
/* clang-format on */

const struct file_magic *magic_find(void *file, u64 size,
				    int (*read)(void *file, u64 offset, void *buf, u64 len))
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		const struct file_magic *m = &magics[i];
		u64 offset = (u64)m->offset;
		u8 buf[24];

		if (m->offset < 0)
			offset += size;
		if (range_within(offset, m->len, 0, size) && !read(file, offset, buf, m->len) &&
		    !memcmp(buf, m->bytes, m->len))
			return m;
	}
	return NULL;
}

/* O_DIRECT wants whole blocks in an aligned buffer; 4096 satisfies all. */
#define BLOCK 4096U

struct block {
	u64 at; /* UINT64_MAX: none was read */
	u64 len;
	u8 *bytes;
};

/* Most magics are in the first block, which is read once; the others come and go. */
struct block_file {
	int fd;
	struct block first, other;
};

static int block_read(void *file, u64 offset, void *buf, u64 len)
{
	struct block_file *f = file;
	u64 at = ALIGN_DOWN(offset, (u64)BLOCK);
	struct block *b = at ? &f->other : &f->first;
	ssize_t n;

	if (b->at != at) {
		do
			n = pread(f->fd, b->bytes, BLOCK, (off_t)at);
		while (n < 0 && errno == EINTR);
		b->at = at;
		b->len = n < 0 ? 0 : (u64)n;
	}
	if (!range_within(offset - at, len, 0, b->len))
		return -ENODATA;
	memcpy(buf, b->bytes + (offset - at), len);
	return 0;
}

const struct file_magic *magic_find_fd(int fd, u64 size)
{
	u8 *bytes = aligned_alloc(BLOCK, 2 * (size_t)BLOCK);
	struct block_file f = {
		.fd = fd,
		.first = { .at = UINT64_MAX, .bytes = bytes },
		.other = { .at = UINT64_MAX, .bytes = bytes + BLOCK },
	};
	const struct file_magic *m;

	if (!bytes)
		return NULL;
	m = magic_find(&f, size, block_read);
	free(bytes);
	return m;
}
