#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes first inputs for the fuzz targets: seeds.py DIRECTORY. They say what a target's bytes mean."""
import gzip
import os
import shutil
import struct
import subprocess
import sys
import tempfile

out = sys.argv[1]


def seed(target, name, *parts):
    os.makedirs(f"{out}/{target}", exist_ok=True)
    with open(f"{out}/{target}/{name}", "wb") as f:
        f.write(b"".join(bytes([p]) if isinstance(p, int) else p for p in parts))


def le(fmt, *values):
    return struct.pack("<" + fmt, *values)


# Kernels (fuzz_load.h): guest size, format << 3, initrd 0x40, firmware 0x80; pages; image.
def bzimage(version=0x20F, xload=3, reloc=1, pref=0x100000, align=0x1000, init=0x10000, sects=1, initrd_max=0x7FFFFFFF):
    image = bytearray(b"\x90" * (512 * (sects + 1)) + b"\xf4" * 1024)
    header = le("BHIHHHH", sects, 0, 1024 // 16, 0, 0, 0, 0xAA55)
    header += le("HIHIHHBBHIIIIIHBBIIIBBHIIIQQQII", 0x6AEB, 0x53726448, version, 0, 0, 0, 0, 1, 0, 0x100000, 0, 0,
                 0, 0, 0, 0, 0, initrd_max, align, reloc, 0, xload, 255, 0, 0, 0, 0, 0, pref, init, 0)
    image[0x1F1:0x1F1 + len(header)] = header
    # The widths above follow struct setup_header; fix what the padding would shift.
    struct.pack_into("<I", image, 0x22C, initrd_max)
    struct.pack_into("<IBBHI", image, 0x230, align, reloc, 0, xload, 255)
    struct.pack_into("<QI", image, 0x258, pref, init)
    return bytes(image)


def elf64(paddr=0x100000, note=True, machine=62, vaddr=None, extra=b""):
    vaddr = paddr if vaddr is None else vaddr
    data = b"\xf4" * 64 + extra
    notes = le("III4sI", 4, 4, 18, b"Xen\0", paddr + 16)
    n = 2 if note else 1
    off = 64 + 56 * n
    header = b"\x7fELF\2\1\1" + bytes(9) + le("HHIQQQIHHHHHH", 2, machine, 1, vaddr + 8, 64, 0, 0, 64, 56, n, 0, 0, 0)
    phdrs = le("IIQQQQQQ", 1, 5, off + 20 * note, vaddr, paddr, len(data), len(data) + 4096, 4096)
    if note:
        phdrs += le("IIQQQQQQ", 4, 4, off, 0, 0, 20, 20, 4)
    return header + phdrs + (notes if note else b"") + data


def elf32(paddr=0x100000, note=True, extra=b""):
    data = b"\xf4" * 64 + extra
    n = 2 if note else 1
    off = 52 + 32 * n
    notes = le("III4sI", 4, 4, 18, b"Xen\0", paddr + 16)
    header = b"\x7fELF\1\1\1" + bytes(9) + le("HHIIIIIHHHHHH", 2, 3, 1, paddr + 8, 52, 0, 0, 52, 32, n, 0, 0, 0)
    phdrs = le("IIIIIIII", 1, off + 20 * note, paddr, paddr, len(data), len(data) + 64, 5, 4096)
    if note:
        phdrs += le("IIIIIIII", 4, off, 0, 0, 20, 20, 4, 4)
    return header + phdrs + (notes if note else b"") + data


def multiboot(flags, *words):
    return le("III", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF) + le(f"{len(words)}I", *words)


for size in range(8):
    seed("bzimage", f"good-{size}", size | 0x40, 0, bzimage())
    seed("elf", f"pvh-{size}", size | 0x40, 1, elf64())
seed("bzimage", "no-reloc", 4 | 1 << 3, 0, bzimage(reloc=0))
seed("bzimage", "old", 4, 0, bzimage(version=0x202))
seed("bzimage", "below-4g", 7 | 0x40, 0, bzimage(xload=1, initrd_max=0x37FFFFFF))
seed("bzimage", "high", 6 | 0x40, 0, bzimage(pref=0x1000000, align=0x200000, init=0x1000000))
seed("bzimage", "flat", 4 | 2 << 3 | 0x40, 1, b"\xf4" * 64)
seed("bzimage", "firmware", 0x80 | 4, 17, b"\xea")
seed("elf", "linux", 4 | 1 << 3 | 0x40, 0, elf64(note=False, vaddr=0xFFFFFFFF80000000))
seed("elf", "linux-auto", 7 | 0x40, 0, elf64(note=False))
seed("elf", "pvh32", 4 | 2 << 3, 0, elf32())
seed("elf", "firmware", 0x80 | 4, 0, elf32())
seed("elf", "firmware-raw", 0x80 | 4, 17, b"\xea")
seed("elf", "aarch64", 4, 0, elf64(machine=183))
seed("elf", "multiboot32", 4 | 3 << 3 | 0x40, 0, elf32(note=False, extra=multiboot(3)))
seed("elf", "multiboot64", 4 | 3 << 3 | 0x40, 0, elf64(note=False, extra=multiboot(0)))
seed("elf", "kludge", 4 | 0x40, 1, multiboot(0x10003, 0x100000, 0x100000, 0, 0, 0x100020), b"\xf4" * 64)
seed("elf", "kludge-bss", 4 | 3 << 3, 1, bytes(16), multiboot(0x10000, 0x100010, 0x100000, 0x100080, 0x108000, 0x100040), b"\xf4" * 128)
seed("elf", "script", 4, 0, b"#!/bin/sh\n")
seed("elf", "pe", 4, 0, b"MZ" + bytes(58) + le("I", 64) + b"PE\0\0d\x86" + bytes(64))
for n, magic in enumerate((b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"BZh91AY", b"\x89LZO\0\r\n", b"\x02!L\x18", b"\x27\x05\x19\x56", b"ARMd", b"070701", b"\x28\xb5\x2f\xfd")):
    seed("elf", f"magic-{n}", 4, 0, magic, bytes(600))
    seed("elf", f"arm-{n}", 4, 0, bytes(56), magic, bytes(600))
    seed("elf", f"bootsector-{n}", 4, 0, bytes(510), b"\x55\xaa", magic)

# Guest size and kind, initrd_addr_max, above 4G, pref_address, init_size, lengths.
for how in range(16):
    for above in (0, 1):
        seed("initrd", f"plain-{how}-{above}", how, le("IBII", 0x7FFFFFFF, above, 0x100000, 0x10000), le("III", 5, 4096, 100000))
seed("initrd", "limit", 4, le("IBII", 0x180000, 0, 0x100000, 0x1000), le("II", 7, 9))
seed("initrd", "none", 4, le("IBII", 0x180000, 0, 0x100000, 0x1000))
seed("initrd", "full", 2, le("IBII", 0xFFFFFFFF, 1, 0x100000, 0xFF000), le("I", 4095))

# The limit as a power of two, then the file.
for limit in (19, 4):
    seed("decompress", f"gzip-{limit}", limit, gzip.compress(b"lkvm " * 100, mtime=0))
    seed("decompress", f"gzip0-{limit}", limit, gzip.compress(bytes(range(256)), 0, mtime=0))
    seed("decompress", f"gzip-members-{limit}", limit, gzip.compress(b"lkvm", mtime=0) * 2 + bytes(8))
    # A raw block and a run-length block in one frame; compressed blocks come by mutation.
    seed("decompress", f"zstd-{limit}", limit, bytes.fromhex("28b52ffd2005290000") + b"hello")
    seed("decompress", f"zstd-rle-{limit}", limit, bytes.fromhex("28b52ffd6000004b200061"))
    # zstd -19 of "lkvm " * 100, with a checksum.
    seed("decompress", f"zstd-c-{limit}", limit, bytes.fromhex("28b52ffd0468650000286c6b766d200100ec508b161ea1ec90"))
seed("decompress", "plain", 10, b"\x7fELF")

# The limit as a power of two, then the file: offset and length of the kernel in it, how it is compressed.
# Firmware for trust domains (fuzz_tdvf.c): MiB of memory - 1, image.
def tdvf(sections, old=False, count=None, version=1):
    image = bytearray(bytes(range(256)) * 32)
    table = b"TDVF" + le("III", 16 + 32 * len(sections), version, len(sections) if count is None else count)
    table += b"".join(le("IIQQII", *s) for s in sections)
    image[0x1C00:0x1C00 + len(table)] = table
    image[0x1F00:] = bytes(0x100)
    if old:
        struct.pack_into("<I", image, 0x1FE0, 0x1C00)
        return bytes(image)
    entry = le("I", 0x400) + le("H", 22) + bytes.fromhex("35657ae44a989847865e4685a7bf8ec2")
    footer = le("H", 22 + 18) + bytes.fromhex("de82b596b21ff745baeaa366c55a082d")
    image[0x1FE0 - 40:0x1FE0] = entry + footer
    return bytes(image)


TDVF = [(0x1000, 0x1000, 0xFFFFF000, 0x1000, 0, 1), (0, 0x1000, 0xFFFFE000, 0x1000, 1, 0), (0, 0, 0x9000, 0x2000, 2, 0),
        (0, 0, 0xB000, 0x1000, 3, 0), (0, 0, 0xC000, 0x2000, 4, 2)]
seed("tdvf", "table", 63, tdvf(TDVF))
seed("tdvf", "old", 63, tdvf(TDVF, old=True))
seed("tdvf", "count", 63, tdvf(TDVF, count=65))
seed("tdvf", "payload", 63, tdvf(TDVF[:4] + [(0, 0x800, 0x100000, 0x10000, 5, 1), (0, 4, 0x200000, 0x1000, 6, 0)]))
seed("tdvf", "overlap", 0, tdvf(TDVF[:3] + [(0, 0, 0xA000, 0x1000, 3, 0)]))
seed("tdvf", "beyond", 0, tdvf(TDVF[:3] + [(0, 0, 0x100000, 0x1000, 3, 0), (4, 4, 0, 0, 7, 0)]))


def zboot(payload, kind, offset=64, length=None):
    header = b"MZ\0\0zimg" + le("IIII", offset, len(payload) if length is None else length, 0, 0)
    return header + kind.ljust(32, b"\0") + bytes.fromhex("cd23828140000000") + payload + bytes(8)


ZSTD = bytes.fromhex("28b52ffd2005290000") + b"hello"
for limit in (19, 4):
    seed("decompress", f"zstd-skip-{limit}", limit, bytes.fromhex("502a4d180100000000") * 2 + ZSTD + ZSTD)
    seed("zboot", f"gzip-{limit}", limit, zboot(gzip.compress(b"lkvm " * 100, mtime=0), b"gzip"))
    seed("zboot", f"zstd-{limit}", limit, zboot(ZSTD, b"zstd22"))
seed("zboot", "other", 19, zboot(ZSTD, b"xzkern"))
seed("zboot", "wrong", 19, zboot(ZSTD, b"gzip"))
seed("zboot", "beyond", 19, zboot(ZSTD, b"zstd", length=0x1000))
seed("zboot", "wrap", 19, zboot(ZSTD, b"zstd", offset=0xFFFFFFFF))
seed("zboot", "plain", 10, b"MZ\0\0zimh" + bytes(64))

# Firmware of SNP guests: the image's end, without the last 16 bytes.
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../vectors/tiny-fw.bin"), "rb") as f:
    tiny = f.read()[-1040:-16]
seed("snp", "tiny", tiny)
for place, value in ((8, 2), (12, 0), (12, 5000), (16, 0x1001), (20, 0), (20, 0xFFFFF000), (24, 2), (24, 0x10), (24, 9)):
    seed("snp", f"at-{place}-{value:x}", tiny[:place], le("I", value), tiny[place + 4:])

# virtqueue: 0 set-up, 1 chain, 2 indirect, 3 pop, 4 push, 5 unpop, 6 signal, 7/8 notify, 9 index, 10 poke, 11 serve, 12 head.
chain = [1, 0x02, 0, 1, 16, 0, 2, 32, 1, 3, 64]
serve = [3, 4, 9, 6, 7, 8]
for size in range(9):
    seed("virtqueue", f"serve-{size}", *([0, size] + (chain + serve) * 3))
    seed("virtqueue", f"event-{size}", *([0, size | 0x40] + (chain + serve) * 5))
seed("virtqueue", "indirect", *([0, 6] + [2, 5] + [0, 1, 16, 0, 2, 16, 1, 3, 16, 1, 4, 16] + serve))
seed("virtqueue", "long", *([0, 8] + [2, 0x84] + [0, 1, 16, 0, 2, 16, 0, 3, 16, 0, 4, 16] + serve))
seed("virtqueue", "4g", *([0, 8] + [2, 0x84] + [4, 1, 0] * 4 + serve))
seed("virtqueue", "unpop", *([0, 4] + chain + [3, 5, 3, 4, 1]))
seed("virtqueue", "batch", *([0, 3] + chain * 3 + [11 + 14 * 8, 11 + 14 * 8]))
# Files called case-* stay in the corpus whatever the merge thinks of them: each is at the edge of a rule.
quarter = [0, 1, 16, 0, 2, 16, 0, 3, 16, 0, 4, 16]
seed("virtqueue", "case-jump", 0, 4, 9, 17, 3)
for off in (-1, 0, 1):
    seed("virtqueue", f"case-head-{off}", 0, 4, 12, off & 0xFF, 3)
    seed("virtqueue", f"case-segments-{off}", 0, 8, 2, 0x84 + off, *quarter, 3)
    seed("virtqueue", f"case-segments-in-two-{off}", 0, 8, 2, 0xA3 + off, *quarter, 0, 1, 16, 3)
seed("virtqueue", "case-4g", 0, 8, 2, 0x84, *[4, 1, 0] * 4, 3)
seed("virtqueue", "case-loop", 0, 0, 1, 0, 0xF8, le("HQIH", 1, 0xD000, 0, 0), 3)
seed("virtqueue", "case-next", 0, 4, 1, 0, 0xF8, le("HQIH", 1, 0xD000, 16, 16), 3)
seed("virtqueue", "later", *([0, 4] + chain * 2 + [3, 4 + 14 * 5, 1, 3, 4, 2, 6]))
# Packed, in order, both; and memory that changes between the reads of a descriptor (13: how, wait, value).
for form in range(1, 8):
    any_size = [5] if form & 4 else []
    seed("virtqueue", f"form-{form}", *([14 * form, 0x43, *any_size] + (chain + serve) * 4))
    for how in range(3):
        for wait in range(6):
            seed("virtqueue", f"meanwhile-{form}-{how}-{wait}", *([14 * form, 0x43, *any_size] + (chain + [13, how | 0x80, wait, *[0xFF] * 8] + serve) * 2))

# Devices: the first byte, then operations (fuzz_virtio.h).
up = [0, 0x60]
for name, own in {
    "blk": [
        [12, 0x01, 0, 0, 0x09, 0, 0, 2, 4],  # read
        [12, 0x01, 1, 2, 0x08, 0, 1, 0, 4],  # write
        [12, 0x00, 4, 0],  # flush
        [12, 0x09, 8, 0, 0x00, 0, 0, 20],  # id
        [12, 0x01, 11, 0, 0x00, 0, 0, 20, 8, 8],  # discard
        [12, 0x01, 13, 0, 0x00, 0, 0, 20, 8, 8],  # zeroes
        [12, 0x11, 13, 0, 0x00, 0, 0, 20, 8, 8, 1],
        [12, 0x03, 1, 0, 8, 0, 1, 0, 4, 8, 0, 2, 0, 6, 8, 0, 9, 0, 6],
        [12, 0x04, 0] + [255] * 8,
        [7, 0x28, 32, 0],  # config: write-through
        [12, 0x01, 1, 2, 0x08, 0, 1, 0, 4],
    ],
    "net": [
        [12, 1, 5, 0x80, 0],
        [12, 0, 60, 12, 0, 61],
        [12, 1, 8, 40],
        [12, 0, 0x80, 0, 4],
        [12, 2, 60, 0],
        [12, 3, 1, 0, 12, 3, 0x82, 1],
        [12, 4 + 6, 12, 2, 60, 0, 12, 2, 60, 0],
        [12, 5, 12, 2, 60, 0],
        [12, 5 + 64 + 128, 12, 0, 60],
    ],
    "console": [
        [1, 0x00, 1, 0x00, 5, 0, 32],  # transmit
        [1, 0x01, 0, 0x01, 5, 0, 32, 1, 6, 0, 3],  # buffers for input
        [12, 5, 65, 66, 67, 68, 69],
        [12, 0x80, 80, 25],
        [1, 0x01, 0, 0x01, 0, 0, 0, 1, 6, 0, 3],
        [12, 5, 65, 66, 67, 68, 69],
    ],
    "vsock": [
        [12, 3, 31, 0x80],  # buffers
        [12, 0, 0x25, 0, 0, 0, 0],  # the guest connects (0x24 % 9 is 0, and so on)
        [12, 0, 0x2E - 0x09, 1, 0, 0, 0],
        [12, 0, 0xA4 + 2, 0, 100, 0, 0, 0, 0],  # data
        [12, 4, 0, 100, 12, 4, 16, 255],  # the service writes, reads
        [12, 0, 0x28, 0xC0, 0, 0, 0],  # shutdown
        [12, 5, 12, 4, 1, 1],  # a program comes, and says its port
        [12, 0, 2, 1, 0, 0, 0],  # the guest takes it
        [12, 4, 1, 50, 12, 4, 24 + 1, 12, 4, 40 + 1],
        [12, 6, 12, 0x5E],
        [1, 0x01, 2, 0x01, 0, 0, 8],  # an event buffer
    ],
    "balloon": [[12, 0x85, 0, 0, 0, 4, 9], [12, 0x86, 0, 0, 1, 0, 3], [12, 0xC4, 0, 0, 2, 0, 7], [12, 0x40], [12, 0x0C, 3], [1, 0x00, 0, 0x09, 0, 0, 0, 1, 5]],
    "pmem": [[12, 12], [12, 4, 12, 0x2C, 5], [12, 3, 2, 8], [12, 11, 4, 3], [12, 0], [12, 1], [12, 2], [1, 0x01, 0, 0, 4, 0x01, 0, 4]],
    "rng": [[12, 0x08, 0, 0, 0, 20, 5], [1, 0x00, 0, 0x09, 0, 0, 0, 1, 5]],
}.items():
    for first in range(8):
        for how in (0x60, 0x61, 0x64, 0x40, 0x62, 0x68):
            full = [first, 0, how] + ([255] * 8 if how & 2 else [])
            seed(name, f"all-{first}-{how:x}", *full, *[b for op in own for b in op], *([5, 11, 0, 0x60, 5]))
        for n, op in enumerate(own):
            seed(name, f"one-{first}-{n}", first, *up, *op)
        seed(name, f"indirect-{first}", first, *up, *([1, 0x13, 0] + [0, 0, 1, 0, 16] * 2 + [1, 0, 2, 0, 16] * 2))
        seed(name, f"wide-{first}", first, *up, *([1, 0x31, 1] + [0, 0, 1, 0, 16]))
        seed(name, f"rings-{first}", first, *up, 3, 4, 0, le("QIHH", 0x2000, 16, 3, 1), 3, 8, 0, 0, 4, 0, 5, 3, 0, 200, 4, 0, 5)
        seed(name, f"registers-{first}", first, *[b for r in range(64) for b in (8, 2, 4 * r, 7, 10, 4 * r, 1)])
        seed(name, f"pci-{first}", first, *up, *[b for r in range(64) for b in (9, 0x82, 4 * r, 9, 0x40, r)], 9, 1, 4, 2, 0)

for first in (0, 1):
    seed("blk", f"case-ranges-{first}", first, *up, *[b for n in (1, 2, 32, 33, 255) for b in (12, 0x21, 11, 0, 0, 0, 0, 20, 8, 8, n, 12, 0x21, 13, 0, 0, 0, 0, 20, 8, 8, n)])
    seed("blk", f"case-end-{first}", first, *up, *[b for s in (254, 255, 0) for t in (0, 1) for b in (12, 5, t, s, s // 255, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 4)])
    seed("blk", f"case-read-only-{first}", 2 | first, *up, 12, 0x01, 1, 2, 0x08, 0, 1, 0, 4, 12, 1, 11, 0, 0, 0, 0, 20, 8, 8)
    seed("net", f"case-pieces-{first}", first, *up, 12, 1, 0x40 | 31, 40, 12, 0, 60, 12, 0, 0x80, 0, 60, 12, 1, 0x40 | 31, 40)
    seed("net", f"case-reset-{first}", first, *up, 12, 1, 8, 40, 10, 0, *up, 12, 0, 60, 12, 1, 8, 40, 12, 0, 60)
    for pairs in (8, 8 | 16, 32):
        seed("net", f"case-pairs-{pairs}-{first}", first | pairs, *up, 12, 3, 4, 2, 0, 2, 0, 12, 129, 8, 40, 12, 0, 60, 12, 128, 60, 0,
             12, 3, 0x80, 0, 0, 3, 0x3f, 1, *([0, 1] * 4), 1, 40, 12, 0, 60, 12, 129, 8, 40, 12, 3, 4, 2, 0, 1, 0)
        seed("net", f"case-filter-{pairs}-{first}", first | pairs, *up, 12, 3, 0, 1, 0, 0, 12, 3, 1, 20, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1,
             1, 0, 0, 0, 3, 0, 0, 0, 0, 1, 12, 3, 1, 6, 1, 2, 0, 0, 0, 0, 9, 12, 3, 2, 2, 0, 5, 0, 12, 1, 8, 40, 12, 0, 60)
    seed("console", f"case-reset-{first}", first, *up, 1, 0x01, 0, 0x01, 5, 0, 32, 1, 6, 0, 3, 12, 0, 10, 0, *up, 12, 5, 65, 66, 67, 68, 69)
    seed("rng", f"case-kick-{first}", first, *up, *[b for q in (0, 1, 2, 63, 64, 255) for b in (4, q)])
seed("rng", "case-select", 0, *[b for s in (1, 3, 64, 200, 255) for b in (7, 9, 0x16, s, 8, 2, 0x18, 8, 1, 0x1A, 7, 9, 0x1A, 1, 7, 9, 0x18, 4, 7, 10, 0x20, 1, 7, 9, 0x1C, 1)])
seed("rng", "case-select-mmio", 1, *[b for s in (1, 3, 59, 255) for r in range(0x30, 0xB0, 4) for b in (7, 10, 0x30, s, 8, 2, r, 7, 10, r, 1)])
seed("rng", "case-vectors", 0, 0, 0x64, *[b for v in (0, 1, 2, 9, 255) for b in (7, 9, 0x10, v, 7, 9, 0x16, 0, 7, 9, 0x1A, v, 1, 0, 0, 0x09, 0, 0, 0, 1, 5)])
seed("rng", "case-window", 0, *up, *[b for o in (0, 0x20, 0x40, 0x41, 0x7FFC, 0x7FFE, 0x8000, 0xFFFF) for w in (1, 2, 4) for b in (9, 0, 0x98, 0, 9, 2, 0x9C, *o.to_bytes(4, "little"), 9, 2, 0xA0, w, 0, 0, 0, 9, 0x82, 0xA4)])
# A session of 9P: version and attach, then requests, each with its fields (fuzz_p9.c). Names: 0 is "a", 1 "d", 2 "b", 3 a link
# to outside, 5 "..", 6 a new one.
def p9(request, *fields):
    return (12, request, 0, *fields)


mounted = (*p9(0, 200, 0), *p9(1, 1, 8, 8))
for first in (0, 1, 2):
    p9up = (first, *up, *mounted)
    seed("p9", f"case-files-{first}", *p9up, *p9(2, 1, 2, 1, 0, 0), *p9(6, 2, 2, 0, 0, 0), *p9(9, 2, 0, 100, 0), *p9(10, 2, 5, 3, 65, 66, 67),
         *p9(22, 2), *p9(24, 2, 1, 0, 0, 0), *p9(25, 2, 1, 0, 0, 0), *p9(4, 2))
    seed("p9", f"case-names-{first}", *p9up, *p9(2, 1, 2, 0), *p9(8, 2, 6, 66, 0, 0, 0, 0, 0), *p9(17, 1, 9, 255, 1), *p9(15, 1, 6, 3),
         *p9(16, 1, 6, 1), *p9(2, 1, 3, 1, 6, 0), *p9(19, 1, 6, 1, 0), *p9(21, 1, 3, 2), *p9(20, 1, 1, 1, 1), *p9(5, 3))
    seed("p9", f"case-attributes-{first}", *p9up, *p9(2, 1, 2, 1, 0, 0), *p9(12, 2, *(0,) * 8), *p9(13, 2, 0xFF, 1, 0xA4, 1, 3, 1, 1, 0, 0, 0, 2, 2, 0, 0, 0),
         *p9(14, 2), *p9(26, 2, 3, 0), *p9(27, 2, 0, 3, 0, 0), *p9(10, 2, 0, 3, 65, 66, 67), *p9(4, 2), *p9(26, 1, 3, 0), *p9(9, 3, 0, 100, 0))
    seed("p9", f"case-directories-{first}", *p9up, *p9(2, 1, 2, 2, 1, 5), *p9(2, 1, 3, 2, 3, 0), *p9(2, 1, 4, 1, 3), *p9(22, 4), *p9(6, 2, 0, 0, 0, 0),
         *p9(11, 2, 0, 0, 16), *p9(11, 2, 0, 60, 0), *p9(18, 2, 1, 6), *p9(28, 0), *p9(29, 3, 0, 0))
# Two functions behind a bridge: its command register, numbers and windows change, and those of the functions too.
for kinds in (0, 0x7F, 0x7FFF):
    behind = [b for slot in (4, 5) for b in (0x10, slot, 4, 7, 0, 0x90, slot, 4)]
    bridge = [0x10, 0, 4, 0, 0, 0x10, 0, 4, 7, 0, 0x20, 0, 0x18, 0, 2, 2, 0, 0x20, 0, 0x18, 0, 1, 1, 0, 0x20, 0, 0x20, 0xF0, 0xFF, 0, 0,
              0x20, 0, 0x20, 0x10, 0xC0, 0x10, 0xC0, 0x20, 0, 0x1C, 0xF0, 0, 0, 0, 0x20, 0, 0x1C, 0x20, 0x20, 0, 0, 0x20, 0, 0x28, 1, 0, 0, 0]
    seed("pci", f"case-bridge-{kinds:x}", le("H", 0x8000 | kinds), *behind, *bridge, *behind, 1, 3, 5, 1, 0x33, 9, 1, 0x23, 9, 1, 0x13, 3, *bridge, 7, 0xFF, *bridge)
for t in ("blk", "net", "console", "rng", "balloon", "pmem"):
    for first in (0, 1):
        base = 0x100 if first else 0x2000
        # The end of the configuration space, and of the registers, at every width.
        seed(t, f"case-config-{first}", first, *up, *[b for o in list(range(base, base + 72, 3)) + [0x3C, 0x3E, 0x3F, 0x40, 0xFFC, 0xFFF] for w in range(4) for b in (8, 4 | w, *o.to_bytes(2, "little"), 7, 12 | w, *o.to_bytes(2, "little"), 1)])

# Legacy registers (0x40 in the first byte), and memory that changes while a request is served (15: how, wait, value).
for t, request in (("blk", (12, 0x01, 0, 0, 0x09, 0, 0, 2, 4)), ("net", (12, 2, 60, 0)), ("console", (1, 0x00, 1, 0x00, 5, 0, 32)), ("vsock", (12, 0, 0x25, 0, 0, 0, 0)),
                   ("balloon", (12, 0x85, 0, 0, 0, 4, 9)), ("rng", (12, 0x08, 0, 0, 0, 20, 5)), ("p9", mounted)):
    for first in (0, 1, 0x40, 0x41):
        seed(t, f"case-legacy-{first}", first, *up, *request, 5)
        for wait in range(0, 24, 3):
            seed(t, f"meanwhile-{first}-{wait}", first, *up, 15, 0x00, wait, 0xFF, *request, 15, 0x02, wait, 0x7F, *request, 5)

# vfio_pci: the shape of the device; how many of its words lie, where and how; operations.
for shape in (0, 1, 2, 4, 8):
    seed("vfio_pci", f"walk-{shape}", shape, 0, *[b for r in range(0, 256, 4) for b in (0xA8, 0, r, 0)])
seed("vfio_pci", "size", 0, 0, *[b for r in (0x10, 0x14, 0x18, 0x20, 0x30) for b in (0x28, 0, r, 0, 255, 255, 255, 255, 0xA8, 0, r, 0)])
seed("vfio_pci", "move", 8, 0, *[b for t in (0, 1, 2, 35) for b in (5, t, 4, 0x3C, 5, t + 1)])
seed("vfio_pci", "trap", 8, 0, *[b for i in range(7) for o in (0, 0x11, 0x20) for b in (0x82 | i << 3, 2, 4, o, 2 | i << 3, 3, 8, o, *[o] * 8)])
seed("vfio_pci", "sleep", 0, 0, 0x10, 6, 3, 0, 0x3C, 4, 0x10, 6, 0, 0)
seed("vfio_pci", "flr", 0, 0, 0x3C, 0x10, 11, 0, 0x80, 5, 3, 0x3C, 0x00, 12, 1, 7, 255)
seed("vfio_pci", "msix", 0, 0, 0x18 + 8, 0, 0x72, 0, 4, 0x80, 0x3C, *[b for v in range(6) for b in (2, 3, v * 16, 0x11, 0, 0, 0xE0, 0xFE, 0, 0, 0, 0, 2, 3, v * 16 + 8, 0x11, 0x41, 0, 0, 0, 0, 0, 0, 0, 6, 2 + 3 * v)])
# On, and each word of the table; on and off; a raise of each.
words = [b for w in range(24) for b in (7, w, w % 4 * 0x11)]
for shape in (0x08, 0x18, 0x38):
    seed("vfio_pci", f"vectors-{shape}", shape, 0, 0x3C, 7, 29, 0, 0x80, *words, *[b for k in range(9) for b in (6, 2 + 3 * k)], 5, 3, *words, 7, 29, 0, 0)
seed("vfio_pci", "msi", 0x30, 0, 0x3C, 7, 25, 0, 0xFE, 7, 24, 0x31, 0, *[b for k in range(8) for b in (6, 1 + 3 * k)], 7, 28, 0x05, 0, 6, 1, 7, 28, 0, 0, 7, 24, 0, 0)
seed("vfio_pci", "loop", 0, 2, le("HI", 0x34, 0x0905), le("HI", 0x14, 0x4009), 0xA8, 0, 0xD0, 0)
seed("vfio_pci", "far-table", 0, 1, le("HI", 0x1D, 0xFFFFF000), 0xA8, 0, 0x70, 0)

# pci: the kinds of BAR; operations.
seed("pci", "walk", 0xFF, 0xFF, *[b for s in range(4) for r in range(0, 256, 4) for b in (0xA0, s, r)])
seed("pci", "size", 0xFF, 0xFF, *[b for s in (1, 2, 3) for r in range(0x10, 0x28, 4) for b in (0x20, s, r, 255, 255, 255, 255)])
seed("pci", "move", 0xFF, 0xFF, *[b for i in range(3) for k in range(4) for t in (0, 1, 2, 3, 40) for b in (1, i | k << 4, t)])
seed("pci", "move64", 0xFF, 0xFF, *[b for i in range(3) for t in range(6) for b in (1, i | 0xA0, t)])
seed("pci", "command", 0xFF, 0xFF, *[b for s in (1, 2, 3) for c in (0, 1, 2, 4, 7) for b in (0x10, s, 4, c, 4)])
seed("pci", "ports", 0xFF, 0xFF, *[b for r in range(0, 64, 4) for b in (2, 1, r, 0x83, 2, 3, 2, 7, 0, 0, 0)])
seed("pci", "intx", 0, 0, 0x86, 0x8E, 6, 0x96, 0x10, 2, 4, 7, 4, 0x0E, 0x16)
msix = [0x10, 1, 4, 6, 0, 0x10, 1, 0x42, 0, 0x80]
seed("pci", "msix", 0, 0, *msix, *[b for v in range(5) for b in (0x44, 3, 0, 0, 0, 0, v * 16, 0, 0, 0xE0, 0xFE, 0, 0, 0, 0, 0x44, 3, 0, 0, 0, 0, v * 16 + 8, 0x41, 0, 0, 0, 0, 0, 0, 0)], 5, 0, 5, 1, 5, 9, 7, 255)
seed("pci", "case-vectors", 0, 0, *msix, *[b for v in range(7) for b in (5, v)])
seed("pci", "case-shared-line", 0, 0, 0xA6, 0x9E, 6, 0x26)
seed("pci", "pending", 0, 0, *msix, 5, 2, 0x44, 2, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 0, 0x84, 3, 0, 0x20, 0, 0)

# serial: operation, register << 3, read 0x80.
r, w = (lambda reg: [0x82 | reg << 3]), (lambda reg, v: [2 | reg << 3, v])
for first in range(0, 32):
    seed("serial", f"session-{first}", first, *(w(2, 0xC7) + w(3, 3) + w(4, 0xB) + w(1, 0xF) + r(2) + w(0, 65) + r(2) + r(5) + [0x28] + [65] * 5
                                               + r(2) + r(5) + r(0) * 6 + r(6) + w(4, 0x1F) + w(0, 66) + w(3, 0x43) + r(5) + r(0) + r(6)
                                               + w(4, 0x10) + r(6) + w(3, 0x83) + w(0, 1) + w(1, 2) + r(0) + r(1) + w(3, 3) + w(4, 0xB) + w(7, 9) + r(7)
                                               + w(1, 0) + r(5) * 20 + [0xF8] + [66] * 31 + r(0) * 20 + [0xC2, 3, 0, 0x42, 2, 0, 1, 2, 3, 4, 1] + r(5)))
    seed("serial", f"overrun-{first}", first, *(w(4, 0x10) + w(0, 1) + w(0, 2) + w(1, 4) + r(2) + r(5) + r(2)))

# pit: time, operations: ports 0x40 to 0x43 and 0x61 by bits 2 to 4; 2: time passes; 3: the loop turns.
for mode in range(6):
    seed("pit", f"mode-{mode}", le("I", 0), 0x11, 1, 0x0D, 0xB0 | mode << 1, 0x09, 16, 0x09, 0, 2, le("I", 20000), 0x0D, 0xE0, 8, 8, 8, 0x10)
seed("pit", "storm", le("I", 0), 0x0D, 0x34, 1, 2, 1, 0, *[b for _ in range(4) for b in (2, *le("I", 2000), 3)])
seed("pit", "ticks", le("I", 0), 0x0D, 0x34, 1, 0, 1, 4, *[b for _ in range(4) for b in (2, *le("I", 900000), 3)])

# pc: time, operations.
seed("pc", "clock", le("I", 1700000000), *[b for i in range(0, 128) for b in (2, i)])
seed("pc", "set", le("I", 1700000000), 0x42, 11, 0x82, *[b for i, v in enumerate((0x30, 0, 0x59, 0, 0x23, 0, 7, 0x31, 0x12, 0x99)) for b in (0x42, i, v)], 0x42, 0x32, 0x20, 0x42, 11, 2, 2, 0)
for b in (0, 2, 4, 6):
    seed("pc", f"format-{b}", le("I", 1700003600), 0x42, 11, b, *[x for i in range(10) for x in (2, i, 0x42, i, 5)], 0x43, le("II", 999000000, 90000), 2, 10, 2, 12, 0x42, 10, 0x26, 2, 12)
seed("pc", "keyboard", le("I", 0), *[b for c in (0x20, 0x60, 0xAA, 0xA7, 0xA8, 0xA9, 0xAB, 0xAD, 0xAE, 0xC0, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xF0, 0xFE) for b in (0x0D, c, 0x0C, 0x08, 0x09, c, 0x08, 0x13)])
seed("pc", "ports", le("I", 0), *[b for p in range(14) for v in (0, 1, 2, 3, 0x34, 255) for b in (p << 2, p << 2 | 1, v, p << 2 | 0x80, 1, 3, 0x13, 0x23)])

# testdev: RAM, CPUs, operations: width << 6 | place << 3 | what (0 write, 2 read, 3 and 4 memory, 5 flush, 6 item, 7 reset or load), port.
testdev = le("QH", 1 << 32, 300)
seed("testdev", "scratch", testdev, *[b for w in (0x80, 0x40, 0) for p in range(16) for b in (w, p, *le("I", 0x87654321 * (p + 1) & 0xFFFFFFFF)[:1 << (w >> 6) % 3], w | 2, p)])
seed("testdev", "pins", testdev, *[b for v in (1, 0, 0x80) for p in range(28) for b in (0x08, p, v, 0x0A, p)], 0x87, 0, 0x07, 0)
seed("testdev", "memory", testdev, *[b for a in (0, 4, 8, 0x1000, 0x10004, 0x1000C) for w in range(4) for b in (3, 0, *le("I", a), w, *le("Q", 0x1122334455667788), 4, 0, *le("I", a), w)], 0x87, 0)
seed("testdev", "flush", testdev, *[b for a in (0, 0x100000, 0x10FFFF, 0x110000, 0x20000, 0x30000, 0xFF000000, 0xFFFFFFFF) for b in (5, 0, *le("I", a))])
seed("testdev", "items", testdev, *[b for k in (0, 1, 3, 5, 15, 16, 0x8000, 0xFFFF) for b in (6, 0, *le("H", k), 0x50, 2, *le("H", k), 0x12, 3, 0x52, 3, 0x87, 0)])

# board: time, operations: place << 1 | read, offset, value; 0x40, command, its address; 0x60 | key, release, alarm, reset; 0x70, seconds.
def at(place, offset, value=None):
    return [place << 1 | (value is None), *le("I", offset)[:3], *(b"" if value is None else le("I", value))]


def flash(offset, *commands):
    return [b for c in commands for b in (0x40, c, *le("H", offset // 4))]


seed("board", "alarm", le("I", 1700000000), *(at(0, 4, 1700000005) + at(0, 0x10, 1) + [0x70, *le("I", 3), 0x64, 0x70, *le("I", 3), 0x64] + at(0, 0x18) + at(0, 0x1C, 1)
                                              + at(0, 8, 5) + at(0, 0) + at(0, 4, 9) + [0x70, *le("I", 0x90000000), 0x64, 0x68] + [b for r in range(0, 32, 4) for b in at(0, r)]))
seed("board", "goldfish", le("I", 1700000000), *([b for r in range(0, 32, 4) for b in at(10, r)] + at(10, 0x10, 1) + at(10, 0xC, 0x17979CFE) + at(10, 8, 0x362A0000) + [0x70, *le("I", 3), 0x64] + at(10, 0x18)
                                                 + at(10, 0x1C, 1) + at(10, 4, 1) + at(10, 0, 2) + at(10, 8, 9) + at(10, 0x14, 1) + at(11, 0) + at(11, 0, 0x7777) + [0x68]))
seed("board", "ids", le("I", 0), *[b for r in range(0, 32, 4) for b in at(1, r) + at(2, 0xFE0 + r) + at(1, r, 1)])
seed("board", "key", le("I", 0), *(at(3, 8, 8) + at(3, 16, 8) + [0x61] + at(3, 24) + at(2, 0x20) + at(3, 28, 8) + [0x62] + at(3, 28, 8) + at(3, 4, 8) + at(3, 12, 8) + [0x61]
                                   + at(3, 0, 0xF0) + at(2, 0x3FC, 0xAA) + at(2, 0x3FC) + at(3, 32, 1) + [0x68] + [b for r in range(0, 36, 4) for b in at(3, r)]))
seed("board", "rest", le("I", 1700000000), *[b for i in range(14) for b in (0x88, 0, 0, 0, 0, i, 0x89, 1, 0, 0, 0)], *(at(5, 0, 123) + at(5, 0) + at(6, 0) + [0x8C, 0, 0, 0, 0, 2, 0x8C, 0, 0, 0, 0, 4, 0x8C, 0, 0, 0, 0, 1]))
seed("board", "flash-query", le("I", 0), *(flash(0, 0xF0, 0xFF) + flash(0x154, 0x98) + [b for i in range(0x10, 0x44) for b in at(8, 4 * i)] + flash(0, 0x90) + [b for i in range(3) for b in at(7, 0x10000 + 4 * i)]))
seed("board", "flash-word", le("I", 0), *(flash(0x10000, 0x20, 0xD0) + at(7, 0x10000) + flash(0x10004, 0x40) + at(7, 0x10004, 0x12345678) + flash(0, 0x70) + at(7, 0) + flash(0, 0x50, 0xFF) + at(7, 0x10004)))
seed("board", "flash-buffer", le("I", 0), *(flash(0xFF80, 0x20, 0xD0, 0xE8, 31) + [b for i in range(32) for b in at(9, 0x80 + 4 * i, i)] + flash(0, 0xD0, 0xFF) + at(9, 0x80) + flash(0, 0xE8, 33, 0xE8, 1) + at(9, 0xFC, 0) + at(9, 0x100, 0)
                                            + flash(0, 0xD0, 0xE8, 1) + at(9, 0, 0) + at(9, 0x40, 0)))
seed("board", "flash-lock", le("I", 0), *(flash(0, 0x60, 0x01, 0x20, 0xD0, 0x40, 0, 0x60, 0x2F, 0x60, 0xD0, 0x60, 0x03, 0x60, 0x55, 0x20, 0x55, 0xC0, 0, 0xB0, 0xD0) + [0x68]))

# sbi: operation; moves of the console: wide length 1, wide address 2, upper half 4; length, address.
def move(read, length, address, upper=None):
    wide = (length > 0xFFFF) | (address > 0xFFFFFF) << 1 | (upper is not None) << 2
    return [read, wide, *le("Q" if wide & 1 else "H", length), *(le("Q", address) if wide & 2 else le("I", address)[:3]), *(b"" if upper is None else le("Q", upper))]


seed("sbi", "console", *(move(0, 5, 0x100) + move(0, 0xFFFF, 0) + move(1, 16, 0x200) + [4, 20] + move(1, 8, 0xFFFC) + move(1, 16, 0x20000) + [3, 4, 3, 3, 6, 9, 4, 12, 3]))
seed("sbi", "buffers", *[b for r in (0, 1) for n, g in ((1, 0xFFFF), (2, 0xFFFF), (1, 0x10000), (0x4000, 0x20000), (0x4001, 0x20000), (1, 0x1FFFF), (2, 0x1FFFF), (1, 0x30000),
                                                        (0, 0x50000), (0x10000, 0), (0x10001, 0), (1 << 63, 1 << 63), ((1 << 64) - 1, 1), (1, (1 << 64) - 1)) for b in move(r, n, g)],
     *move(0, 1, 0, 1), *move(1, 0, 0, 1 << 63))
seed("sbi", "sleep", 2, 5, *le("QQQ", 0, 0x1000, 7), 6, 4, 4, 3, 2, 5, *le("QQQ", 0, 0, 0), 7, 4, 1, 2, 5, *le("QQQ", 0, 0, 0), 1, 0, *le("H", 4), 0, 0, 0, 5, 9, 7)
seed("sbi", "others", *[b for k in (0, 1, 2, 3, 6, 7, 0x14, 0x1C, 0x0D, 0x3D) for b in (2, k, *le("QQQ", 65, 0, 0))], 2, 0x80, *le("QQQQ", 1, 2, 3, 0x4D505859))

# plic: operation, source or hart; priorities, enables, a threshold.
seed("plic", "level", 3, 5, 2, 4, 0, le("I", 32), 1, 5, 5, 0, 6, 0, 5, 5, 0, 0, 5, 6, 0, 5, 5, 0, 0x47, 0, 7, 1, 5)
seed("plic", "pulse", 3, 40, 7, 12, 1, le("I", 256), 2, 40, 5, 1, 2, 40, 2, 40, 6, 1, 40, 5, 1, 6, 0, 40, 0x86, 1, le("I", 0x80000028), 6, 1, 40)
seed("plic", "harts", *[b for s in (1, 2, 3, 95) for b in (3, s, 1 + s % 7, 2, s)], *[b for h in range(3) for b in (4, h, *le("I", 14), 20, h, *le("I", 1 << 31))],
     *[b for h in (0, 1, 2, 0, 1) for b in (5, h)], 6, 0, 95, 6, 1, 3, 0x27, 0, 1, 3)
seed("plic", "registers", *[b for o in (0, 4, 0x17c, 0x180, 0x1000, 0x100c, 0x2000, 0x2080, 0x2200, 0x200000, 0x203000, 0x3fffffc, 0x4000000, 0x7fffffc) for w in (0, 2)
                            for b in (0xC7, 0, *le("I", o), w, *le("Q", 0xFFFFFFFFFFFFFFFF), 0x87, 0, *le("I", o), w)])

# ioapic: operation, pin.
seed("ioapic", "edge", 2, 4, le("I", 0x31), 3, 4, le("I", 1 << 24), 1, 4, 0, 4, 1, 4)
seed("ioapic", "level", 2, 10, le("I", 0x8041), 1, 10, 4, 0, 0x41, 5, 0, 0x41, 0, 10, 5, 0, 0x41)
seed("ioapic", "masked", 2, 10, le("I", 0x18041), 1, 10, 2, 10, le("I", 0x8041), 2, 10, le("I", 0x41), 7 | 0x80, 0)
seed("ioapic", "registers", *[b for i in range(0, 80) for b in (7, 0, i, 1, 0, 0, 1, 0x86, 0, 0x10, 2)])
seed("ioapic", "modes", *[b for m in range(8) for b in (2, m, 0x20 + m, m | 0x80, 0, 0, 1, m, 0, m, 2, m, 0x20 + m, m, 0, 0, 1, m)])

for n, text in enumerate((
        "-k\nbzImage\n-m\n512M\n-c\n2", "bzImage", "--disk=a.img,ro,direct\n-d\nb,,c\nk", "-n\nmode=tap,tapif=tap0,guest_mac=02:15:15:15:15:15\nk",
        "--network=mode=none\nk", "-n\ntap\n-n\ntrans=mmio\nk", "--kernel-format=pvh\nk", "--kernel-format=pvm\nk", "--irqchip\nsplit\n-c\n300\nk", "--console=virtio\n--rng\nk",
        "-f\nrom.bin", "-f\nrom.bin\n-p\nx", "--no-rng\n--no-reboot\n--reboot\nk", "--params=console=hvc0 root=/dev/vda\n-i\na\n-i\nb\nk", "--help", "-h", "--kernal\nk",
        "--virtio-transport=mmio\n-d\na\n-d\nb\nk", "--name\n../x\nk", "--loglevel=debug\nk", "--loglevel=loud", "--\nx", "a\nb", "-mem\n1", "-m\n0", "-m\n99999999999T", "-m1537k\nk",
        "--nodefaults\n--dry-run\n--hugetlbfs=/nowhere\nk", "-d\nscsi:1\nk", "-n\nvhost=1", "-n\nmq=1\nk", "-n\nhost_mac=1,script=none\nk", "--dev=\nk", "-d\na\n-d\na\nk")):
    seed("options", f"line-{n}", text.encode())
for n, text in enumerate(("0", "10", "0x1f", "077", "512M", "4GiB", "1536kb", "18446744073709551615", "18446744073709551616", "16385P", "-1", " 1", "1.5G", "0x", "8B", "B",
                          "yes", "off", "TRUE", "kernal", "mme", "no-rebot", "virtio-transprot", "k" * 40)):
    seed("parse", f"text-{n}", text.encode())

# How many values there is room for, less one; the text.
for n, text in enumerate(('{"lkvm":1,"id":7,"command":"stop","arguments":{"timeout":30}}', '[1,-2,18446744073709551615,true,false,null]',
                          r'"\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00"', '{"a":{"b":[{"c":{}}]},"d":[]}', '[' * 17, '1.5', '{"a":1,"a":2}',
                          '\t\r\n 0 ')):
    seed("json", f"text-{n}", 255, text.encode())

# vhost-user: the answers of a back end until it is open (features, protocol's features, queues), then what it says by itself,
# which begins in the middle.
for ack in (0, 8):
    opening = le("IIIQ", 1, 5, 8, 1 << 32 | 1 << 30) + le("IIIQ", 15, 5, 8, 0x221 | ack) + le("IIIQ", 16, 5, 8, 0)[:20 if ack else 0] + \
        le("IIIQ", 17, 5, 8, 4) + le("IIIQ", 21, 5, 8, 0)[:20 if ack else 0]
    says = (le("III", 2, 9, 0) + le("IIIQQ", 3, 9, 16, 0, 0) + le("III", 2, 1, 0) + le("III", 2, 1, 0) + bytes(40))[:len(opening) + 1]
    seed("vhost_user", f"says{ack}", opening + says)

# Whole machines (fuzz_machine.c): the machine, then steps.
for how in range(4):
    seed("machine", f"driver{how}", how, 0, 0x10, 2, 0x10, 2, 1, 0, 5, 0x0E, 0x8E, 0x0A, 3, 0, 0x20, 2, 0x20, 1, 0, 4, 1,
         0x7F, le("I", 0x41424344), 0x8F, 0, 0x10)
    seed("machine", f"exits{how}", how, *(x for reason in range(16) for x in (9, reason, 0, 0, 0, 0)))

# Kernels for machines with a device tree (fuzz_fdt_image.c): format, guest size, image.
fdt_image = bytearray(4096)
fdt_image[56:60] = b"ARM\x64"
struct.pack_into("<QQQ", fdt_image, 8, 0x80000, 4096, 0xA)
seed("fdt_image", "image", 0, 2, bytes(fdt_image))
seed("fdt_image", "initrd", 0x41, 3, bytes(fdt_image))
seed("fdt_image", "elf", 0, 3, elf64(paddr=0x80080000, machine=183))
seed("fdt_image", "flat", 3, 1, bytes(64))
seed("fdt_image", "firmware", 0x80, 3, bytes(64))
fdt_image[56:60] = b"RSC\x05"
struct.pack_into("<QQQ", fdt_image, 8, 0x200000, 4096, 0)
seed("fdt_image", "image2", 0x20, 3, bytes(fdt_image))
fdt_image[40:44] = b"_FVH"
seed("fdt_image", "rom", 0xE0, 3, bytes(fdt_image))

# arm64's CPUs (arm/fuzz_arm_cpu.c).
for n, fn in enumerate(range(8)):
    seed("arm_cpu", f"psci{n}", 0, fn << 3, 1, le("QQ", 0x80000000, 7), 0, fn << 3 | 1, 2, le("QQ", 0, 0))
seed("arm_cpu", "walk", 2, le("HBH", 0, 0, 0x1000), 2, le("HBH", 0x1000, 0, 0x2000), 2, le("HBQ", 0x2000, 1, 0x80000403),
     3, 1, le("QHHQ", 0x10 | 0x10 << 16, 0, 0, 0))


# qcow2: flags (1: read-only, 2: on a raw disk), how many operations, each: what, at (16 bits), how many; the image.
def qcow2(name, flags, options, *commands, convert=None):
    with tempfile.TemporaryDirectory() as folder:
        image = f"{folder}/img"
        if convert:
            with open(f"{folder}/source", "wb") as f:
                f.write(convert)
            subprocess.run(["qemu-img", "convert", "-q", "-c", "-O", "qcow2", "-o", options, f"{folder}/source", image], check=True)
        else:
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", options, image, "64K"], check=True)
        for command in commands:
            subprocess.run(command + [image], check=True, stdout=subprocess.DEVNULL)
        with open(image, "rb") as f:
            data = f.read()
    ops = b"".join(le("BHB", what, where, count) for what, where, count in (
        (0, 0, 8), (3, 4, 3), (5, 4, 8), (0x1D, 0, 8), (4, 9, 1), (7, 0, 0), (6, 0, 8), (7, 0, 0), (0xC3, 3, 99), (7, 0, 0), (0, 0, 8)))
    seed("qcow2", name, flags, len(ops) // 4, ops, data)


if shutil.which("qemu-img"):
    write = ["qemu-io", "-c", "write -P 5 3k 1k", "-c", "write -z 9k 512"]
    snapshot = ["qemu-img", "snapshot", "-c", "a"]
    text = b"lkvm " * 700 + bytes(61440) + b"end."
    for flags in (0, 1, 2):
        qcow2(f"small-{flags}", flags, "cluster_size=512", write)
        qcow2(f"old-{flags}", flags, "compat=0.10,cluster_size=512", ["qemu-io", "-c", "write -P 5 3k 1k"])
        qcow2(f"snapshot-{flags}", flags, "cluster_size=512", write, snapshot)
        qcow2(f"zlib-{flags}", flags, "cluster_size=1k", convert=text)
        qcow2(f"zstd-{flags}", flags, "cluster_size=1k,compression_type=zstd", convert=text)
    for bits in (1, 2, 8, 64):
        qcow2(f"bits-{bits}", 0, f"cluster_size=512,refcount_bits={bits}", write)

# guest_command: messages (0: type, stream, number), bytes (2), input (3), sizes (4), signals (5), what is read (6), room (7).
hello = (0, 0, 0, 1, 0, 7, 0, 16)
seed("guest_command", "runs", *hello, 0, 1, 0, 0, 0, 0, 3, 0, 200, 0, 3, 100, 0, 5, 15, 0, 4, 1, 0, 20, 7, 0, 0, 6, 0, 2, 0, 42, 0)
seed("guest_command", "output", *hello, *[b for _ in range(4) for b in (0, 4, 1, 0, 64, 0, 0, 7, 0, 16)], 6, *[b for _ in range(4) for b in (0, 4, 2, 0, 32, 0, 0)], 14, 0, 2, 0, 0, 0, 6)
seed("guest_command", "pieces", *hello, 0, 0xC4, 1, 0, 9, 0, 0, 17, 0, 2, 0xF2, *range(16), 0, 0x41, 0, 0, 0, 3, 0)
seed("guest_command", "too-much", *hello, 0, 0x24, 1, 0, 1, 1, 0, 1, 0, 0, 0, 6)
seed("guest_command", "sizes", *hello, *[b for n in range(20) for b in (4, n, 0, n, 0)], 7, 1, 0, 7, 1, 0, 7, 255, 0)

# passt: frames (0: how, length), reads of the card (2: buffers), packets of the card (5), what passt reads (6), raw bytes (7).
room = (2, 1, 0x0C, 0x86, 0)
seed("passt", "frames", *(0, 0, 60, *room, 0, 0, 14, 0, 0, 200, *room, *room, 0, 1, le("H", 1500), *room, *room))
seed("passt", "pieces", *[b for cut in (1, 3, 4, 5, 17, 63) for b in (0, 4, 60, *le("H", cut), *room, *room)], *[b for cut in (2, 30) for b in (0, 0x0C, 60, *le("H", cut), *room)])
seed("passt", "small-room", *(0, 1, le("H", 9000), 2, 2, 5, 7, 20, 0, 0, 60, 2, 7, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0, 12))
for bad in (0, 13, 65536, 0xFFFFFFFF):
    seed("passt", f"case-length-{bad}", *(0, 0, 60, *room, 0, 2, 60, le("I", bad), *room))
seed("passt", "case-longest", *(0, 1, le("H", 65535), 2, 2, 12, 0xFF, 0xFF, 0xFF, 0xF5, 0, 0, 14, *room))
seed("passt", "case-ends", *(0, 0x0C, 60, le("H", 20), *room, 0xFF, *room))
seed("passt", "sends", *[b for _ in range(6) for b in (5, 1, 0x0C, 0xC0, 0, 2, 0x86, *le("H", 20000))], *(5, 0, 80, 0, 6, 255))
seed("passt", "other-frame", *[b for _ in range(8) for b in (5, 1, 12, 0xFF, 0xF0, 0)], *(0x86, le("H", 65000), 5, 0, 80, 1, 0x86, le("H", 65000), 0x86, le("H", 65000), 5, 0, 80, 1, 0x86, le("H", 9999)))


# vhost_user: what an honest back end sends in answer to each request, with and without protocol features.
def answer(request, payload):
    return le("III", request, 5, len(payload)) + payload


def vhost_user(features, protocol, acks):
    ring = le("II", 1, 3)
    config = le("III", 0, 64, 0) + bytes(range(64))
    ack = [answer(r, le("Q", 0)) for r in acks]
    parts = [answer(1, le("Q", features))]
    if features >> 30 & 1:
        parts += [answer(15, le("Q", protocol))]
        parts += [answer(17, le("Q", 4))] if protocol & 1 else []
        parts += [answer(36, le("Q", 8))] if protocol >> 15 & 1 else []
        parts += [answer(24, config)] if protocol >> 9 & 1 else []
    return parts + ack + [answer(11, ring)]


seed("vhost_user", "plain", *vhost_user(1 << 32, 0, []))
seed("vhost_user", "protocol", *vhost_user(1 << 32 | 1 << 30, 0x201, []))
seed("vhost_user", "slots", *vhost_user(1 << 32 | 1 << 30, 0x8201, []))
seed("vhost_user", "acks", *vhost_user(1 << 32 | 1 << 30, 0x209, [2, 5, 8, 10, 9, 13, 12, 18, 13]))

# What a smoke test looks for (fuzz_smoke.c): flags, three expressions, pieces of output.
def expressions(*rules):
    parts = b""
    for kind, text in (*rules, (2, b"a"), (2, b"a"), (2, b"a"))[:3]:
        parts += bytes([kind, len(text)]) + text
    return parts


def said(console, text):
    return b"".join(bytes([console << 7 | len(text[i:i + 100])]) + text[i:i + 100] for i in range(0, len(text), 100))


seed("smoke", "prompt", 4, expressions((0, b"login: *"), (1, b"^not ok"), (2, b"known")),
     said(0, b"\x1b[1;31mDebian\x1b[0m\r\n\x1b]0;title\x07login: "))
seed("smoke", "crash", 12, expressions((0, b"never")),
     said(1, b"[    1.2] BUG: scheduling while atomic\r\n"), said(0, b"---[ end Kernel panic\r\n"))
seed("smoke", "allowed", 5, expressions((0, b"(a|b){2,3}$"), (0, b"[[:digit:]]+\\.[^x]?"), (2, b"atomic")),
     said(1, b"BUG: atomic\nab\n12.3\n"))
seed("smoke", "syntax", 0, expressions((0, b"((a*)*|b{0,9})+c"), (1, b"\\d\\W\\S.[]^-]"), (0, b"a(b|)c{3}")), said(0, b"aaaabbc\nabccc\n"))


# gdb: packets of a client; how many bytes of the input each has is in the upper half of the byte before it.
def gdb(*packets):
    parts = []
    for p in packets:
        p = p.encode()
        parts += [0xF4, le("H", len(p)), p] if len(p) > 60 else [4 | ((len(p) + 3) // 4 - 1) << 4, p.ljust((len(p) + 3) // 4 * 4, b"#")]
    return parts


seed("gdb", "hello", *gdb("qSupported:swbreak+;hwbreak+", "QStartNoAckMode", "?", "Hg0", "qXfer:features:read:target.xml:0,fff", "g",
                          "qfThreadInfo", "qsThreadInfo", "qThreadExtraInfo,1", "qC", "vCont?"))
seed("gdb", "memory", *gdb("m0,40", "m1fff,4", "M10,2:0102", "X10,2:ab", "Qqemu.PhyMemMode:1", "m0,2000", "P1=0102030405060708", "p5", "p36", "Ga1"))
seed("gdb", "run", *gdb("Z0,10,1", "Z2,10,4", "z2,10,4", "Z1,13,1", "vCont;s:4", "qRcmd,68656c70", "T1", "vCont;s:1;c"), 1, 2, 3, 1, bytes(8),
     *gdb("c"), 3, 0x13, 1, 0, 1, 0, bytes(8), *gdb("D", "g"))

# modules: lists (0, length and text of modules.builtin, of a name, modules.dep) or a kernel (1).
built = b"kernel/fs/fuse/virtiofs.ko\nkernel/drivers/virtio/virtio_pci.ko\n"
seed("modules", "tree", 0, len(built), built, 7, b"overlay", b"kernel/fs/9p/9p.ko.xz: net/9pnet.ko.xz k/netfs.ko.xz\nnet/9pnet.ko.xz:\nk/netfs.ko.xz:\noverlay.ko:")
seed("modules", "circle", 0, 0, 1, b"b", b"a.ko: b.ko a.ko\nb.ko: c.ko.gz\nc.ko.gz: a.ko b.ko\n")
seed("modules", "paths", 0, 0, 1, b"b", b"a.ko: ../a.ko\nb.ko: /etc/b.ko k//c.ko ./d.ko k/../e.ko\n: :\n\t9p.ko")
seed("modules", "chain", 0, 0, 2, b"m0", b"".join(b"m%x.ko: m%x.ko\n" % (i, i + 1) for i in range(300)))
seed("modules", "banner", 1, bytes(100), b"Linux version %s\0Linux version 6.12.107+deb13-amd64 (x) \n\0")
seed("modules", "bzimage", 1, bytes(0x202), b"HdrS", bytes(8), le("H", 0x20), bytes(0x10), b"6.1.0-50-amd64 (me)\0", bytes(80))

# control: what clients say (bytes, with their number in front), requests by number, reads, events, ends.
def says(text, client=0):
    text = text.encode() if isinstance(text, str) else text
    return b"".join(bytes([12 | client << 4, len(text[i:i + 255])]) + text[i:i + 255] for i in range(0, len(text), 255))


seed("control", "requests", *(bytes([8, n, 3]) for n in range(8)))
seed("control", "lines", says('{"lkvm":1,"id":"a\\u00e9","command":"echo","arguments":{"value":"b"}}\n{"lkvm":1,"comm'), 3,
     says('and":"fail"}\n'), 3, says('{"lkvm":2,"id":7,"command":"help"}\n'), 3, says("[]\n"), 3)
seed("control", "events", 8, 4, 4, 3, 5, 4, 3, 4, 3, 8, 1, 4, 6, 3, 1, 4, 3)
seed("control", "three", 8, 3, 0x18, 4, 0x28, 6, 4, 2, le("H", 9), 0x13, 0x23, 0x20, 0x18, 1, 0x10, 8, 3, 3, 3, 3, 0)
seed("control", "descriptors", 7, b'{"lkvm":', 15, 12, 16, b'1,"command":"x"}', 11, 3, 7, b"12345678", 1)
seed("control", "long", says("x" * 4100), 3)

# snp_id: an ID block (the digest, family, image, version, SVN, policy), and an authentication: algorithms, keys.
block = bytes(range(80)) + le("IIQ", 1, 5, 0x30000)
for name, algorithms, keys in (("id-key", (1, 0), {0x240: le("I", 2) + b"Q" * 144}),
                               ("author-key", (1, 1), {0x240: le("I", 2), 0x880: le("I", 2) + b"Q" * 144}), ("no-key", (0, 0), {})):
    auth = bytearray(le("II", *algorithms) + bytes(0xd00))
    for at, key in keys.items():
        auth[at:at + len(key)] = key
    seed("snp_id", name, block, bytes(auth))
