# SPDX-License-Identifier: MIT
"""Locks: as many labs at a time on a machine as its processors and its memory carry, one at a time in each folder that a
lab writes to, and one `lab make` at a time in a clone while others use what is made.

The machine's lock files are open in QEMU too, so such a lock lasts as long as the QEMU does, even when the lab itself was
killed.
"""
import fcntl
import itertools
import os
import time
from pathlib import Path

from . import LabError, Progress

# What a lab with its QEMU takes: 2 GiB for L1, the buffer of translated code, and L1's initramfs twice.
LAB_KIB = 4 << 20
MOST_LABS = 4


def machine_locks(processors):
    """The files of which a lab with a running QEMU holds one. @processors: how many an L1 has."""
    folder = "/run/lock" if os.access("/run/lock", os.W_OK) else "/tmp"
    path = os.environ.get("LKVM_LAB_LOCK") or f"{folder}/lkvm-lab.lock"
    labs = min(len(os.sched_getaffinity(0)) // processors, total_kib() // LAB_KIB, MOST_LABS)
    return [path, *(f"{path}.{number}" for number in range(1, labs))]


def total_kib():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1])
    return 0


def _open_lock_file(path):
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            # Another user's file in a sticky folder may be opened but not with O_CREAT.
            return os.open(path, flags)
        except FileNotFoundError:
            return os.open(path, flags | os.O_CREAT, 0o644)
    except OSError as error:
        raise LabError(f"lock {error.filename}: {error.strerror}: name a file of your own in LKVM_LAB_LOCK") from error


def _try(fd, how=fcntl.LOCK_EX):
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def take_one(paths, limit):
    """Waits up to `limit` seconds for one of these locks; returns its file descriptor."""
    fds = [_open_lock_file(path) for path in paths]
    deadline = time.monotonic() + limit
    told = False
    while True:
        taken = next((fd for fd in fds if _try(fd)), None)
        if taken is not None or time.monotonic() >= deadline:
            break
        if not told:
            Progress.say(f"lab: {len(paths)} other {'lab is' if len(paths) == 1 else 'labs are'} running: waiting, "
                         f"up to {limit:.0f} s")
            told = True
        time.sleep(0.2)
    for fd in fds:
        if fd != taken:
            os.close(fd)
    if taken is None:
        raise LabError(f"lock {paths[0]}: other labs have held it for {limit:.0f} s: wait for them, or see who they are: "
                       f"fuser -v {' '.join(paths)}")
    return taken


def take_lock(path, limit):
    """Waits for one lock that others may hold meanwhile: a folder's."""
    return take_one([str(path)], limit)


class MakeLock:
    """Shared by those who use what is made, so that nothing is made anew under them; one alone makes."""

    def __init__(self, path, limit):
        self.path, self.limit = path, limit
        self.fd = _open_lock_file(path)
        self.alone = False
        self._take(fcntl.LOCK_SH)

    def _take(self, how):
        deadline = time.monotonic() + self.limit
        while not _try(self.fd, how):
            if time.monotonic() >= deadline:
                raise LabError(f"lock {self.path}: another lab has held it for {self.limit:.0f} s: fuser -v {self.path}")
            time.sleep(0.2)
        self.alone = how == fcntl.LOCK_EX

    def make(self):
        """To be alone. What others made meanwhile is to be looked at again. (A lock that cannot be raised is given up,
        so two who want to raise theirs do not wait for each other.)"""
        if not self.alone:
            self._take(fcntl.LOCK_EX)

    def use(self):
        if self.alone:
            self._take(fcntl.LOCK_SH)


def own_folder(parent):
    """A folder below @parent that nobody else uses until the descriptor is closed: (folder, descriptor)."""
    for number in itertools.count():
        folder = parent / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        fd = _open_lock_file(str(folder / "lock"))
        if _try(fd):
            return folder, fd
        os.close(fd)
