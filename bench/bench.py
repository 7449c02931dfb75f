#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures lkvm beside the floor, an older lkvm, kvmtool and QEMU's microvm machine: pairs in one run, medians and ratios.

Used by `make bench`. It asserts nothing: figures depend on the machine, ratios less so."""
import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

import disk
import kernels
import many
import net
import start
from figures import Runner
from vmms import Floor, Kvmtool, Lkvm, Machine, Qemu

SUBJECTS = {"start": start, "many": many, "kernels": kernels, "disk": disk, "net": net}
FLOORS = {"": "floor", "static": "floor.static", "musl": "floor.musl"}


class Bench:
    """What all subjects use: the programs, how many rounds, a folder for files."""

    def __init__(self, args, tmp):
        self.args, self.tmp, self.rounds, self.vms, self.kernels, self.quick = (
            args, tmp, args.rounds, args.vms, args.kernels, args.quick)
        self.runner = Runner(self.folder("measure"), tmp)
        qemu = None if args.no_qemu else Qemu.find()
        if not qemu and not args.no_qemu:
            self.note("no QEMU to compare with; install qemu-system-x86, or make the lab (tests/lab/lab make)")
        kvmtool = Kvmtool(args.kvmtool, tmp / "initrd") if args.kvmtool else None
        self.others = [peer for peer in (kvmtool, qemu) if peer]
        self.irqchip = self._default_irqchip()

    def _default_irqchip(self):
        """The floor has what lkvm has by default, as far as that can be seen."""
        calls = self.runner.trace(self.lkvm("").argv(Machine(self.folder("end.pvh"))))
        if any("KVM_CREATE_PIT2" in call for call in calls) or not calls:
            return "full"
        return "nopit" if any("KVM_CREATE_IRQCHIP" in call for call in calls) else "split"

    def folder(self, name):
        return self.args.build / "bench" / name

    @staticmethod
    def note(text):
        print(f"bench: {text}", file=sys.stderr)

    def lkvm(self, build):
        binary = self.args.build / build / "lkvm"
        return Lkvm(binary) if binary.exists() and not (build and self.quick) else None

    def before(self, build):
        """--before is a file, the dynamically linked one, or a folder like build/."""
        before = self.args.before
        binary = before / build / "lkvm" if before and before.is_dir() else None if build else before
        return Lkvm(binary, "before") if binary and binary.exists() else None

    def floor(self, build):
        binary = self.folder(FLOORS[build])
        return Floor(binary, self.irqchip) if binary.exists() else None

    def empty_disks(self, count):
        for number in range(count):
            path = self.tmp / f"empty{number}"
            if not path.exists():
                with path.open("wb") as file:
                    file.truncate(1 << 20)
            yield path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"{', '.join(SUBJECTS)} (default: all)")
    parser.add_argument("--build", required=True, type=Path, help="the folder with lkvm, static/, musl/ and bench/")
    parser.add_argument("--before", type=Path, help="an older lkvm, or a folder like --build's")
    parser.add_argument("--kvmtool", type=Path, help="kvmtool's program")
    parser.add_argument("--kernels", type=Path, help="a folder with vmlinuz, vmlinux, vmlinux.gz, vmlinux.zst")
    parser.add_argument("--no-qemu", action="store_true", help="not beside QEMU")
    parser.add_argument("--rounds", default=20, type=int, help="rounds of the shortest figures; the longer ones have fewer")
    parser.add_argument("--vms", default=100, type=int, help="how many VMs at once")
    parser.add_argument("--quick", action="store_true", help="as little as shows that it works, of the dynamically linked lkvm")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.vms = 1, 2
    unknown = set(args.subjects) - set(SUBJECTS)
    if unknown:
        parser.error(f"no subject {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")
    for path in filter(None, (args.build / "lkvm", args.build / "bench/measure", args.before, args.kvmtool, args.kernels)):
        if not path.exists():
            sys.exit(f"bench: {path} is not there; 'make bench' builds what it needs")
    with tempfile.TemporaryDirectory() as tmp:
        bench = Bench(args, Path(tmp))
        print(f"{platform.platform(terse=True)}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; medians; under a peer's "
              "figure lkvm's divided by it, median and quartiles of pairs", flush=True)
        for name in args.subjects or SUBJECTS:
            for table in SUBJECTS[name].tables(bench):
                print("\n" + table.text(), flush=True)
        print(f"\nload after it {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
