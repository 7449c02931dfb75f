# SPDX-License-Identifier: MIT
"""The command line of tests/lab/lab."""
import argparse
import os
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

from . import BUILD, HANG, JOB_HANG, LAB_DIR, WAIT, L1Died, LabError, Progress, Unavailable, UsageError, shown, step
from .archdata import host_arch, load_arch
from .esp import write_esp_disk
from .job import Job, find_lkvm, parse_file_option, run_job, run_shell, write_guest_scripts
from .lock import machine_locks, take_lock, take_one
from .make import Maker
from .tap import TapStream

EPILOG = """examples:
  tests/lab/lab make                              make the lab (or what is missing of it)
  tests/lab/lab run -- lkvm version               run a command in L1
  tests/lab/lab run --file bench:/job/bench -- sh -c 'cd /job/bench && ./run > /out/result'
  tests/lab/lab test kernels disk                 run two of the test cases
"""


def cmd_make(arch, options):
    start = time.monotonic()
    Maker(arch).make(options.kernel, with_qemu=not options.no_qemu)
    Progress.say(f"lab: made in {time.monotonic() - start:.1f} s")
    return 0


def cmd_kernel(arch, options):
    source = arch.packages.source(options.kernel_name)
    if source is None:
        known = " ".join(source.name for source in arch.packages.sources) or "none"
        raise UsageError(f"kernel '{options.kernel_name}': the lab does not build it for {arch.name}: it builds: {known}")
    Maker(arch).make_source_kernel(source)
    Progress.say(f"lab: the kernel is in {shown(arch.kernel_folder(source.name))}")
    return 0


def cmd_libs(arch, options):
    folder = Maker(arch).make_libs()
    Progress.say(f"lab: the libraries for a cross build are in {shown(folder)}")
    return 0


def cmd_provers(arch, options):
    print(Maker(arch).make_provers())
    return 0


def take_locks(arch, options):
    """The folder of the logs, until this process ends; and the right to run an L1, as a file that QEMU inherits."""
    folder = arch.logs.parent
    folder.mkdir(parents=True, exist_ok=True)
    take_lock(folder / "logs.lock", options.wait)
    return take_one(machine_locks(arch.processors), options.wait)


def cmd_run(arch, options):
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not words:
        raise UsageError("run: no command: write it after '--'")
    files = [parse_file_option(text) for text in options.file]
    lkvm = None if options.no_lkvm else find_lkvm(arch, options.lkvm)
    lock = take_locks(arch, options)
    status, _ = run_job(arch, Job(shlex.join(words), files, lkvm, Path(options.out)), lock, options)
    return status


def cmd_shell(arch, options):
    files = [parse_file_option(text) for text in options.file]
    lkvm = None if options.no_lkvm else find_lkvm(arch, options.lkvm)
    return run_shell(arch, files, lkvm, take_one(machine_locks(arch.processors), options.wait))


def cmd_test(arch, options):
    """Speaks TAP: everything but results goes out as '# ' comments, and whatever goes wrong is a 'not ok'."""
    Progress.prefix = "# "
    start = time.monotonic()
    arch.out = options.out
    tap = TapStream(shown(arch.logs), " ".join(filter(None, ["lab", arch.name, options.machine])))
    try:
        names = case_names(options.cases, options.case)
        lkvm = find_lkvm(arch, options.lkvm)
        files = [parse_file_option(text) for text in options.file]
        maker = Maker(arch)
        maker.make()
        lock = take_locks(arch, options)
        shutil.rmtree(arch.logs, ignore_errors=True)
        job = Job("", files, lkvm, arch.logs.parent, tap.write, tap.started, options.cases, maker.missing)
        try:
            status, booted = run_cases(arch, job, names, tap, lock, options)
        finally:
            tap.tell_times(arch.logs / "times")
        Progress.say(f"L1 booted in {booted:.1f} s, all in {time.monotonic() - start:.1f} s")
    except Unavailable as error:
        return tap.skip(str(error))
    except LabError as error:
        if isinstance(error, UsageError):
            raise
        return tap.fail(str(error))
    return tap.finish(status)


