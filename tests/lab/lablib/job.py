# SPDX-License-Identifier: MIT
"""A job: what is added to L1's initramfs for one run, and what comes back from it."""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import termios
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from . import BUILD, HANG, LAB_DIR, L1Died, LabError, UsageError, shown
from .cpio import Cpio
from .lock import own_folder
from .qemu import Session, die_with_parent, job_ports, qemu_command, tail_of_console

RUN = BUILD / "run"
STATUS = "status"
TIMED_OUT = 124


def to_stdout(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@dataclass
class Job:
    """A shell command for L1 with the files, test cases and lkvm that it needs; /out of L1 comes back to `out`."""

    command: str
    files: list
    lkvm: Path | None
    out: Path
    sink: Callable = to_stdout
    started: Callable = lambda pid: None    # is told of the QEMU that will run it
    cases: Path = LAB_DIR / "cases"
    missing: dict = field(default_factory=dict)     # guest kernels that L1 has not: why


def shared_libraries(binary):
    """What a dynamic binary needs beside itself; a static one needs nothing."""
    done = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
    return sorted(set(re.findall(r"(/\S+) \(0x", done.stdout)))


def parse_file_option(text):
    """SRC[:DST]: DST is a path in L1, /job/NAME unless said."""
    source, _, target = text.partition(":")
    if not Path(source).exists():
        raise UsageError(f"--file {text}: {source} does not exist")
    return Path(source), target or f"/job/{Path(source).name}"


def find_lkvm(arch, named):
    if named and not Path(named).exists():
        raise UsageError(f"--lkvm {named}: no such file")
    binary = Path(named) if named else arch.default_lkvm()
    if binary is None:
        raise LabError(f"no lkvm to test: none of {', '.join(arch.data['lkvm'])} is there: "
                       "run 'make static', or name one with --lkvm")
    return binary


def write_guest_scripts(arch, path):
    """The second part of every L2 initramfs: its init and the scripts of tests/lab/l2."""
    with Cpio(path) as cpio:
        cpio.copy("init", LAB_DIR / "l2" / "init", 0o755)
        for script in sorted((LAB_DIR / "l2").iterdir()):
            if script.name != "init":
                cpio.copy(f"lab/l2/{script.name}", script, 0o755)


def build_programs(arch):
    """The C programs of tests/lab/programs, a folder each, static ones for the lab's architecture; without a compiler there
    are none."""
    built = []
    for source in sorted(folder for folder in (LAB_DIR / "programs").iterdir() if folder.is_dir()):
        target = arch.folder / "programs" / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.stat().st_mtime < max(file.stat().st_mtime for file in source.iterdir()):
            part = target.with_suffix(f".{os.getpid()}")
            command = [arch.data["cc"], "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-s", "-static", "-o", part,
                       *sorted(source.glob("*.c"))]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
            except FileNotFoundError:
                print(f"lab: {arch.data['cc']} is not installed: guests get no {source.name}", file=sys.stderr)
                continue
            if done.returncode:
                raise LabError(f"{shown(source)}: does not compile: {done.stderr.strip()}")
            part.replace(target)
        built.append(target)
    return built


def write_job(arch, job, folder):
    """Everything of this run that L1 needs, as the initramfs to boot: the cached part and the job's."""
    write_guest_scripts(arch, folder / "l2.cpio")
    l1, l2 = arch.data["l1"], arch.data["l2"]
    settings = {"LAB_ARCH": arch.name, "LAB_LOGS": shown(arch.logs),
                "LAB_LIMIT": str(HANG), "LAB_ALL": os.environ.get("TEST_ALL", ""),
                "LAB_L1_MODULES": " ".join(l1["modules"]), "LAB_CONSOLE": l2["console"],
                "LAB_PARAMS": l2["cmdline"], "LAB_KERNELS": " ".join(kernel.name for kernel in arch.packages.kernels)}
    settings |= {f"LAB_{name.upper()}": str(value) for name, value in arch.data["cases"].items()}
    with Cpio(folder / "job.cpio") as cpio:
        cpio.copy("init", LAB_DIR / "l1" / "init", 0o755)
        cpio.copy("lab/l2.cpio", folder / "l2.cpio")
        cpio.copy_tree("lab/cases", job.cases)
        for program in build_programs(arch):
            cpio.copy(f"lab/programs/{program.name}", program, 0o755)
        for script in ("caselib", "run-cases", "send"):
            cpio.copy(f"lab/{script}", LAB_DIR / "l1" / script, 0o755)
        cpio.data("lab/settings", "".join(f"{key}={shlex.quote(value)}\n" for key, value in settings.items()).encode())
        for name, why in job.missing.items():
            cpio.data(f"lab/missing/{name}", (why + "\n").encode())
        cpio.data("job/command", (job.command + "\n").encode())
        if job.lkvm:
            cpio.copy("usr/bin/lkvm", job.lkvm, 0o755)
            for library in shared_libraries(job.lkvm):
                cpio.copy(library, library, 0o755)
        for source, target in job.files:
            if source.is_dir():
                cpio.copy_tree(target, source)
            else:
                cpio.copy(target, source)
    with (folder / "initrd").open("wb") as whole:
        modules = arch.kernel_folder(l1["kernel"]) / "l1-modules.cpio"
        programs = [arch.folder / "l1-programs" / f"{package.name}.cpio" for package in arch.packages.l1]
        for part in (arch.folder / "l1.cpio", *filter(Path.exists, programs), modules, folder / "job.cpio"):
            if not part.exists():
                raise LabError(f"{shown(part)}: not there: run 'tests/lab/lab make --arch {arch.name}'")
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole, 1 << 20)
    return folder / "initrd"


