# SPDX-License-Identifier: MIT
"""What `lab test` adds to the TAP that comes out of L1: a result for what L1 cannot say itself, and a plan in any case."""
import re
import sys

RESULT = re.compile(rb"^(not )?ok\b", re.MULTILINE)
PLAN = re.compile(rb"^1\.\.\d+", re.MULTILINE)


class TapStream:
    """Passes L1's results on as they come, and counts them."""

    def __init__(self):
        self.count = 0
        self.failed = False
        self.planned = False
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
            self.failed = self.failed or result.group(1) is not None
        self.planned = self.planned or PLAN.match(line) is not None

    def fail(self, why):
        """A failure outside the cases, as one more result."""
        first, *rest = why.splitlines()
        newline = "\n" if self.partial else ""
        print(f"{newline}not ok {self.count + 1} - lab: {first}")
        for line in rest:
            print(f"# {line}")
        if not self.planned:
            print(f"1..{self.count + 1}")
        sys.stdout.flush()
        return 1

    def finish(self, status):
        if self.planned and status in (0, 1):
            return 1 if self.failed else status
        return self.fail(f"the cases ended early, with status {status}: see build/lab/logs")