def run_cases(arch, job, names, tap, lock, options):
    """Runs cases in one L1. When that dies under them, for an emulated processor now and then breaks a kernel, a second L1
    runs what is left, from the beginning of the case that was interrupted."""
    for died_before in (False, True):
        job.command = shlex.join(["env", f"LAB_TAP_COUNT={tap.count}", "/lab/run-cases", *names])
        try:
            return run_job(arch, job, lock, options)
        except L1Died as error:
            if died_before:
                raise
            kept = arch.l1_console.with_name("l1-console.1.log")
            arch.l1_console.replace(kept)
            names = names[names.index(tap.case):] if tap.case in names else names
            why = str(error).replace(shown(arch.l1_console), shown(kept))
            tap.note(f"again: booting L1 once more for {' '.join(names)}: {why}")


def case_names(folder, wanted):
    """The names of the cases that are wanted (all), in the order in which they run."""
    known = [path.stem.split("-", 1)[1] for path in sorted(folder.glob("*.sh"))]
    for name in wanted:
        if name not in known:
            raise UsageError(f"case '{name}': not in {shown(folder)}: choose from: {' '.join(known)}")
    return [name for name in known if name in wanted or not wanted]


def compose_initrd(arch, kernel_name, output):
    modules = arch.kernel_folder(arch.packages.kernel(kernel_name).name) / "modules.cpio"
    if not modules.exists():
        raise LabError(f"{shown(modules)}: not there: run 'tests/lab/lab make --kernel {kernel_name}'")
    scripts = Path(output + ".scripts")
    write_guest_scripts(arch, scripts)
    Path(output).write_bytes(modules.read_bytes() + scripts.read_bytes())
    scripts.unlink()


def cmd_initrd(arch, options):
    """Composes one L2 initramfs, for booting outside the lab."""
    compose_initrd(arch, options.kernel_name, options.output)
    return 0


def cmd_uefi_disk(arch, options):
    """Makes a disk with systemd-boot, one guest kernel, its initramfs and a command line."""
    loader = next(iter(sorted(arch.folder.glob("guest/usr/lib/systemd/boot/efi/systemd-boot*.efi"))), None)
    if loader is None:
        raise LabError(f"{shown(arch.folder)}: no systemd-boot there: run 'tests/lab/lab make --kernel {options.kernel_name}'")
    initrd = Path(options.output + ".initrd")
    compose_initrd(arch, options.kernel_name, str(initrd))
    words = f"console={arch.data['l2']['console']} {arch.data['l2']['cmdline']} {options.words}"
    write_esp_disk(Path(options.output), {
        f"EFI/BOOT/BOOT{loader.stem.removeprefix('systemd-boot').upper()}.EFI": loader.read_bytes(),
        "loader/entries/lab.conf": f"title lab\nlinux /vmlinuz\ninitrd /initrd\noptions {words}\n".encode(),
        "vmlinuz": (arch.kernel_folder(options.kernel_name) / "vmlinuz").read_bytes(),
        "initrd": initrd.read_bytes(),
    })
    initrd.unlink()
    return 0


def cmd_status(arch, options):
    print(f"architecture: {arch.name}, lkvm: {shown(arch.default_lkvm() or 'not built')}")
    for kernel in arch.packages.kernels:
        release = arch.kernel_folder(kernel.name) / "release"
        print(f"kernel {kernel.name}: {release.read_text().strip() if release.exists() else 'not made'}")
    ready = (arch.folder / "l1.cpio").exists() and (arch.folder / "root").exists()
    print(f"lab: {'ready' if ready else 'not made: run tests/lab/lab make'} ({shown(arch.folder)})")
    return 0 if ready else 1


def cmd_clean(arch, options):
    with step(f"removing {shown(BUILD)}"):
        shutil.rmtree(BUILD, ignore_errors=True)
    return 0


def seconds(text):
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text}: must be more than 0 seconds")
    return value


