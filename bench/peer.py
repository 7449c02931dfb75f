# SPDX-License-Identifier: MIT
"""Finds or fetches QEMU for the machine that L1 is, and takes out of its packages only what runs there."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TREE / "tests/lab"))
from lablib import step                                             # noqa: E402
from lablib.make import Maker                                       # noqa: E402

NEEDED = re.compile(r"\(NEEDED\).*\[(.+)\]|\[Requesting program interpreter: (.+)\]")


def unpacked(arch, peer):
    """The folder with the packages: the lab's own QEMU where L1 is of this machine's architecture, else another one."""
    maker = Maker(arch)
    if maker.apt.host_arch == maker.apt.guest_arch:
        return maker.root
    tool = next(tool for tool in arch.packages.tools if tool.name == peer["package"])
    folder = arch.folder / "peer"
    if not (folder / "usr/bin" / peer["binary"]).exists():
        maker.lock.make()
        with step(f"{tool.name} of {tool.suites[0]} for {arch.name}"):
            part = folder.with_name("peer.part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            maker.apt.first_of(tool.name, tool.suites,
                               lambda suite: maker.apt.fetch_tool(f"{tool.name}:{maker.apt.guest_arch}", suite, part))
            part.rename(folder)
        maker.lock.use()
    return folder


def needed_by(file):
    """Names of the libraries that an ELF file of any machine wants, and of its loader."""
    text = subprocess.run(["readelf", "-dlW", str(file)], capture_output=True, text=True, check=True).stdout
    return {Path(library or loader).name for library, loader in NEEDED.findall(text)}


def machine_of(file):
    """Class, byte order and e_machine of an ELF file, or nothing. Packages of this machine may have come along."""
    with file.open("rb") as content:
        head = content.read(20)
    return head[4:6] + head[18:20] if head.startswith(b"\x7fELF") else None


def trim(root, peer, target):
    """Writes target/{bin/qemu,lib,data}: the program, the libraries that it wants, the files that it reads."""
    shutil.rmtree(target, ignore_errors=True)
    for name in ("bin", "lib", "data"):
        (target / name).mkdir(parents=True)
    binary = root / "usr/bin" / peer["binary"]
    libraries = {path.name: path for path in root.rglob("*.so*") if path.is_file() and machine_of(path) == machine_of(binary)}
    shutil.copy(binary, target / "bin/qemu")
    wanted, seen = [target / "bin/qemu"], set()
    while wanted:
        for name in needed_by(wanted.pop()) - seen:
            seen.add(name)
            if name in libraries:
                wanted.append(Path(shutil.copy(libraries[name], target / "lib" / name)))
    for name in peer["data"]:
        if (root / name).exists():
            shutil.copy(root / name, target / "data")
    return target
