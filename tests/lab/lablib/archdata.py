# SPDX-License-Identifier: MIT
"""What differs between architectures: tests/lab/arch/NAME.toml and tests/lab/packages/NAME.list, as objects."""
import platform
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from . import BUILD, LAB_DIR, TREE, LabError, UsageError, shown

MACHINE_TO_ARCH = {"x86_64": "x86-64", "aarch64": "arm64", "riscv64": "riscv64", "loongarch64": "loongarch64"}


@dataclass
class Kernel:
    """One kernel line of a package list. `packages` hold {v} where the version stands in the package's name."""

    name: str
    suites: list
    tried: str
    packages: list

    @property
    def series(self):
        return self.name.rsplit("-", 1)[0]


@dataclass
class Source:
    """A kernel that the lab builds itself, of a package with the source and tests/lab/kernels/NAME.fragment."""

    name: str
    suites: list
    tried: str
    package: str

    @property
    def fragment(self):
        return LAB_DIR / "kernels" / f"{self.name}.fragment"


@dataclass
class Package:
    """A tool (for the machine that runs QEMU), a static program (for the guests), or the one that has `programs` for L1."""

    name: str
    suites: list
    tried: str
    programs: list = field(default_factory=list)


@dataclass
class PackageList:
    kernels: list = field(default_factory=list)
    tools: list = field(default_factory=list)
    guest: list = field(default_factory=list)
    l1: list = field(default_factory=list)
    libs: list = field(default_factory=list)
    libs_suites: list = field(default_factory=lambda: [codename()])
    provers: list = field(default_factory=list)
    sources: list = field(default_factory=list)

    def suites(self):
        """Those that are tried first; a package's others are asked when it needs them."""
        everything = self.kernels + self.tools + self.guest + self.l1 + self.provers
        return sorted({entry.suites[0] for entry in everything} | ({self.libs_suites[0]} if self.libs else set()))

    def kernel(self, name):
        for kernel in self.kernels:
            if kernel.name == name:
                return kernel
        known = " ".join(kernel.name for kernel in self.kernels)
        raise UsageError(f"kernel '{name}': not in the package list: choose one of: {known}")

    def source(self, name):
        """The kernel of that name if it is one that the lab builds, or None."""
        return next((source for source in self.sources if source.name == name), None)


@dataclass
class Arch:
    name: str
    data: dict
    packages: PackageList
    out: Path | None = None     # where the logs of a test go, if not into the folder

    @property
    def folder(self):
        return BUILD / self.name

    @property
    def processors(self):
        """How many L1 has."""
        args = self.data["qemu"]["args"]
        return int(args[args.index("-smp") + 1])

    @property
    def l1_modules(self):
        """Those that L1 loads, and those that its initramfs only has."""
        return self.data["l1"]["modules"] + self.data["l1"].get("spare", [])

    @property
    def logs(self):
        return (self.out or self.folder) / "logs"

    @property
    def l1_console(self):
        return self.logs / "l1-console.log"

    def kernel_folder(self, kernel_name):
        return self.folder / "kernels" / kernel_name

    def default_lkvm(self):
        """The first binary of the arch's `lkvm` list that was built, or None."""
        for candidate in self.data["lkvm"]:
            if (TREE / candidate).exists():
                return TREE / candidate
        return None


def codename():
    """The suite that this system is of."""
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.split("=", 1)[1].strip('"')
    return "stable"


def host_arch():
    machine = platform.machine()
    return MACHINE_TO_ARCH.get(machine, machine)


def read_package_list(path):
    packages = PackageList()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        kind, rest = words[0], words[1:]
        if kind == "kernel" and len(rest) >= 4:
            packages.kernels.append(Kernel(rest[0], rest[1].split(","), rest[2], rest[3:]))
        elif kind == "source" and len(rest) == 4:
            packages.sources.append(Source(rest[0], rest[1].split(","), rest[2], rest[3]))
        elif kind in ("tool", "guest") and len(rest) == 3:
            (packages.tools if kind == "tool" else packages.guest).append(Package(rest[0], rest[1].split(","), rest[2]))
        elif kind == "l1" and len(rest) >= 4:
            packages.l1.append(Package(rest[0], rest[1].split(","), rest[2], rest[3:]))
        elif kind == "prover" and len(rest) == 3:
            packages.provers.append(Package(rest[0], rest[1].split(","), rest[2]))
        elif kind == "lib" and rest:
            packages.libs += rest
        elif kind == "libs-of" and len(rest) == 1:
            packages.libs_suites = rest[0].split(",")
        else:
            raise LabError(f"{shown(path)}:{number}: cannot read '{line}': write 'kernel NAME SUITE[,SUITE] TRIED PACKAGE...', "
                           "'source NAME SUITE[,SUITE] TRIED PACKAGE', 'tool|guest|prover PACKAGE SUITE[,SUITE] TRIED', 'l1 PACKAGE SUITE[,SUITE] TRIED PROGRAM...' "
                           "'lib PACKAGE...' or 'libs-of SUITE[,SUITE]'")
    return packages


def load_arch(name, machine=None):
    """@machine names one of the other L1s of the file, whose tables replace single values of the first's."""
    path = LAB_DIR / "arch" / f"{name}.toml"
    if not path.exists():
        known = " ".join(sorted(p.stem for p in path.parent.glob("*.toml")))
        raise UsageError(f"architecture '{name}': no {shown(path)}: the lab knows: {known}")
    with path.open("rb") as file:
        data = tomllib.load(file)
    machines = data.get("machine", {})
    if machine and machine not in machines:
        raise UsageError(f"machine '{machine}': not in {shown(path)}, which has: {' '.join(machines) or 'none'}")
    for table, values in machines.get(machine, {}).items():
        data[table] |= values
    return Arch(name, data, read_package_list(LAB_DIR / "packages" / f"{name}.list"))
