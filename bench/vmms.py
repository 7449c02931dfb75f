# SPDX-License-Identifier: MIT
"""The VMMs that are compared: how each is told to start the same machine."""
import shutil
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent


@dataclass
class Machine:
    """What is started. @kernel: tiny guests exist as .pvh and as .bzimage beside it."""
    kernel: Path
    memory: int = 64
    cpus: int = 1
    words: str = "bench"
    disks: tuple = ()
    direct: bool = False
    format: str = "raw"
    queues: int = 1
    tap: str = ""


class Lkvm:
    max_disks = 16

    def __init__(self, binary, name="lkvm", more=()):
        self.binary, self.name, self.more = binary, name, more

    def argv(self, machine):
        how = (",direct" if machine.direct else "") + (f",queues={machine.queues}" if machine.queues > 1 else "") + (
            f",format={machine.format}" if machine.format != "raw" else "")
        disks = [word for disk in machine.disks for word in ("-d", f"{disk}{how}")]
        pairs = f",queues={machine.queues}" if machine.queues > 1 else ""
        tap = ["-n", f"mode=tap,tapif={machine.tap}{pairs}"] if machine.tap else []
        return [str(self.binary), "run", "-k", str(machine.kernel), "-m", str(machine.memory), "-c", str(machine.cpus),
                "-p", machine.words, "--nodefaults", "--loglevel", "error", *disks, *tap, *self.more]


class Floor:
    """bench/floor.c: one vcpu, 64 MiB, no devices."""
    max_disks = 0
    name = "floor"

    def __init__(self, binary, irqchip):
        self.binary, self.irqchip = binary, irqchip

    def argv(self, machine):
        if machine.cpus > 1 or machine.disks or machine.tap or machine.memory != 64 or machine.kernel.suffix != ".pvh":
            return None
        return [str(self.binary), str(machine.kernel), self.irqchip]


class Kvmtool:
    """It takes bzImages alone, and makes a root file system of its own where it is given neither disk nor initrd."""
    max_disks = 4
    name = "kvmtool"

    def __init__(self, binary, initrd):
        self.binary, self.initrd = binary, initrd
        self.initrd.write_bytes(b"\0" * 512)

    def argv(self, machine):
        kernel = machine.kernel.with_suffix(".bzimage") if machine.kernel.suffix == ".pvh" else machine.kernel
        if not kernel.exists() or machine.tap or machine.format != "raw" or machine.queues > 1 or kernel.name.startswith("vmlinux"):
            return None
        disks = [word for disk in machine.disks for word in ("-d", f"{disk},direct" if machine.direct else str(disk))]
        return [str(self.binary), "run", "-k", str(kernel), "-m", str(machine.memory), "-c", str(machine.cpus),
                "-p", machine.words, "-n", "mode=none", "--console", "serial", "-i", str(self.initrd), *disks]


class Qemu:
    """The microvm machine with what makes it small and fast."""
    max_disks = 16
    name = "QEMU microvm"

    def __init__(self, start):
        self.start = start

    @classmethod
    def find(cls):
        """The system's, or the one that the lab has unpacked; None without either."""
        system = shutil.which("qemu-system-x86_64")
        root = TREE / "build/lab/x86-64/root"
        if system:
            return cls([system])
        if not (root / "usr/bin/qemu-system-x86_64").exists():
            return None
        return cls([str(root / "usr/lib64/ld-linux-x86-64.so.2"), "--inhibit-cache", "--library-path",
                    str(root / "usr/lib/x86_64-linux-gnu"), str(root / "usr/bin/qemu-system-x86_64"),
                    "-L", str(root / "usr/share/qemu"), "-L", str(root / "usr/share/seabios")])

    def argv(self, machine):
        if machine.kernel.suffix in (".gz", ".zst"):
            return None
        more = []
        for number, disk in enumerate(machine.disks):
            more += ["-drive", f"file={disk},format={machine.format},if=none,id=d{number},cache={'none' if machine.direct else 'writeback'}"
                               + (",aio=io_uring" if machine.direct else ""),
                     "-device", f"virtio-blk-device,drive=d{number},iothread=io,num-queues={machine.queues}"]
        if machine.tap:
            several = machine.queues > 1
            more += ["-netdev", f"tap,id=n,ifname={machine.tap},script=no,downscript=no"
                                + (f",queues={machine.queues}" if several else ""),
                     "-device", "virtio-net-device,netdev=n" + (",mq=on" if several else "")]
        if more:
            more = ["-global", "virtio-mmio.force-legacy=false", "-object", "iothread,id=io", *more]
        # With all devices on the first IOAPIC the guest finds them as lkvm's.
        few = ",ioapic2=off" if len(machine.disks) < 8 else ""
        return [*self.start, "-accel", "kvm", "-cpu", "host", "-M",
                "microvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on" + few,
                "-bios", "qboot.rom", "-name", "bench,debug-threads=on", "-m", str(machine.memory), "-smp", str(machine.cpus), "-nodefaults", "-no-user-config",
                "-display", "none", "-serial", "stdio", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
                "-kernel", str(machine.kernel), "-append", machine.words, *more]
