# SPDX-License-Identifier: MIT
"""What a dynamic program of an unpacked package needs to run elsewhere: its loader and libraries, of any architecture."""
import struct
from pathlib import Path

from . import LabError, shown

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB = 1, 5


def text_at(data, offset):
    return data[offset:data.index(b"\0", offset)].decode()


def needs(path):
    """(the loader's path or None, [names of libraries]) of a 64-bit little-endian ELF file."""
    data = path.read_bytes()
    if not data.startswith(b"\x7fELF\2\1"):
        raise LabError(f"{shown(path)}: not a 64-bit little-endian ELF file")
    table, size, count = struct.unpack_from("<Q", data, 0x20)[0], *struct.unpack_from("<HH", data, 0x36)
    headers = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    loader = next((text_at(data, offset) for kind, _, offset, *_ in headers if kind == PT_INTERP), None)
    entries = [pair for kind, _, offset, _, _, length in headers if kind == PT_DYNAMIC
               for pair in struct.iter_unpack("<qQ", data[offset:offset + length])]
    strings = next((value for tag, value in entries if tag == DT_STRTAB), 0)
    # The table's address, as an offset in the file.
    strings = next((offset + strings - address for kind, _, offset, address, _, length in headers
                    if kind == PT_LOAD and address <= strings < address + length), 0)
    return loader, [text_at(data, strings + value) for tag, value in entries if tag == DT_NEEDED]


def program_files(root, programs):
    """{path in the target: file} for programs of /usr/bin and so on of an unpacked root, and all that they load."""
    # The triplet's folder is where Debian's loaders look without a cache.
    folders = [folder for pattern in ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*") for folder in sorted(root.glob(pattern))]
    files, todo = {}, []
    for program in programs:
        found = [root / folder / program for folder in ("usr/bin", "usr/sbin", "usr/libexec", "usr/lib/qemu")]
        found = [path for path in found if path.exists()]
        if not found:
            raise LabError(f"{shown(root)}: no program {program} there: its package has changed")
        files[f"usr/bin/{program}"] = found[0]
        todo.append(found[0])
    while todo:
        loader, libraries = needs(todo.pop())
        if loader and loader not in files:
            files[loader] = next(path for path in (root / loader[1:], root / "usr" / loader[1:]) if path.exists())
        for library in libraries:
            path = next((folder / library for folder in folders if (folder / library).exists()), None)
            if path is None:
                if any(Path(name).name == library for name in files):
                    continue        # the loader itself
                raise LabError(f"{shown(root)}: no {library} there: a package that was depended on has changed")
            name = f"usr/lib/{path.parent.name}/{library}"
            if name not in files:
                files[name] = path
                todo.append(path)
    return files
