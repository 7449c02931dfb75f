# SPDX-License-Identifier: MIT
"""`lab make`: the steps that fill build/lab/ARCH. Each leaves a stamp with what it was made from, and runs again
only when that changes; an interrupted step leaves no stamp."""
import gzip
import hashlib
import json
import shutil
import subprocess

from . import LAB_DIR, WAIT, LabError, Progress, Unavailable, UsageError, shown, step
from .apt import Apt, notice_other_version, version_key
from .cpio import Cpio
from .elf import program_files
from .kernel import Modules, add_modules, extract_elf, find_image, zboot
from .lock import MakeLock
from .source import build_kernel, make_tree

# Raise it when a step's result changes its form: everything is made anew then.
RECIPE = 2


class Maker:
    def __init__(self, arch):
        self.arch = arch
        self.folder = arch.folder
        self.root = self.folder / "root"
        self.folder.mkdir(parents=True, exist_ok=True)
        # Held until this process ends, so `lab test` keeps what it runs from being made anew.
        self.missing = {}       # guest kernels that cannot be had: why
        self.lacking = set()    # programs that cannot be had
        self.lock = MakeLock(self.folder / "lock", WAIT)
        self.apt = Apt(self.folder / "apt", arch.data["debian_arch"], arch.packages.suites())

    def make(self, kernel_names=(), with_qemu=True):
        """Everything, or only the kernels that are named; without QEMU there is only what a VMM elsewhere boots."""
        for tool in self.arch.packages.tools if with_qemu else ():
            self.make_tool(tool)
        self.make_guest_programs()
        kernels = [self.arch.packages.kernel(name) for name in kernel_names] or self.arch.packages.kernels
        for kernel in kernels:
            try:
                self.make_kernel(kernel, with_elf=with_qemu)
            except Unavailable as error:
                if kernel_names or kernel.name == self.arch.data["l1"]["kernel"]:
                    raise
                Progress.say(f"lab: {error}")
                self.missing[kernel.name] = str(error)
        if with_qemu:
            for package in self.arch.packages.l1:
                self.make_l1_programs(package)
            self.make_l1()
        self.lock.use()

    def make_libs(self):
        """The libraries that lkvm is built with for this architecture, for a cross compiler: Debian's libfdt-dev of two
        architectures cannot be installed side by side. They are of this system's own suite, as its cross compiler's C
        library is, if the list names no other. Returns the folder."""
        libs, suites = self.arch.packages.libs, self.arch.packages.libs_suites
        if not libs:
            raise UsageError(f"libs: {self.arch.name} names none in {shown(LAB_DIR / 'packages')}/{self.arch.name}.list: "
                             "its libraries are the system's own: scripts/install-deps.sh build")
        target = self.folder / "libs"
        inputs = [libs, *suites]
        if not self._done("libs", inputs, target):
            self.apt.suites = suites[:1]
            part = self.folder / "libs.part"
            shutil.rmtree(part, ignore_errors=True)
            with step(f"libraries of {suites[0]} for {self.arch.name}"):
                self.apt.first_of("libraries", suites, lambda suite: self.apt.fetch(libs, suite, part))
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
            self._mark("libs", inputs)
        self.lock.use()
        return target

    def make_provers(self):
        """What `make prove` runs where the system has none. Returns the folder that it is unpacked into."""
        target = self.folder / "provers"
        for prover in self.arch.packages.provers:
            self.make_tool(prover, target)
        self.lock.use()
        return target

    # Stamps ---------------------------------------------------------------------------------------------------

    def _done(self, name, inputs, result=None):
        """Whether a step's stamp (and result) is there. When it is not, nobody else makes or uses the lab on return."""
        stamp = self.folder / "stamps" / name

        def there():
            return stamp.exists() and stamp.read_text() == self._digest(inputs) and (not result or result.exists())

        if there():
            return True
        self.lock.make()
        return there()

    def _mark(self, name, inputs):
        stamp = self.folder / "stamps" / name
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(self._digest(inputs))

    @staticmethod
    def _digest(inputs):
        return hashlib.sha256(json.dumps([RECIPE, inputs], sort_keys=True).encode()).hexdigest() + "\n"

    # Steps ----------------------------------------------------------------------------------------------------

    def make_tool(self, tool, root=None):
        root = root or self.root
        inputs = [vars(tool), str(root)]
        if self._done(f"tool-{tool.name}", inputs):
            return
        self.apt.prepare()
        with step(f"{tool.name} of {tool.suites[0]}"):
            versions = self.apt.first_of(tool.name, tool.suites,
                                         lambda suite: self.apt.fetch_tool(tool.name, suite, root))
        notice_other_version(tool.name, tool.tried, versions.get(tool.name))
        self._mark(f"tool-{tool.name}", inputs)

    def make_guest_programs(self):
        """busybox and what else the guests run; returns the folder that it was unpacked into."""
        unpacked = self.folder / "guest"
        for package in self.arch.packages.guest:
            if self._done(f"guest-{package.name}", vars(package)) or package.name in self.lacking:
                continue
            self.apt.prepare()
            try:
                with step(f"{package.name} of {package.suites[0]}"):
                    versions = self._fetch_guest(package, unpacked)
            except Unavailable as error:
                # What no guest runs is missed by those alone who ask for it (`lab uefi-disk`).
                if package.name.startswith("busybox"):
                    raise
                Progress.say(f"lab: {error}")
                self.lacking.add(package.name)
                continue
            name = package.name.partition(":")[0]
            notice_other_version(name, package.tried, versions.get(name))
            self._mark(f"guest-{package.name}", vars(package))
        return unpacked

    def make_l1_programs(self, package):
        """Programs that L1 runs beside lkvm, with their libraries; where they cannot be had, cases skip what needs them."""
        target = self.folder / "l1-programs" / f"{package.name}.cpio"
        if self._done(f"l1-{package.name}", vars(package), target):
            return
        self.apt.prepare()
        unpacked = self.folder / "unpacked" / package.name
        shutil.rmtree(unpacked, ignore_errors=True)
        try:
            with step(f"{package.name} for L1"):
                versions = self.apt.first_of(
                    package.name, package.suites,
                    lambda suite: self.apt.fetch_tool(package.name, suite, unpacked, self.apt.guest_arch))
        except Unavailable as error:
            Progress.say(f"lab: {error}")
            target.unlink(missing_ok=True)
            return
        notice_other_version(package.name, package.tried, versions.get(package.name))
        target.parent.mkdir(exist_ok=True)
        with Cpio(target) as cpio:
            for name, source in program_files(unpacked, package.programs).items():
                cpio.copy(name, source, 0o755)
        shutil.rmtree(unpacked)
        self._mark(f"l1-{package.name}", vars(package))

    def make_kernel(self, kernel, with_elf=True):
        inputs = [vars(kernel), self.arch.data["l2"]["modules"], self.arch.l1_modules]
        if self._wants_packed(kernel):
            inputs.append("packed")
        stamp = f"kernel-{kernel.name}"
        target = self.arch.kernel_folder(kernel.name)
        if not self._done(stamp, inputs):
            guest = self.make_guest_programs()
            unpacked = self.folder / "unpacked" / kernel.name
            with step(f"kernel {kernel.name}"):
                self.apt.first_of(f"kernel {kernel.name}", kernel.suites,
                                  lambda suite: self._fetch_kernel(kernel, suite, unpacked))
                shutil.rmtree(target, ignore_errors=True)
                self._take_kernel_files(kernel, unpacked, target, guest)
            shutil.rmtree(unpacked)
            self._mark(stamp, inputs)
        if with_elf and self._wants_elf(kernel) and not self._done(stamp, inputs, target / "vmlinux"):
            with step(f"kernel {kernel.name}: its ELF file"):
                self._take_elf(kernel, target)

    def make_source_kernel(self, source):
        """Builds a kernel for L1, which takes minutes, when its fragment or the package that the list names has changed."""
        inputs = [vars(source), source.fragment.read_text()]
        stamp, target = f"source-{source.name}", self.arch.kernel_folder(source.name)
        if not self._done(stamp, inputs, target / "vmlinux"):
            unpacked, tree = self.folder / "unpacked" / source.name, self.folder / "sources" / source.name
            shutil.rmtree(unpacked, ignore_errors=True)
            with step(f"source of kernel {source.name}"):
                versions = self.apt.first_of(f"kernel {source.name}", source.suites,
                                             lambda suite: self.apt.fetch([source.package], suite, unpacked))
            notice_other_version(source.package, source.tried, versions[source.package])
            make_tree(unpacked, tree)
            shutil.rmtree(target, ignore_errors=True)
            build_kernel(source.fragment, tree, target)
            # It has no modules.
            with Cpio(target / "l1-modules.cpio"):
                pass
            shutil.rmtree(unpacked)
            shutil.rmtree(tree)
            self._mark(stamp, inputs)
        self.lock.use()

    def _fetch_guest(self, package, into):
        return self.apt.first_of(package.name, package.suites, lambda suite: self.apt.fetch([package.name], suite, into))

    def _fetch_kernel(self, kernel, suite, into):
        version = self._choose_version(kernel, suite)
        shutil.rmtree(into, ignore_errors=True)
        self.apt.fetch([pattern.replace("{v}", version) for pattern in kernel.packages], suite, into)

    def _wants_packed(self, kernel):
        return kernel.name in self.arch.data["l2"].get("packed", [])

    def _wants_elf(self, kernel):
        l1 = self.arch.data["l1"]
        return kernel.name in self.arch.data["l2"]["elf"] or (kernel.name == l1["kernel"] and l1["image"] == "vmlinux")

    def _choose_version(self, kernel, suite):
        """The version that was tried, else the newest of its series, else the newest that the suite has."""
        per_package = [self.apt.names(pattern, suite, self.apt.guest_arch) for pattern in kernel.packages]
        available = set.intersection(*per_package)
        if kernel.tried in available:
            return kernel.tried
        same_series = [version for version in available if version.startswith(kernel.series + ".")]
        candidates = same_series or available
        if not candidates:
            raise LabError(f"no package {kernel.packages[0]}: name another in "
                           f"{shown(LAB_DIR / 'packages')}/{self.arch.name}.list")
        chosen = max(candidates, key=version_key)
        notice_other_version(f"kernel {kernel.name}", kernel.tried, chosen)
        return chosen

    def _take_kernel_files(self, kernel, unpacked, target, guest):
        target.mkdir(parents=True)
        image = target / "vmlinuz"
        shutil.copyfile(find_image(unpacked), image)
        if self._wants_packed(kernel):
            packed = gzip.compress(image.read_bytes(), 1)
            (target / "vmlinuz.gz").write_bytes(packed)
            (target / "vmlinuz.zboot").write_bytes(zboot(packed))
        modules = Modules(unpacked)
        (target / "release").write_text(modules.release + "\n")
        with Cpio(target / "modules.cpio") as cpio:
            add_busybox(cpio, guest)
            add_modules(cpio, modules, self.arch.data["l2"]["modules"])
        with Cpio(target / "l1-modules.cpio") as cpio:
            add_modules(cpio, modules, self.arch.l1_modules)

    def _take_elf(self, kernel, target):
        elf = extract_elf(target / "vmlinuz", self._zstd)
        if kernel.name in self.arch.data["l2"]["elf"]:
            (target / "vmlinux.gz").write_bytes(gzip.compress(elf, 1))
            (target / "vmlinux.zst").write_bytes(self._zstd(["-cq1"], elf))
        # Last: its presence says that all of them are complete.
        part = target / "vmlinux.part"
        part.write_bytes(elf)
        part.replace(target / "vmlinux")

    def _zstd(self, args, data):
        done = subprocess.run([*tool_command(self.root, "zstd"), *args], input=data, capture_output=True, check=False)
        if done.returncode:
            raise LabError(f"zstd: {done.stderr.decode().strip()}")
        return done.stdout

    def make_l1(self):
        """The part of L1's initramfs that does not change with the tree: busybox and the guest kernels that are made."""
        elf = self.arch.data["l2"]["elf"]
        stamps = {kernel.name: self.folder / "stamps" / f"kernel-{kernel.name}" for kernel in self.arch.packages.kernels}
        stamps = {name: stamp.read_text() for name, stamp in stamps.items() if stamp.exists()}
        inputs = [stamps, elf]
        if self._done("l1", inputs, self.folder / "l1.cpio"):
            return
        with step("L1's initramfs"), Cpio(self.folder / "l1.cpio") as cpio:
            add_busybox(cpio, self.folder / "guest")
            for name in stamps:
                for path in sorted(self.arch.kernel_folder(name).iterdir()):
                    if path.name != "l1-modules.cpio" and (name in elf or not path.name.startswith("vmlinux")):
                        cpio.copy(f"lab/kernels/{name}/{path.name}", path)
        Progress.say(f"lab: {shown(self.folder)} is ready")
        self._mark("l1", inputs)


