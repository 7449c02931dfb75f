# SPDX-License-Identifier: MIT
"""Writes initramfs archives: the "newc" cpio format of the kernel's Documentation/driver-api/early-userspace."""
import stat
from pathlib import Path


class Cpio:
    """A cpio archive being written. Parent directories are added as needed; every entry belongs to root."""

    def __init__(self, path):
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + ".part")
        self.file = self.part.open("wb")
        self.inode = 0
        self.dirs = set()

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc, traceback):
        if exc_type is None:
            self._entry("TRAILER!!!", 0, b"")
            # Archives are laid end to end; the kernel wants each to begin at a multiple of 4.
            self.file.write(b"\0" * (-self.file.tell() % 512))
            self.file.close()
            self.part.replace(self.path)
        else:
            self.file.close()
            self.part.unlink(missing_ok=True)

    def folder(self, name, mode=0o755):
        name = name.strip("/")
        if name and name not in self.dirs:
            self._parents(name)
            self.dirs.add(name)
            self._entry(name, stat.S_IFDIR | mode, b"")

    def data(self, name, content, mode=0o644):
        self._parents(name)
        self._entry(name.strip("/"), stat.S_IFREG | mode, content)

    def copy(self, name, source, mode=None):
        source = Path(source)
        self.data(name, source.read_bytes(), source.stat().st_mode & 0o755 if mode is None else mode)

    def copy_tree(self, name, source):
        """Every regular file below `source`, as `name`/..."""
        source = Path(source)
        for path in sorted(source.rglob("*")):
            if path.is_file():
                self.copy(f"{name}/{path.relative_to(source)}", path)

    def link(self, name, target):
        self._parents(name)
        self._entry(name.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def char_device(self, name, major, minor, mode=0o600):
        self._parents(name)
        self._entry(name.strip("/"), stat.S_IFCHR | mode, b"", major, minor)

    def _parents(self, name):
        for parent in list(Path(name.strip("/")).parents)[-2::-1]:
            self.folder(str(parent))

    def _entry(self, name, mode, content, major=0, minor=0):
        self.inode += 1
        links = 2 if stat.S_ISDIR(mode) else 1
        encoded = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, links, 0, len(content), 0, 0, major, minor, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % value for value in fields) + encoded
        self.file.write(header + b"\0" * (-len(header) % 4))
        self.file.write(content)
        self.file.write(b"\0" * (-len(content) % 4))