def unpack_results(archive, out):
    """Writes the files that L1 sent below `out`; returns the job's status, or None when L1 did not get that far.

    L1 may have ended in the middle, so what is whole is taken. Names are checked: L1 runs untested programs."""
    status = None
    if not archive.exists() or not archive.stat().st_size:
        return status
    try:
        with tarfile.open(archive, "r:", ignore_zeros=True) as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if not member.isreg() or name.is_absolute() or ".." in name.parts:
                    continue
                content = tar.extractfile(member).read()
                if str(name) == STATUS:
                    status = int(content)
                    continue
                target = out / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    except tarfile.TarError as error:
        print(f"lab: {shown(archive)}: files came back in part: {error}", file=sys.stderr)
    return status


def run_job(arch, job, lock_fd, limits):
    """Boots L1, runs the job, brings back its files; returns (status, seconds that L1 took to boot)."""
    folder, folder_lock = own_folder(RUN)
    initrd = write_job(arch, job, folder)
    archive = folder / "files.tar"
    archive.unlink(missing_ok=True)
    console = arch.l1_console
    console.parent.mkdir(parents=True, exist_ok=True)
    console.unlink(missing_ok=True)
    session = Session(qemu_command(arch, initrd, job_ports(console, archive), []), arch.data["qemu"]["noise"],
                      console, job.sink, lock_fd, limits.boot_timeout, limits.timeout)
    job.started(session.process.pid)
    try:
        session.run()
        status = unpack_results(archive, job.out)
    except TimeoutError as error:
        unpack_results(archive, job.out)
        print(f"lab: {error}", file=sys.stderr)
        return TIMED_OUT, session.boot_seconds
    finally:
        initrd.unlink(missing_ok=True)
        os.close(folder_lock)
    if status is None:
        raise L1Died(f"L1: ended before the job did (QEMU: {session.ending}): its console: {shown(console)}"
                     f"{tail_of_console(console)}")
    return status, session.boot_seconds


def run_shell(arch, files, lkvm, lock_fd):
    """An interactive shell on L1's console; ends when the shell does."""
    folder, folder_lock = own_folder(RUN)
    initrd = write_job(arch, Job("", files, lkvm, folder), folder)
    extra = ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
    command = qemu_command(arch, initrd, extra, ["lab.shell"])
    settings = termios.tcgetattr(0) if os.isatty(0) else None
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, pass_fds=(lock_fd,), preexec_fn=die_with_parent)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if settings:
            termios.tcsetattr(0, termios.TCSADRAIN, settings)
        initrd.unlink(missing_ok=True)
        os.close(folder_lock)
