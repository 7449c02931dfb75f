# SPDX-License-Identifier: MIT
"""Writes a disk that UEFI boots from: a GUID partition table (UEFI, 5.3) with one EFI system partition, a FAT16 file system
(Microsoft's FAT specification, 1.03). Every file and folder has a long name and, as its short one, a number."""
import struct
import uuid
import zlib

from . import LabError

SECTOR = 512
FIRST = 2048                    # the partition's first sector: at 1 MiB
ENTRIES = 32                    # sectors of a partition table: 128 entries of 128 bytes
CLUSTER = 4 * SECTOR
CLUSTERS = 32000                # 62.5 MiB; FAT16 has 4085 to 65524
FAT_SECTORS = 126               # of 256 clusters each
ROOT_ENTRIES = 512
SYSTEM_PARTITION = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")


def boot_sector(sectors):
    head = struct.pack("<3s8sHBHBHHBHHHII", b"\xeb\x3c\x90", b"LAB     ", SECTOR, CLUSTER // SECTOR, 1, 2, ROOT_ENTRIES, 0,
                       0xf8, FAT_SECTORS, 32, 64, FIRST, sectors)
    head += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 0, b"NO NAME    ", b"FAT16   ")
    return head.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


class Fat16:
    """A file system being made of @files, a mapping of paths to what they hold."""

    def __init__(self, files):
        self.fat = [0xfff8, 0xffff]
        self.data = bytearray()
        self.short_names = 0
        tree = {}
        for path, content in files.items():
            *folders, name = path.split("/")
            folder = tree
            for part in folders:
                folder = folder.setdefault(part, {})
            folder[name] = content
        self.root = self.folder(tree)

    def take(self, size):
        """The first of as many clusters as @size bytes need, one after the other."""
        first, count = len(self.fat), -(-size // CLUSTER)
        if first + count > CLUSTERS:
            raise LabError(f"the files are too large for a disk of {CLUSTERS * CLUSTER >> 20} MiB")
        self.fat += [*range(first + 1, first + count), 0xffff] if count else []
        self.data += bytes(count * CLUSTER)
        return first if count else 0

    def put(self, cluster, content):
        start = (cluster - 2) * CLUSTER
        self.data[start:start + len(content)] = content

    def folder(self, tree, cluster=0):
        """The entries of a folder, after what is in it was stored; a folder beside the root is one cluster long."""
        entries = b""
        for name, content in tree.items():
            if isinstance(content, dict):
                first = self.take(CLUSTER)
                dots = self.entry(b".          ", 0x10, first, 0) + self.entry(b"..         ", 0x10, cluster, 0)
                self.put(first, dots + self.folder(content, first))
                entries += self.named_entry(name, 0x10, first, 0)
            else:
                first = self.take(len(content))
                self.put(first, content)
                entries += self.named_entry(name, 0x20, first, len(content))
        return entries

    @staticmethod
    def entry(short_name, attributes, cluster, size):
        return struct.pack("<11sB14xHI", short_name, attributes, cluster, size)

    def named_entry(self, name, *what):
        """The long name, 13 characters in each entry and the last of them first, then the entry itself."""
        self.short_names += 1
        short_name = b"%08d   " % self.short_names
        check = 0
        for byte in short_name:
            check = ((check << 7 | check >> 1) + byte) & 0xff
        units = name.encode("utf-16-le") + (b"\0\0" if len(name) % 13 else b"")
        units = units.ljust(-(-len(units) // 26) * 26, b"\xff")
        count = len(units) // 26
        entries = b""
        for number in range(count, 0, -1):
            part = units[(number - 1) * 26:number * 26]
            order = number | (0x40 if number == count else 0)
            entries += struct.pack("<B10sBBB12sH4s", order, part[:10], 0x0f, 0, check, part[10:22], 0, part[22:])
        return entries + self.entry(short_name, *what)

    def image(self):
        table = struct.pack(f"<{len(self.fat)}H", *self.fat).ljust(FAT_SECTORS * SECTOR, b"\0")
        sectors = 1 + 2 * FAT_SECTORS + ROOT_ENTRIES * 32 // SECTOR + CLUSTERS * CLUSTER // SECTOR
        root = self.root.ljust(ROOT_ENTRIES * 32, b"\0")
        return (boot_sector(sectors) + 2 * table + root + self.data).ljust(sectors * SECTOR, b"\0")


def partition_table(last, size):
    """The first sectors of a disk of @size sectors, and its last ones, which repeat the table."""
    entry = SYSTEM_PARTITION.bytes_le + uuid.uuid5(SYSTEM_PARTITION, "partition").bytes_le
    entry += struct.pack("<QQQ72s", FIRST, last, 0, "EFI".encode("utf-16-le"))
    entries = entry.ljust(ENTRIES * SECTOR, b"\0")

    def header(here, other, table):
        def fields(checksum):
            return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, here, other, 2 + ENTRIES,
                               size - ENTRIES - 2, uuid.uuid5(SYSTEM_PARTITION, "disk").bytes_le, table, 128, 128,
                               zlib.crc32(entries))
        return fields(zlib.crc32(fields(0))).ljust(SECTOR, b"\0")

    protective = bytes(446) + struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xee, b"\xff\xff\xff", 1, size - 1)
    protective = protective.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"
    return protective + header(1, size - 1, 2) + entries, entries + header(size - 1, 1, size - 1 - ENTRIES)


def write_esp_disk(path, files):
    """@files are paths in the file system, like EFI/BOOT/BOOTX64.EFI, and what they hold."""
    image = Fat16(files).image()
    last = FIRST + len(image) // SECTOR - 1
    first_part, last_part = partition_table(last, last + 1 + ENTRIES + 1)
    path.write_bytes(first_part.ljust(FIRST * SECTOR, b"\0") + image + last_part)
