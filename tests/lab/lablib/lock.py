# SPDX-License-Identifier: MIT
"""Locks: one QEMU at a time on a machine, since two would make each other's time limits meaningless, and one `lab make`
at a time in a clone.

The machine's lock file is open in QEMU too, so the lock lasts as long as the QEMU does, even when the lab itself was killed.
"""
import fcntl
import os
import time

from . import LabError, Progress


def machine_lock():
    """The file that only the lab with the running QEMU holds."""
    folder = "/run/lock" if os.access("/run/lock", os.W_OK) else "/tmp"
    return os.environ.get("LKVM_LAB_LOCK") or f"{folder}/lkvm-lab.lock"


def _open_lock_file(path):
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        # Another user's file in a sticky folder may be opened but not with O_CREAT.
        return os.open(path, flags)
    except FileNotFoundError:
        return os.open(path, flags | os.O_CREAT, 0o644)


def take_lock(path, limit):
    """Waits up to `limit` seconds for a lock; returns its file descriptor."""
    try:
        fd = _open_lock_file(path)
    except OSError as error:
        raise LabError(f"lock {error.filename}: {error.strerror}: name a file of your own in LKVM_LAB_LOCK") from error
    deadline = time.monotonic() + limit
    told = False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                raise LabError(f"lock {path}: another lab has held it for {limit} s: "
                               f"wait for it, or see who it is: fuser -v {path}") from None
            if not told:
                Progress.say(f"lab: another lab is running: waiting for it, up to {limit} s")
                told = True
            time.sleep(0.2)
