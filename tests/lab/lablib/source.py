# SPDX-License-Identifier: MIT
"""Builds a kernel of Debian's source for L1 where no kernel of Debian's has what a test needs: tinyconfig and a fragment."""
import os
import shutil
import subprocess
import tarfile
import time

from . import LabError, Progress, shown, step

# Objects between two lines of progress.
PROGRESS = 100
NEEDED = ("make", "gcc", "flex", "bison", "bc")
REMEDY = "run 'scripts/install-deps.sh lab-kernel'"


def check_programs():
    missing = [program for program in NEEDED if not shutil.which(program)]
    if missing:
        raise LabError(f"building a kernel needs {', '.join(missing)}: {REMEDY}")


def unpack_source(unpacked, tree):
    """The package holds one archive with one folder, whose content becomes @tree."""
    archive = next(iter(sorted(unpacked.glob("usr/src/linux-source-*.tar.*"))), None)
    if archive is None:
        raise LabError(f"{shown(unpacked)}: no archive in the package of the kernel's source: its layout has changed")
    with tarfile.open(archive) as tar:
        tar.extractall(tree.parent, filter="tar")
        top = tar.getnames()[0].split("/")[0]
    (tree.parent / top).rename(tree)


def run_make(tree, *words):
    """make in @tree, with a line of progress for every so many objects; its whole output is kept in lab-make.log."""
    log = tree / "lab-make.log"
    objects = 0
    with log.open("a") as file, subprocess.Popen(["make", *words], cwd=tree, stdin=subprocess.DEVNULL,
                                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                                 errors="replace") as process:
        for line in process.stdout:
            file.write(line)
            if line.startswith("  CC "):
                objects += 1
                if objects % PROGRESS == 0:
                    Progress.say(f"lab: kernel: {objects} objects")
    if process.returncode:
        errors = [line for line in log.read_text().splitlines() if "error" in line.lower()] or ["see the log"]
        raise LabError(f"make {words[-1]}: {errors[0].strip()}: its log: {shown(log)}: {REMEDY}")


def check_config(fragment, config):
    """An option that Kconfig dropped, for want of one that it depends on, is not found out by a test only."""
    have = set(config.read_text().splitlines())
    lost = [line for line in fragment.read_text().splitlines() if line.endswith("=y") and line not in have]
    if lost:
        raise LabError(f"{shown(fragment)}: this kernel does not take {' '.join(lost)}: add what they depend on")


def build_kernel(fragment, tree, target):
    """Leaves vmlinux, vmlinuz and release of the kernel in the folder @target."""
    check_programs()
    start = time.monotonic()
    run_make(tree, "tinyconfig")
    config = tree / ".config"
    # A later line wins; what depends on it is settled by olddefconfig.
    config.write_text(config.read_text() + fragment.read_text())
    run_make(tree, "olddefconfig")
    check_config(fragment, config)
    run_make(tree, f"-j{os.cpu_count() or 1}", "bzImage")
    target.mkdir(parents=True)
    shutil.copyfile(tree / "arch/x86/boot/bzImage", target / "vmlinuz")
    shutil.copyfile(tree / "vmlinux", target / "vmlinux")
    shutil.copyfile(tree / "include/config/kernel.release", target / "release")
    Progress.say(f"lab: {fragment.stem}: built in {time.monotonic() - start:.0f} s")


def make_tree(unpacked, tree):
    shutil.rmtree(tree, ignore_errors=True)
    tree.parent.mkdir(parents=True, exist_ok=True)
    with step("unpacking the kernel's source"):
        unpack_source(unpacked, tree)
