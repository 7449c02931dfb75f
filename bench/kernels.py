# SPDX-License-Identifier: MIT
"""Real kernels up to the first guest instruction: a bzImage, a vmlinux, and each compression that lkvm unpacks."""
import shutil

from figures import Table, pairwise
from vmms import TREE, Machine

MEMORY_MB = 512
# Which program unpacks it, to compare with.
UNPACKERS = {".gz": "gzip", ".zst": "zstd"}


class Unpacker:
    """The compression's own program, writing to nowhere: what unpacking alone takes."""
    name = "its program"

    @staticmethod
    def argv(machine):
        program = shutil.which(UNPACKERS.get(machine.kernel.suffix, ""))
        return [program, "-dc", "--", str(machine.kernel)] if program else None


def find(folder):
    """The lab's newest kernel that is there as vmlinux and compressed, or what @folder has."""
    folders = [folder] if folder else sorted((TREE / "build/lab/x86-64/kernels").glob("*"), reverse=True)
    for candidate in folders:
        images = [candidate / name for name in ("vmlinuz", "vmlinux", "vmlinux.gz", "vmlinux.zst")]
        if folder or all(image.exists() for image in images):
            return [image for image in images if image.exists()]
    return []


def tables(bench):
    images = find(bench.kernels)
    if not images:
        bench.note("no kernels: make the lab (tests/lab/lab make), or name a folder with KERNELS=")
    for image in images:
        machine = Machine(image, memory=MEMORY_MB)

        def sample(vmm, machine=machine):
            argv = vmm.argv(machine)
            if not argv:
                return None
            if vmm.name == Unpacker.name:
                return {"CPU, ms": bench.runner.run(argv)["cpu_ns"] / 1e6}
            figures, memory = bench.runner.until_guest(argv, MEMORY_MB)
            return {"CPU, ms": figures["cpu_ns"] / 1e6, "wall, ms": figures["wall_ns"] / 1e6,
                    "PSS beside the guest's RAM, KiB": memory.beside, "RAM touched, KiB": memory.touched}

        ours = bench.lkvm("")
        peers = [peer for peer in (bench.before(""), *bench.others, Unpacker()) if peer and peer.argv(machine)]
        kind = "bzImage" if image.name == "vmlinuz" else image.name
        yield pairwise(Table(f"{kind}, {image.stat().st_size / 2**20:.1f} MiB", ours.name, [peer.name for peer in peers]),
                       max(1, bench.rounds // 4), ours, peers, sample)
