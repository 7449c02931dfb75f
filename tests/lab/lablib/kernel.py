# SPDX-License-Identifier: MIT
"""Takes a Debian kernel package apart: its image, the ELF file inside a bzImage, the modules that a list names."""
import gzip
import lzma
import re
import struct
from pathlib import Path

from . import LabError, shown

XZ_MAGIC = b"\xfd7zXZ\0"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
GZIP_MAGIC = b"\x1f\x8b"
ELF_MAGIC = b"\x7fELF"
# Of include/linux/pe.h, at offset 0x38: the same for every architecture.
LINUX_PE_MAGIC = b"\xcd\x23\x82\x81"


def find_image(unpacked):
    """vmlinuz stands in /boot, or beside the modules in newer packages."""
    found = [path for pattern in ("boot/vmlinu[xz]-*", "usr/lib/modules/*/vmlinu[xz]", "lib/modules/*/vmlinu[xz]")
             for path in unpacked.glob(pattern)]
    if not found:
        raise LabError(f"{shown(unpacked)}: no vmlinuz in the kernel package: its layout has changed: see lablib/kernel.py")
    return found[0]


def bzimage_payload(image):
    """The compressed kernel in a bzImage: Documentation/arch/x86/boot.rst, payload_offset and payload_length."""
    if image[0x202:0x206] != b"HdrS":
        raise LabError("this kernel image is not a bzImage: it has no ELF file inside")
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    return image[start:start + length]


def decompress(data, zstd_command):
    """The content of a compressed kernel; a bzImage's payload has 4 bytes of size after the compressed stream."""
    if data.startswith(XZ_MAGIC):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data)
    if data.startswith(GZIP_MAGIC):
        return gzip.decompress(data[:-4])
    if data.startswith(ZSTD_MAGIC):
        return zstd_command(["-dcq"], data[:-4])
    raise LabError(f"kernel payload: compressed in a way that the lab does not know (begins {data[:4].hex()}): "
                   "choose another kernel in the arch file's 'elf' list")


def zboot(gzipped):
    """An EFI zboot image without the EFI program, which a VMM does not run: the header of Linux
    drivers/firmware/efi/libstub/zboot-header.S, up to its offset of the PE header, and the compressed kernel."""
    size = 0x40
    header = struct.pack("<4s4sII8x32s4sI", b"MZ\0\0", b"zimg", size, len(gzipped), b"gzip", LINUX_PE_MAGIC, size)
    return header + gzipped


def extract_elf(image_path, zstd_command):
    elf = decompress(bzimage_payload(Path(image_path).read_bytes()), zstd_command)
    if not elf.startswith(ELF_MAGIC):
        raise LabError(f"{shown(image_path)}: the payload is not an ELF file")
    return elf


class Modules:
    """The modules of an unpacked kernel package, found by name, with what each depends on."""

    def __init__(self, unpacked):
        # A package lays an extra /lib beside /usr/lib when it has not moved yet; either holds one release.
        roots = [path for pattern in ("lib/modules/*", "usr/lib/modules/*") for path in unpacked.glob(pattern)
                 if (path / "kernel").is_dir()]
        if not roots:
            raise LabError(f"{shown(unpacked)}: no modules in the kernel package: its layout has changed")
        self.root = roots[0]
        self.release = self.root.name
        self.files = {self._plain(path.name): path for path in self.root.rglob("*.ko*")}

    @staticmethod
    def _plain(name):
        return name.split(".ko")[0].replace("-", "_")

    def has(self, name):
        return self._plain(name) in self.files

    def read(self, name):
        path = self.files[self._plain(name)]
        data = path.read_bytes()
        return lzma.decompress(data) if path.suffix == ".xz" else data

    def builtin_list(self):
        path = self.root / "modules.builtin"
        return path.read_bytes() if path.exists() else b""

    def closure(self, names):
        """{name: (content, [direct and indirect dependencies, first to load first])} for the names that exist."""
        known = {}

        def visit(name):
            name = self._plain(name)
            if name in known or not self.has(name):
                return
            content = self.read(name)
            match = re.search(rb"\0depends=([^\0]*)\0", content)
            direct = [word for word in match.group(1).decode().split(",") if word] if match else []
            order = []
            for dependency in direct:
                visit(dependency)
                dependency = self._plain(dependency)
                for needed in [*known.get(dependency, (None, []))[1], dependency]:
                    if needed in known and needed not in order:
                        order.append(needed)
            known[name] = (content, order)

        for name in names:
            visit(name)
        return known


def add_modules(cpio, modules, names):
    """Puts modules into an initramfs the way busybox modprobe reads them: uncompressed, with a modules.dep."""
    base = f"lib/modules/{modules.release}"
    closure = modules.closure(names)
    lines = []
    for name, (content, order) in closure.items():
        cpio.data(f"{base}/{name}.ko", content)
        # modprobe loads the last one of the line first.
        lines.append(f"{name}.ko: {' '.join(f'{needed}.ko' for needed in reversed(order))}".rstrip())
    cpio.data(f"{base}/modules.dep", ("\n".join(lines) + "\n").encode())
    cpio.data(f"{base}/modules.builtin", modules.builtin_list())
    return [name for name in names if not modules.has(name)]
