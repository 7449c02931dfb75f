# SPDX-License-Identifier: MIT
"""Starts the QEMU that is L1, watches it with time limits, and sees to it that it never outlives the lab."""
import ctypes
import os
import re
import selectors
import signal
import subprocess
import sys
import time

from . import L1Died, LabError, shown
from .make import tool_command

PR_SET_PDEATHSIG = 1
# What L1's init says first on the job port: the job's time limit begins here.
READY = b"LAB-L1-READY\n"
JOB_PORT = "lab.out"
FILES_PORT = "lab.files"
# With an oops L1 cannot be trusted with a guest: it ends at once, and QEMU with it (-no-reboot).
L1_WORDS = "panic=-1 oops=panic quiet"
KERNEL_BROKE = re.compile(r"\bBUG: |Internal error: |Unable to handle kernel|Oops: |Kernel panic")
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """Runs in the child before QEMU: even SIGKILL for the lab ends QEMU too."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def qemu_command(arch, initrd, extra, words):
    """@initrd's folder is the run's own."""
    qemu, l1 = arch.data["qemu"], arch.data["l1"]
    root = arch.folder / "root"
    kernel = arch.kernel_folder(l1["kernel"]) / l1["image"]
    if not kernel.exists():
        kernel = kernel.with_name("vmlinuz")
    if not kernel.exists():
        raise LabError(f"{shown(kernel)}: not there: run 'tests/lab/lab make --arch {arch.name}'")
    data = [word for folder in qemu["data"] for word in ("-L", str(root / folder))]
    return [
        *tool_command(root, qemu["binary"]), *data, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        *qemu["args"], *disks(arch, initrd.parent),
        "-kernel", str(kernel), "-initrd", str(initrd),
        "-append", " ".join([l1["cmdline"], L1_WORDS, *words]), *extra,
    ]


def disks(arch, folder):
    """The machine's disks, new ones for each run, as files in @folder; its devices name them."""
    words = []
    for name, size in arch.data["qemu"].get("disks", {}).items():
        with (folder / f"{name}.img").open("wb") as file:
            file.truncate(size << 20)
        words += ["-blockdev", f"driver=raw,node-name={name},file.driver=file,file.filename={file.name}"]
    return words


def job_ports(console, files):
    """L1's console goes to a file; the job speaks through one port and sends its files through another."""
    return [
        "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
        "-device", "virtio-serial-pci",
        # Not "stdio": at the end of its input it hangs up, and the guest's words are dropped.
        "-chardev", "file,id=out,path=/proc/self/fd/1", "-device", f"virtserialport,chardev=out,name={JOB_PORT}",
        "-chardev", f"file,id=files,path={files}", "-device", f"virtserialport,chardev=files,name={FILES_PORT}",
    ]


def tail_of_console(console, lines=5):
    try:
        text = console.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    # A kernel that broke says why first, and its registers last.
    why = next((i for i, line in enumerate(text) if KERNEL_BROKE.search(line)), len(text))
    return "".join(f"\n  | {line}" for line in text[why:why + lines] or text[-lines:])


def how_it_ended(status):
    return f"status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


class Session:
    """One run of L1 with a job. `run` returns when L1 has powered off, and raises LabError when a limit is passed."""

    def __init__(self, command, noise, console, sink, lock_fd, boot_limit, job_limit):
        self.noise = [text.encode() for text in noise]
        self.console = console
        self.sink = sink
        self.boot_limit, self.job_limit = boot_limit, job_limit
        self.ready = False
        self.boot_seconds = 0.0
        self.pending = b""
        self.errors = b""
        self.last_error = ""
        self.start = time.monotonic()
        self.ending = ""
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        pass_fds=(lock_fd,), start_new_session=True, preexec_fn=die_with_parent)

    def run(self):
        try:
            self._pump()
            self.ending = how_it_ended(self.process.wait(timeout=10))
        finally:
            self.kill()
        if not self.ready:
            raise L1Died(f"L1: QEMU ended ({self.ending}) before L1 was up: its console: {shown(self.console)}"
                         f"{self._last_error()}{tail_of_console(self.console)}")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _pump(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ, self._output)
            selector.register(self.process.stderr, selectors.EVENT_READ, self._error)
            while selector.get_map():
                for key, _ in selector.select(self._remaining()):
                    data = os.read(key.fd, 65536)
                    if data:
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)

    def _remaining(self):
        limit = self.job_limit if self.ready else self.boot_limit
        left = self.start + limit - time.monotonic()
        if left <= 0:
            what = "the job" if self.ready else "booting L1"
            raise TimeoutError(f"L1: {what} took longer than {limit} s: stopped it: L1's console: {shown(self.console)}"
                               f"{tail_of_console(self.console)}")
        return left

    def _output(self, data):
        if not self.ready:
            self.pending += data
            if READY not in self.pending:
                return
            self.ready = True
            self.boot_seconds = time.monotonic() - self.start
            self.start = time.monotonic()
            data = self.pending.split(READY, 1)[1]
        self.sink(data)

    def _error(self, data):
        self.errors += data
        *lines, self.errors = self.errors.split(b"\n")
        for line in lines:
            if not any(text in line for text in self.noise):
                self.last_error = line.decode(errors="replace")
                print(f"lab: QEMU says: {self.last_error}", file=sys.stderr, flush=True)

    def _last_error(self):
        return f": {self.last_error}" if self.last_error else ""
