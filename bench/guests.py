# SPDX-License-Identifier: MIT
"""The bench's guest (bench/guest), which drives a disk or a network card and tells how long it took."""
import functools
import re
import subprocess

from figures import HANG_S
from vmms import Machine


def guest(bench, words, **more):
    """A machine with it. All have the host's clock; lkvm alone tells its frequency."""
    return Machine(bench.folder("guest.pvh"), words=f"{words} khz={khz(bench)}", **more)


@functools.cache
def khz(bench):
    return int(said(bench.lkvm("").argv(Machine(bench.folder("guest.pvh"), words="clock")), rb"@clock (\d+)")[0])


def said(argv, pattern):
    """The numbers in what the guest said."""
    run = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=HANG_S, check=False)
    found = re.search(pattern, run.stdout)
    if not found:
        raise SystemExit(f"bench: no result: {' '.join(argv)}:\n{(run.stderr + run.stdout).decode(errors='replace')}")
    return found.groups()


def per_second(argv):
    """What the guest moved, each second by its own clock."""
    count, microseconds, _ = map(int, said(argv, rb"@(?:disk|net) (\d+) (\d+) (\d+)"))
    return count * 1e6 / microseconds
