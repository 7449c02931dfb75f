# SPDX-License-Identifier: MIT
"""The bench's guest (bench/guest), which drives a disk or a network card and tells how long it took."""
import re
import subprocess

from figures import HANG_S

RESULT = re.compile(rb"@(?:disk|net) (\d+) (\d+) (\d+)")


def per_second(argv):
    """What the guest moved, each second by its own clock."""
    run = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=HANG_S, check=False)
    found = RESULT.search(run.stdout)
    if not found:
        raise SystemExit(f"bench: no result: {' '.join(argv)}:\n{(run.stderr + run.stdout).decode(errors='replace')}")
    count, microseconds, _ = map(int, found.groups())
    return count * 1e6 / microseconds
