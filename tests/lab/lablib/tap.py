# SPDX-License-Identifier: MIT
"""What `lab test` adds to the TAP that comes out of L1: a result for what L1 cannot say itself, and a plan in any case."""
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

RESULT = re.compile(rb"^(not )?ok\b")
PLAN = re.compile(rb"^1\.\.\d+")
CASE = b"# case "
GUEST = b"# guest "
AGAIN = b"# again: "


def cpu_seconds(pid):
    """What a running process has used of the processors, in user and system mode; 0 of one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class CaseTime:
    """What one case took: seconds on the clock and of QEMU's processor time, and how many guests it booted."""

    name: str
    start: float
    cpu_start: float
    wall: float = 0.0
    cpu: float = 0.0
    guests: int = 0


class TapStream:
    """Passes L1's results on as they come, and counts them.

    What failed, with the diagnostics after it, what was done again and which case begins go to standard error too: prove
    shows that, and swallows the rest unless it is told not to."""

    def __init__(self, logs, name):
        self.logs = logs
        self.name = name
        self.start = time.monotonic()
        self.count = 0
        self.case = ""
        self.pid = 0            # of the QEMU that runs now
        self.times = []
        self.failed = False
        self.planned = False
        self.telling = False
        self.partial = b""

    def write(self, data):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        *lines, self.partial = (self.partial + data).split(b"\n")
        for line in lines:
            self._see(line)

    def _see(self, line):
        result = RESULT.match(line)
        if result:
            self.count += 1
            self.telling = result.group(1) is not None
            self.failed = self.failed or self.telling
        elif not line.startswith(b"#"):
            self.telling = False
        elif line.startswith(CASE):
            self.telling = False
            self.case = line[len(CASE):].decode(errors="replace").strip()
            self._end_case()
            self.times.append(CaseTime(self.case, time.monotonic(), cpu_seconds(self.pid)))
            if not sys.stdout.isatty():
                print(f"# {self.name}: {time.monotonic() - self.start:.0f} s: case {self.case}", file=sys.stderr, flush=True)
        elif line.startswith(GUEST) and self.times:
            self.times[-1].guests += 1
        if PLAN.match(line):
            self.planned = True
            self._end_case()
        # A terminal would show it twice.
        if (self.telling or line.startswith(AGAIN)) and not sys.stdout.isatty():
            sys.stderr.buffer.write(line + b"\n")
            sys.stderr.buffer.flush()

    def started(self, pid):
        """Another QEMU runs now; the case that the one before was in has ended."""
        self._end_case()
        self.pid = pid

    def _end_case(self):
        if not self.times or self.times[-1].wall:
            return
        last = self.times[-1]
        last.wall = time.monotonic() - last.start
        last.cpu = max(cpu_seconds(self.pid) - last.cpu_start, 0)
        if not sys.stdout.isatty():
            print(f"# {self.name}: {time.monotonic() - self.start:.0f} s: case {last.name} took {last.wall:.1f} s, "
                  f"{last.cpu:.1f} s of QEMU's, {last.guests} guests", file=sys.stderr, flush=True)

    def tell_times(self, file):
        """Which case took how long, the longest first: into @file and behind the results."""
        self._end_case()
        rows = sorted(self.times, key=lambda case: -case.wall)
        rows.append(CaseTime("all of them", 0, 0, *(sum(getattr(row, name) for row in rows) for name in ("wall", "cpu", "guests"))))
        text = f"{self.name}: seconds, of QEMU's processor time, guests, case\n" + "".join(
            f"{row.wall:7.1f} {row.cpu:7.1f} {row.guests:4} {row.name}\n" for row in rows)
        file.write_text(text)
        self.note(text)

    def _end_line(self):
        if self.partial:
            self.write(b"\n")

    def note(self, text):
        """Diagnostics, on lines of their own."""
        self._end_line()
        self.write("".join(f"# {line}\n" for line in text.splitlines()).encode())

    def fail(self, why):
        """A failure outside the cases, as one more result."""
        first, *rest = why.splitlines()
        self._end_line()
        self.write(f"not ok {self.count + 1} - lab: {first}\n".encode())
        self.note("\n".join(rest))
        if not self.planned:
            self.write(f"1..{self.count}\n".encode())
        return 1

    def skip(self, why):
        """Nothing can be tested, for a reason outside."""
        self.write(f"1..0 # SKIP lab: {' '.join(why.split())}\n".encode())
        return 0

    def finish(self, status):
        if self.planned and status in (0, 1):
            return 1 if self.failed else status
        return self.fail(f"the cases ended early, with status {status}: see {self.logs}")
