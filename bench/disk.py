#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Requests per second of virtio-blk: the built-in guest drives a disk under lkvm, an older lkvm and QEMU's microvm.

Used by `make bench-disk`. It asserts nothing: figures depend on the machine, ratios of one run less so."""
import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import TREE, Peer, qemu_arguments, qemu_peer

DISK_MB = 64
LATENCY_US = 1000
# Nothing is judged by it: it ends a guest that waits for an answer that never comes.
HANG_S = 300
RESULT = re.compile(rb"@disk (\d+) (\d+) (\d+)")
# Requests of a run, by disk and depth: about a second each, but where requests are served one by one.
REQUESTS = {("cache", 1): 2000, ("cache", 32): 4000, ("slow", 1): 500, ("slow", 32): 2000}


class Column:
    """A VMM with a way to attach the disk. @argv(words, disk, direct) starts it."""

    def __init__(self, name, argv):
        self.name, self.argv = name, argv


def lkvm_column(name, binary, guest, transport):
    def argv(words, disk, direct):
        return [str(binary), "run", "-k", str(guest), "-m", "64", "-c", "1", "-p", words, "--nodefaults", "--loglevel", "warning",
                "--virtio-transport", transport, "-d", f"{disk},direct" if direct else str(disk)]
    return Column(name, argv)


def qemu_column(guest):
    def peer(words, disk, direct):
        return qemu_peer(qemu_arguments(guest, words, ",ioapic2=off", [
            "-global", "virtio-mmio.force-legacy=false", "-object", "iothread,id=io",
            "-drive", f"file={disk},format=raw,if=none,id=disk,cache={'none' if direct else 'writeback'}",
            "-device", "virtio-blk-device,drive=disk,iothread=io"]))
    return Column("QEMU, mmio", lambda *what: peer(*what).argv()) if peer("", "", False) else None


def requests_per_second(column, words, disk, direct):
    argv = column.argv(words, disk, direct)
    run = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=HANG_S, check=False)
    found = RESULT.search(run.stdout)
    if not found:
        raise SystemExit(f"bench: {column.name}: {words}: no result; {' '.join(argv)}:\n"
                         f"{run.stderr.decode(errors='replace')}{run.stdout.decode(errors='replace')}")
    count, microseconds, _ = map(int, found.groups())
    return count * 1e6 / microseconds


@contextlib.contextmanager
def cached_disk(folder):
    """A file whose every page is in the host's page cache."""
    disk = folder / "cached.img"
    disk.write_bytes(os.urandom(1 << 20) * DISK_MB)
    yield disk


@contextlib.contextmanager
def slow_disk(program, folder):
    """slowdisk's file, or None with the reason printed."""
    mount = folder / "slow"
    mount.mkdir()
    server = subprocess.Popen([str(program), str(mount), str(LATENCY_US), str(DISK_MB)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    word = server.stdout.readline().strip()
    try:
        if word == "ready":
            yield mount / "disk"
        else:
            print(f"bench: no disk with latency: {word}", file=sys.stderr)
            yield None
    finally:
        server.stdin.close()
        server.wait()


def measure(columns, title, kind, disk, direct, rounds):
    """Rows of medians: title, operation, depth, then requests per second of each column."""
    for operation in ("read", "write"):
        for depth in (1, 32):
            samples = [[] for _ in columns]
            for number in range(rounds):
                words = f"disk requests={REQUESTS[kind, depth]} depth={depth} seed={number + 1}"
                words += " write" if operation == "write" else ""
                # Who went first goes last next time.
                order = list(zip(columns, samples))
                for column, into in order if number % 2 else reversed(order):
                    into.append(requests_per_second(column, words, disk, direct))
            yield title, operation, depth, [statistics.median(values) for values in samples]


def show_head(columns):
    print(f"{'4 KiB requests per second':<34}" + "".join(f"{c.name:>14}" for c in columns))


def show(row):
    title, operation, depth, rates = row
    print(f"{title}, {operation}, depth {depth}".ljust(34) + "".join(f"{rate:>14.0f}" for rate in rates))
    print(" " * 34 + "".join(f"{rate / rates[0]:>13.2f}x" for rate in rates), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lkvm", default=TREE / "build/lkvm", type=Path)
    parser.add_argument("--before", type=Path, help="an older lkvm, to which the others are compared")
    parser.add_argument("--guest", default=TREE / "build/bench/selftest.pvh", type=Path)
    parser.add_argument("--slowdisk", default=TREE / "build/bench/slowdisk", type=Path)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    for path in filter(None, (args.lkvm, args.before, args.guest, args.slowdisk)):
        if not path.exists():
            sys.exit(f"bench: {path} is not there; run 'make bench-disk'")
    columns = []
    for name, binary in (("before", args.before), ("lkvm", args.lkvm)):
        if binary:
            columns += [lkvm_column(f"{name}, {transport}", binary, args.guest, transport) for transport in ("mmio", "pci")]
    qemu = qemu_column(args.guest)
    if not qemu:
        print("bench: no QEMU to compare with; install qemu-system-x86, or make the lab (tests/lab/lab make)", file=sys.stderr)
    columns += [qemu] if qemu else []
    rows = []
    if not args.json:
        print(f"One vCPU, medians of {args.rounds} runs each, turn by turn; load {os.getloadavg()[0]:.1f}")
        show_head(columns)
    with tempfile.TemporaryDirectory() as tmp, cached_disk(Path(tmp)) as cached, slow_disk(args.slowdisk, Path(tmp)) as slow:
        for title, kind, disk, direct in (("page cache", "cache", cached, False), (f"{LATENCY_US} us of latency", "slow", slow, True)):
            for row in measure(columns, title, kind, disk, direct, args.rounds) if disk else ():
                rows.append(row)
                if not args.json:
                    show(row)
    if args.json:
        print(json.dumps({"columns": [c.name for c in columns], "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
