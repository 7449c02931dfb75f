# SPDX-License-Identifier: MIT
"""What `lab test` adds to the TAP that comes out of L1: a result for what L1 cannot say itself, and a plan in any case."""
import re
import sys
import time

RESULT = re.compile(rb"^(not )?ok\b")
PLAN = re.compile(rb"^1\.\.\d+")
CASE = b"# case "
AGAIN = b"# again: "


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
            if not sys.stdout.isatty():
                print(f"# {self.name}: {time.monotonic() - self.start:.0f} s: case {self.case}", file=sys.stderr, flush=True)
        self.planned = self.planned or PLAN.match(line) is not None
        # A terminal would show it twice.
        if (self.telling or line.startswith(AGAIN)) and not sys.stdout.isatty():
            sys.stderr.buffer.write(line + b"\n")
            sys.stderr.buffer.flush()

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
