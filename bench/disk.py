# SPDX-License-Identifier: MIT
"""virtio-blk: the bench's guest drives a file in the page cache, past it, a disk with latency, and qcow2 images."""
import contextlib
import os
import shutil
import subprocess

from figures import Table
from guests import fill, guest, vmms

DISK_MB = 64
LATENCY_US = 1000
BIG = 128 * 1024
# Where the guest's clusters get their room: large, so that few writes meet.
EMPTY_SIZE = "4G"
# Pattern, its word, bytes of a request, depth, and how many are a run, by the disk: about a second each.
PATTERNS = (
    ("4 KiB random", "", 4096, 1, {"": 1000, "slow": 500}),
    ("4 KiB random", "", 4096, 32, {"": 4000, "slow": 2000}),
    ("128 KiB sequential", "sequential", BIG, 1, {"": 500, "slow": 300}),
    ("128 KiB sequential", "sequential", BIG, 32, {"": 1000}),
)


class Disk:
    """One that is measured. With @original each run has a copy of that."""

    def __init__(self, title, file, original=None, operations=("read", "write"), kind="", **machine):
        self.title, self.file, self.original, self.operations, self.kind, self.machine = (
            title, file, original, operations, kind, machine)

    @contextlib.contextmanager
    def fresh(self):
        if self.original:
            shutil.copyfile(self.original, self.file)
        yield


@contextlib.contextmanager
def cached_disk(folder):
    """A file whose every page is in the host's page cache."""
    disk = folder / "cached.img"
    disk.write_bytes(os.urandom(1 << 20) * DISK_MB)
    yield disk


@contextlib.contextmanager
def slow_disk(bench):
    """slowdisk's file, or None with the reason told."""
    mount = bench.tmp / "slow"
    mount.mkdir()
    server = subprocess.Popen([str(bench.folder("slowdisk")), str(mount), str(LATENCY_US), str(DISK_MB)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    word = server.stdout.readline().strip()
    try:
        if word != "ready":
            bench.note(f"no disk with latency: {word}")
        yield mount / "disk" if word == "ready" else None
    finally:
        server.stdin.close()
        server.wait()


def qcow2_disks(bench, raw):
    """An image that has all its clusters, and one that has none before each run."""
    if not shutil.which("qemu-img"):
        bench.note("no qcow2: no qemu-img (qemu-utils)")
        return
    full, none, empty = (bench.tmp / name for name in ("full.qcow2", "none.qcow2", "empty.qcow2"))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(full)], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(none), EMPTY_SIZE], check=True)
    yield Disk("qcow2, page cache", full, format="qcow2")
    yield Disk("qcow2, O_DIRECT", full, format="qcow2", direct=True)
    yield Disk("qcow2, clusters that are new", empty, none, ("write",), format="qcow2")


def disks(bench, raw, slow):
    yield Disk("page cache", raw)
    yield Disk("O_DIRECT", raw, direct=True)
    if slow:
        yield Disk(f"O_DIRECT, {LATENCY_US} us of latency", slow, kind="slow", direct=True)
    yield Disk("O_DIRECT, 4 queues", raw, direct=True, queues=4)
    yield from qcow2_disks(bench, raw)


def tables(bench):
    ours, peers = vmms(bench, "mmio")
    with cached_disk(bench.tmp) as raw, slow_disk(bench) as slow:
        for disk in disks(bench, raw, slow):
            table = Table(f"disk, {disk.title}", ours.name, [peer.name for peer in peers])
            queues = disk.machine.get("queues", 1)
            for pattern, word, size, depth, requests in PATTERNS[1::2] if bench.quick else PATTERNS:
                if depth < queues:
                    continue
                for operation in disk.operations:
                    count = depth if bench.quick else requests.get(disk.kind, requests[""])
                    words = (f"disk requests={count} bytes={size} depth={depth} queues={queues} {word} "
                             f"{'write' if operation == 'write' else ''}")
                    fill(bench, table, ours, peers, f"{pattern}, depth {depth}, {operation}",
                         count, guest(bench, words, disks=(disk.file,), **disk.machine),
                         *((size / 2**20, "MiB/s") if size == BIG else (1, "requests/s")), disk.fresh)
            yield table