def add_busybox(cpio, guest):
    """What every initramfs begins with: busybox as the shell, and a console to speak on before /dev is mounted."""
    for name in ("usr/bin/busybox", "bin/busybox"):
        if (guest / name).exists():
            cpio.copy("bin/busybox", guest / name, 0o755)
            break
    cpio.link("bin/sh", "busybox")
    cpio.char_device("dev/console", 5, 1)
    for name in ("proc", "sys", "run", "tmp", "root", "usr/bin", "sbin", "etc"):
        cpio.folder(name)


def tool_command(root, program):
    """A program of the unpacked tools, run with their own C library: the system need not be as new as they are,
    and nothing is installed or chrooted, so no root is needed."""
    loader = next(iter(sorted(root.glob("usr/lib*/ld-linux-*.so.*")) + sorted(root.glob("lib*/ld-linux-*.so.*"))), None)
    # Firmware for a machine emulated may stand in a folder named like those with libraries.
    libraries = next((path.parent for path in root.glob("usr/lib/*-linux-gnu*/libc.so.*")), None)
    if loader is None or libraries is None or not (root / "usr/bin" / program).exists():
        raise LabError(f"{shown(root)}: no {program} there: run 'tests/lab/lab make'")
    return [str(loader), "--inhibit-cache", "--library-path", str(libraries), str(root / "usr/bin" / program)]
