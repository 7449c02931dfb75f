# SPDX-License-Identifier: MIT
"""What a start takes: time, CPU, system calls, memory; what a further vcpu and a further disk add; the files' sizes."""
from figures import Table, Waiting, pairwise, stripped_size
from vmms import Machine

CPUS, DISKS = 64, 16
QUICK_CPUS = 3


def show(bench, title, ours, peers, more):
    """The table of one build beside @peers. @more: vcpus and disks too."""
    end, wait = Machine(bench.folder("end.pvh")), Machine(bench.folder("wait.pvh"))
    run, cpus = bench.runner.run, QUICK_CPUS if bench.quick else CPUS

    def times(vmm):
        argv = vmm.argv(end)
        if not argv:
            return None
        first, whole = run(argv, "--at", "1"), run(argv)
        return {"CPU to the first guest instruction, ms": first["cpu_ns"] / 1e6,
                "wall to the first guest instruction, ms": first["wall_ns"] / 1e6,
                "CPU, exec to exit, ms": whole["cpu_ns"] / 1e6,
                "wall, exec to exit, ms": whole["wall_ns"] / 1e6}

    def counts(vmm):
        argv, figures = vmm.argv(end), {}
        calls = bench.runner.trace(argv)
        if calls:
            figures = {"system calls to the first guest instruction": next(n for n, call in enumerate(calls) if "KVM_RUN" in call),
                       "system calls, exec to exit": len(calls)}
        with Waiting(vmm.argv(wait)) as guest:
            memory = guest.memory(wait.memory)
        return figures | {"PSS beside the guest's RAM, KiB": memory.beside, "RAM that a tiny guest touches, KiB": memory.touched,
                          "the file, stripped, KiB": (stripped_size(vmm.binary) / 1024 if hasattr(vmm, "binary") else None)}

    def vcpus(vmm):
        many = vmm.argv(Machine(end.kernel, cpus=cpus))
        if not many:
            return None
        cost = run(many)["cpu_ns"] - run(vmm.argv(end))["cpu_ns"]
        return {f"CPU for each of {cpus - 1} further vcpus, ms": cost / 1e6 / (cpus - 1)}

    def disks(vmm):
        if not vmm.max_disks:
            return None
        many = Machine(end.kernel, disks=tuple(bench.empty_disks(vmm.max_disks)))
        cost = run(vmm.argv(many))["cpu_ns"] - run(vmm.argv(end))["cpu_ns"]
        return {f"CPU for each of {DISKS} disks, ms": cost / 1e6 / vmm.max_disks}

    table = Table(title, ours.name, [peer.name for peer in peers])
    pairwise(table, bench.rounds, ours, peers, times)
    if more:
        pairwise(table, max(1, bench.rounds // 4), ours, peers, vcpus)
        pairwise(table, max(1, bench.rounds // 2), ours, peers, disks)
    pairwise(table, 1, ours, peers, counts)
    return table


def tables(bench):
    for build, title, more in (("", "dynamically linked", True), ("static", "static, glibc", False), ("musl", "static, musl", False)):
        ours, before, floor = bench.lkvm(build), bench.before(build), bench.floor(build)
        peers = [peer for peer in (before, floor, *(bench.others if more else ())) if peer]
        if ours:
            yield show(bench, title, ours, peers, more)
