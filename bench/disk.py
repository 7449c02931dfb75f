# SPDX-License-Identifier: MIT
"""virtio-blk: the bench's guest drives a file in the page cache, past it, and a disk with latency."""
import contextlib
import os
import subprocess

from figures import Table, pairwise
from guests import guest, per_second
from vmms import Lkvm

DISK_MB = 64
LATENCY_US = 1000
BIG = 128 * 1024
# Pattern, bytes of a request, depth; requests of a run by the disk: about a second each.
PATTERNS = (
    ("4 KiB random", "", 4096, 1, {"cache": 2000, "direct": 1000, "slow": 500}),
    ("4 KiB random", "", 4096, 32, {"cache": 4000, "direct": 4000, "slow": 2000}),
    ("128 KiB sequential", "sequential", BIG, 32, {"cache": 2000, "direct": 1000, "slow": 1000}),
)


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


def vmms(bench, transport):
    """lkvm, what was before, and QEMU on virtio-mmio, as the guest finds it; kvmtool does not take this guest."""
    more = ("--virtio-transport", transport)
    ours, before = bench.lkvm(""), bench.before("")
    peers = [Lkvm(before.binary, before.name, more)] if before else []
    return Lkvm(ours.binary, ours.name, more), peers + [peer for peer in bench.others if peer.name.startswith("QEMU")]


def calls(bench, argv, requests):
    """System calls and exits of each request, as strace counts them (which slows all, so that batches are larger)."""
    trace = bench.runner.trace(argv)
    if not trace:
        return None
    exits = sum("KVM_RUN" in line for line in trace)
    return (len(trace) - exits) / requests, exits / requests


def count_calls(bench, table, ours, peers, kind, disk):
    """One run of each is enough: what a start takes is spread over many requests."""
    for pattern, word, size, depth, requests in PATTERNS:
        for operation in ("read", "write"):
            count = depth if bench.quick else 2 * requests[kind]
            words = f"disk requests={count} bytes={size} depth={depth} {word} {'write' if operation == 'write' else ''}"
            machine = guest(bench, words, disks=(disk,), direct=kind != "cache")

            def sample(vmm, machine=machine, count=count, label=f"{pattern}, depth {depth}, {operation}"):
                argv = vmm.argv(machine)
                got = argv and calls(bench, argv, count)
                return {f"{label}, calls": got[0], f"{label}, exits": got[1]} if got else None

            pairwise(table, 1, ours, peers, sample)


def fill(bench, table, ours, peers, kind, disk):
    rounds = max(1, bench.rounds // 7)
    for pattern, word, size, depth, requests in PATTERNS:
        for operation in ("read", "write"):
            count = depth if bench.quick else requests[kind]
            words = f"disk requests={count} bytes={size} depth={depth} {word} {'write' if operation == 'write' else ''}"
            machine = guest(bench, words, disks=(disk,), direct=kind != "cache")
            unit = "MiB/s" if size == BIG else "requests/s"

            def sample(vmm, machine=machine, label=f"{pattern}, depth {depth}, {operation}, {unit}",
                       scale=size / 2**20 if size == BIG else 1):
                argv = vmm.argv(machine)
                return {label: per_second(argv) * scale} if argv else None

            pairwise(table, rounds, ours, peers, sample)


def tables(bench):
    ours, peers = vmms(bench, "mmio")
    names = [peer.name for peer in peers]
    with cached_disk(bench.tmp) as cached, slow_disk(bench) as slow:
        for title, kind, disk in (("page cache", "cache", cached), ("O_DIRECT", "direct", cached),
                                  (f"O_DIRECT, {LATENCY_US} us of latency", "slow", slow)):
            if disk:
                table = Table(f"disk, {title}", ours.name, names)
                fill(bench, table, ours, peers, kind, disk)
                yield table
        for title, kind in (("page cache", "cache"), ("O_DIRECT", "direct")):
            table = Table(f"disk, {title}: calls and exits a request", ours.name, names)
            count_calls(bench, table, ours, peers, kind, cached)
            yield table
