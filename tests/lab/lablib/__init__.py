# SPDX-License-Identifier: MIT
"""The lab's library: what a lab error is, how progress is told, and where things are in the tree."""
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

LAB_DIR = Path(__file__).resolve().parents[1]
TREE = LAB_DIR.parents[1]
BUILD = TREE / "build" / "lab"
# Seconds after which one thing (a boot, a guest) hangs: no verdict depends on how fast a machine is, so it is many times
# what was measured. A job has many guests, and who waits for other labs waits for their jobs.
HANG = int(os.environ.get("TEST_LIMIT") or 600)
JOB_HANG = 12 * HANG
WAIT = 2 * JOB_HANG


class LabError(Exception):
    """A failure that the user reads as one line: what failed, on which object, why, and the remedy."""


class Unavailable(LabError):
    """What no suite of the archive has at the moment: who needs it is skipped."""


class L1Died(LabError):
    """L1 ended before its job did: a new one may get further."""


class UsageError(LabError):
    """The command line or a data file asks for something that does not exist: exit status 2."""


def shown(path):
    """A path as a user in the tree would type it."""
    try:
        return str(Path(path).relative_to(TREE))
    except ValueError:
        return str(path)


class Progress:
    """Where progress goes: one line per event. `lab test` puts '# ' before each line, for TAP."""

    prefix = ""
    stream = sys.stdout

    @classmethod
    def say(cls, text):
        print(f"{cls.prefix}{text}", file=cls.stream, flush=True)


@contextmanager
def step(what):
    """Says what is being done, and how many seconds it took."""
    start = time.monotonic()
    yield
    Progress.say(f"lab: {what}: {time.monotonic() - start:.1f} s")
