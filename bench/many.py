# SPDX-License-Identifier: MIT
"""Many VMs at once: what it takes to start them all and have them end, and what they take of memory together."""
import os
import resource
import subprocess
import time
from contextlib import ExitStack

from figures import Table, Waiting, pairwise
from vmms import Machine


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_all(argv, count):
    """Seconds of wall and CPU time until all have ended."""
    start, cpu = time.monotonic(), children_cpu()
    running = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for _ in range(count)]
    for process in running:
        process.wait()
    return time.monotonic() - start, children_cpu() - cpu


def tables(bench):
    end, wait, count = Machine(bench.folder("end.pvh")), Machine(bench.folder("wait.pvh")), bench.vms

    def times(vmm):
        argv = vmm.argv(end)
        wall, cpu = run_all(argv, count)
        return {"CPU of all, ms": cpu * 1e3, "wall until the last has ended, ms": wall * 1e3}

    def memory(vmm):
        with ExitStack() as stack:
            guests = [stack.enter_context(Waiting(vmm.argv(wait))) for _ in range(count)]
            for guest in guests:
                guest.memory(wait.memory)
            # Shares are known only when all are there.
            all_memory = [guest.measure(wait.memory) for guest in guests]
        return {"PSS of all beside their RAM, KiB": sum(m.beside for m in all_memory),
                "RAM that all touch, KiB": sum(m.touched for m in all_memory)}

    for build, title in (("", "dynamically linked"), ("musl", "static, musl")):
        ours = bench.lkvm(build)
        peers = [peer for peer in (bench.before(build), bench.floor(build), *(() if build else bench.others)) if peer]
        if ours:
            table = Table(f"{count} VMs at once, {title}", ours.name, [peer.name for peer in peers])
            pairwise(table, max(1, bench.rounds // 5), ours, peers, times)
            yield pairwise(table, 1, ours, peers, memory)
