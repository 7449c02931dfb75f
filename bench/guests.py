# SPDX-License-Identifier: MIT
"""The bench's guest (bench/guest), which drives a disk or a network card and tells how long it took, and what the
VMM's own threads take meanwhile."""
import contextlib
import functools
import re
import subprocess
import threading
import time
from pathlib import Path

from figures import HANG_S, pairwise
from vmms import Lkvm, Machine

RESULT = re.compile(rb"@(?:disk|net) (\d+) (\d+) (\d+)")
# Threads that run vcpus, as lkvm, QEMU and kvmtool name them: the guest's work is theirs.
# The guest has said that it begins, or that it is through, and sleeps: its CPU does so too, a little later.
SETTLE_S = 0.01
VCPU = re.compile(r"vcpu|CPU \d|kvm-vcpu")


def guest(bench, words, **more):
    """A machine with it. All have the host's clock; lkvm alone tells its frequency."""
    return Machine(bench.folder("guest.pvh"), words=f"{words} khz={khz(bench)}", **more)


@functools.cache
def khz(bench):
    return int(said(bench.lkvm("").argv(Machine(bench.folder("guest.pvh"), words="clock")), rb"@clock (\d+)")[0])


def said(argv, pattern):
    """The numbers in what the guest said."""
    run = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=HANG_S, check=False)
    found = re.search(pattern, run.stdout)
    if not found:
        raise SystemExit(f"bench: no result: {' '.join(argv)}:\n{(run.stderr + run.stdout).decode(errors='replace')}")
    return found.groups()


def stays(machine):
    """The same guest, for `measure`."""
    return Machine(**{**vars(machine), "words": machine.words + " stay"})


class Threads:
    """CPU time and waits so far of a process's threads and its children's, without those that run vcpus."""

    def __init__(self, pid):
        time.sleep(SETTLE_S)
        self.cpu_us = self.waits = 0
        for process in self._family(pid):
            # The clock that clock_getcpuclockid(3) gives, to the nanosecond: threads that have ended count.
            self.cpu_us += time.clock_gettime((~process << 3) | 2) * 1e6
            for task in Path(f"/proc/{process}/task").iterdir():
                self._add(task)

    @classmethod
    def _family(cls, pid):
        yield pid
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from cls._family(int(child))

    def _add(self, task):
        try:
            name, run, status = ((task / file).read_text() for file in ("comm", "schedstat", "status"))
        except FileNotFoundError:  # a thread of the kernel's, for io_uring, which has ended
            return
        if VCPU.match(name):
            self.cpu_us -= int(run.split()[0]) / 1e3
        else:
            self.waits += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M)[1])


def measure(argv):
    """Of a guest that stays: how many it moved each second by its own clock, and of each the CPU time in microseconds and
    the waits of all threads but the vcpus'."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        hang = threading.Timer(HANG_S, process.kill)
        hang.start()
        said_all, before = b"", None
        for line in process.stdout:
            said_all += line
            if b"@go" in line:
                before = Threads(process.pid)
            found = RESULT.search(line)
            if found and before:
                after = Threads(process.pid)
                break
        process.kill()
        hang.cancel()
        if not before or not found:
            raise SystemExit(f"bench: no result: {' '.join(argv)}:\n"
                             f"{(process.stderr.read() + said_all).decode(errors='replace')}")
    count, microseconds, _ = map(int, found.groups())
    return count * 1e6 / microseconds, (after.cpu_us - before.cpu_us) / count, (after.waits - before.waits) / count


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


def fill(bench, table, ours, peers, label, number, machine, scale, unit, around=contextlib.nullcontext):
    """All rows of one pattern, of @number requests: by time in several rounds, and by count, for which one run of each is
    enough. Each run is within @around()."""
    def sample(vmm):
        argv = vmm.argv(stays(machine))
        if not argv:
            return None
        with around():
            rate, cpu, waits = measure(argv)
        return {f"{label}, {unit}": rate * scale, f"{label}, CPU us": cpu, f"{label}, waits": waits}

    def count(vmm):
        argv = vmm.argv(machine)
        with around():
            got = argv and calls(bench, argv, number)
        return {f"{label}, calls": got[0], f"{label}, exits": got[1]} if got else None

    pairwise(table, max(1, bench.rounds // 7), ours, peers, sample)
    pairwise(table, 1, ours, peers, count)