def parser():
    top = argparse.ArgumentParser(prog="lab", description="A QEMU machine (L1) with a real KVM, in which lkvm boots guests (L2).",
                                  epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def command(function, name, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--arch", default=host_arch(), help="architecture of L1 and L2 (this machine's)")
        sub.set_defaults(function=function)
        return sub

    def running(sub, timeout):
        sub.add_argument("--lkvm", metavar="PATH", help="the binary to put into L1 as /usr/bin/lkvm")
        sub.add_argument("--file", action="append", default=[], metavar="SRC[:DST]", help="a file or folder for L1 (DST: /job/NAME)")
        sub.add_argument("--l1-kernel", metavar="NAME", help="L1's own kernel, one of the guests' (the arch file's)")
        sub.add_argument("--machine", metavar="NAME", help="another L1 of the arch file's")
        sub.add_argument("--wait", type=seconds, default=WAIT, metavar="S",
                         help=f"limit of waiting for other labs ({WAIT})")
        if timeout:
            sub.add_argument("--timeout", type=seconds, default=timeout, metavar="S", help=f"limit of the job ({timeout})")
            sub.add_argument("--boot-timeout", type=seconds, default=HANG, metavar="S", help=f"limit of L1's boot ({HANG})")

    sub = command(cmd_make, "make", "make the lab in build/lab, or what is missing of it")
    sub.add_argument("--kernel", action="append", default=[], metavar="NAME", help="only this guest kernel (all)")
    sub.add_argument("--no-qemu", action="store_true", help="only what a VMM outside the lab boots")
    sub = command(cmd_kernel, "kernel", "build a kernel for L1 (--l1-kernel NAME) of Debian's source, if that is not done yet")
    sub.add_argument("kernel_name", metavar="NAME")
    command(cmd_libs, "libs", "unpack the libraries that a cross build for ARCH needs, in build/lab/ARCH/libs")
    command(cmd_provers, "provers", "unpack what `make prove` runs, and say where")
    sub = command(cmd_run, "run", "run a command in L1; its status is the status")
    running(sub, JOB_HANG)
    sub.add_argument("--no-lkvm", action="store_true", help="run without an lkvm")
    sub.add_argument("--out", default=str(BUILD / "out"), metavar="DIR", help="where L1's /out goes (build/lab/out)")
    sub.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD...")
    sub = command(cmd_shell, "shell", "an interactive shell in L1")
    running(sub, None)
    sub.add_argument("--no-lkvm", action="store_true", help="run without an lkvm")
    sub = command(cmd_test, "test", "run the test cases in one L1, speaking TAP")
    running(sub, JOB_HANG)
    sub.add_argument("--out", type=Path, metavar="DIR", help="where the folder logs goes (build/lab/ARCH)")
    sub.add_argument("--cases", type=Path, default=LAB_DIR / "cases", metavar="DIR", help="the folder of cases (tests/lab/cases)")
    sub.add_argument("case", nargs="*", help="names of cases (all)")
    sub = command(cmd_initrd, "initrd", "write the initramfs of one guest kernel to a file")
    sub.add_argument("kernel_name", metavar="KERNEL")
    sub.add_argument("output", metavar="FILE")
    sub = command(cmd_uefi_disk, "uefi-disk", "write a disk from which UEFI boots one guest kernel")
    sub.add_argument("--words", default="", help="more words for the kernel's command line")
    sub.add_argument("kernel_name", metavar="KERNEL")
    sub.add_argument("output", metavar="FILE")
    command(cmd_status, "status", "what is made")
    command(cmd_clean, "clean", "remove build/lab")
    return top


def on_signal(number, frame):
    raise SystemExit(128 + number)


def main(arguments):
    options = parser().parse_args(arguments)
    # SIGTERM becomes an exception, so that every 'finally' on the way ends what it started.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        arch = load_arch(options.arch, getattr(options, "machine", None))
        if getattr(options, "l1_kernel", None):
            source = arch.packages.source(options.l1_kernel)
            arch.data["l1"]["kernel"] = (source or arch.packages.kernel(options.l1_kernel)).name
        return options.function(arch, options)
    except UsageError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except (LabError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
