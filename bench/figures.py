# SPDX-License-Identifier: MIT
"""Runs programs and says what they took; tables of pairs."""
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

# Nothing is judged by it: it ends what hangs.
HANG_S = 600


class Runner:
    """Runs command lines by bench/measure.c."""

    def __init__(self, measure, folder):
        self.measure, self.folder = measure, folder

    def run(self, argv, *options):
        """wall_ns, cpu_ns, status: of the whole run, or with --at N up to that KVM_RUN."""
        run = subprocess.run([str(self.measure), *options, "--", *argv], stdin=subprocess.DEVNULL, capture_output=True,
                             timeout=HANG_S, check=False)
        if run.returncode:
            raise SystemExit(f"bench: {' '.join(argv)}:\n{run.stderr.decode(errors='replace')}")
        return json.loads(run.stdout)

    def until_guest(self, argv, memory):
        """The same up to the first guest instruction, and Memory then."""
        smaps = self.folder / "smaps"
        figures = self.run(argv, "--at", "1", "--smaps", str(smaps))
        return figures, Memory(smaps.read_text(), memory)

    def trace(self, argv):
        """The system calls of all threads, as strace writes them; none without strace."""
        if not shutil.which("strace"):
            return []
        trace = self.folder / "trace"
        subprocess.run(["strace", "-f", "-o", str(trace), *argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=HANG_S, check=False)
        return [line for line in trace.read_text(errors="replace").splitlines() if "resumed>" not in line and "(" in line]


class Memory:
    """KiB from /proc/PID/smaps: the guest's RAM that is there, and the share (PSS) of all other memory."""

    def __init__(self, smaps, memory):
        self.touched = self.beside = 0
        size = 0
        for key, value in re.findall(r"^(Size|Rss|Pss): +(\d+) kB", smaps, re.M):
            value = int(value)
            if key == "Size":
                size = value
            elif size >= memory * 1024 * 3 // 4:
                self.touched += value if key == "Rss" else 0
            else:
                self.beside += value if key == "Pss" else 0


class Waiting:
    """A VMM whose guest has said "@up" and halts; killed at the end."""

    def __init__(self, argv):
        self.argv = argv
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def memory(self, size):
        """Once the guest is up."""
        said = b""
        while b"@up" not in said:
            chunk = os.read(self.process.stdout.fileno(), 4096)
            if not chunk:
                raise SystemExit(f"bench: {' '.join(self.argv)}: the guest did not come up")
            said += chunk
        return self.measure(size)

    def measure(self, size):
        return Memory(Path(f"/proc/{self.process.pid}/smaps").read_text(), size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def stripped_size(binary):
    with tempfile.NamedTemporaryFile() as stripped:
        if subprocess.run(["strip", "-o", stripped.name, str(binary)], capture_output=True, check=False).returncode:
            return None
        return os.path.getsize(stripped.name)


class Table:
    """Rows of pairs: a figure of ours and a peer's, taken one after the other. Shows the medians and under each peer's
    the ratio, ours to its: the median of the pairs' ratios, and their quartiles."""
    LABEL, CELL = 46, 17

    def __init__(self, title, ours, peers):
        self.title, self.columns, self.rows = title, [ours, *peers], {}

    def add(self, label, peer, ours, theirs):
        """One pair; @theirs may be None where the peer cannot."""
        row = self.rows.setdefault(label, {name: [] for name in self.columns})
        row[self.columns[0]].append(ours)
        if theirs is not None:
            row[peer].append((ours, theirs))

    @staticmethod
    def _ratios(pairs):
        ratios = [ours / theirs for ours, theirs in pairs if theirs]
        if len(ratios) < 2:
            return "".join(f"{ratio:.2f}" for ratio in ratios)
        quarters = statistics.quantiles(ratios, n=4, method="inclusive")
        text = f"{statistics.median(ratios):.2f}"
        return text if quarters[0] == quarters[2] else f"{text} {quarters[0]:.2f}-{quarters[2]:.2f}"

    def text(self):
        def cells(label, texts):
            return (label.ljust(self.LABEL) + "".join(text.rjust(self.CELL) for text in texts)).rstrip()

        def number(value):
            return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"

        lines = [cells(self.title, self.columns)]
        for label, row in self.rows.items():
            ours = row[self.columns[0]]
            peers = [row[name] for name in self.columns[1:]]
            medians = [number(statistics.median(theirs for _, theirs in pairs)) if pairs else "" for pairs in peers]
            lines.append(cells(label, [number(statistics.median(ours)) if ours else "", *medians]))
            ratios = [self._ratios(pairs) for pairs in peers]
            if any(ratios):
                lines.append(cells("", ["", *ratios]))
        return "\n".join(lines)


def pairwise(table, rounds, ours, peers, sample):
    """Fills @table: in each round ours and each peer once, one right after the other; who goes first alternates.
    @sample(vmm) gives {label: figure}, None where the VMM cannot."""
    for number in range(rounds):
        for peer in peers:
            order = (ours, peer) if number % 2 else (peer, ours)
            got = {vmm.name: sample(vmm) for vmm in order}
            if got[ours.name] is None or got[peer.name] is None:
                continue
            for label, figure in got[ours.name].items():
                table.add(label, peer.name, figure, got[peer.name].get(label))
    if not peers:
        for _ in range(rounds):
            for label, figure in (sample(ours) or {}).items():
                table.add(label, None, figure, None)
    return table
