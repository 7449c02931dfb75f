#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures lkvm and QEMU's microvm machine: the same guest, alternately in one run, medians and ratios.

Used by `make bench`. It asserts nothing: figures depend on the machine, ratios less so."""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
MEMORY_MB = 128
LIMIT_S = 30
# The guest's last line; what comes after it is the VMM's own end.
LAST_LINE = b"acpi"


class Peer:
    """A VMM: how it is started with the guest. @loader is the dynamic loader of a QEMU that is not installed."""

    def __init__(self, name, command, loader=()):
        self.name, self.command, self.loader = name, command, list(loader)

    def argv(self, shim=None):
        preload = ["--preload", str(shim)] if shim and self.loader else []
        return [*self.loader, *preload, *self.command]

    def env(self, shim):
        return {} if self.loader else {"LD_PRELOAD": str(shim)}


def lkvm_peer(binary, guest, name="lkvm"):
    command = [str(binary), "run", "-k", str(guest), "-m", str(MEMORY_MB), "-c", "1", "-p", "bench", "--nodefaults",
               "--loglevel", "warning"]
    return Peer(name, command)


def qemu_arguments(guest, words="bench", options="", more=()):
    machine = "microvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on"
    return ["-accel", "kvm", "-cpu", "host", "-M", machine + options,
            "-bios", "qboot.rom", "-m", str(MEMORY_MB), "-smp", "1", "-nodefaults", "-no-user-config", "-display", "none",
            "-serial", "stdio", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
            "-kernel", str(guest), "-append", words, *more]


def qemu_peer(arguments):
    """The system's QEMU, or the one that the lab has unpacked."""
    system = shutil.which("qemu-system-x86_64")
    if system:
        return Peer("QEMU microvm", [system, *arguments])
    root = TREE / "build/lab/x86-64/root"
    if not (root / "usr/bin/qemu-system-x86_64").exists():
        return None
    loader = [str(root / "usr/lib64/ld-linux-x86-64.so.2"), "--inhibit-cache", "--library-path",
              str(root / "usr/lib/x86_64-linux-gnu")]
    rest = [str(root / "usr/bin/qemu-system-x86_64"), "-L", str(root / "usr/share/qemu"),
            "-L", str(root / "usr/share/seabios"), *arguments]
    return Peer("QEMU microvm", rest, loader)


def run_plain(peer):
    """Wall seconds to the guest's last line and to the end of the process, and its CPU seconds."""
    start = time.monotonic()
    process = subprocess.Popen(peer.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, last = b"", None
    while chunk := os.read(process.stdout.fileno(), 65536):
        out += chunk
        if last is None and LAST_LINE in out:
            last = time.monotonic() - start
    _, _, usage = os.wait4(process.pid, 0)
    end = time.monotonic() - start
    errors = process.stderr.read().decode(errors="replace")
    process.returncode = 0
    if last is None:
        raise SystemExit(f"bench: {peer.name}: the guest did not come to its end:\n{errors}{out.decode(errors='replace')}")
    return {"guest": last, "end": end, "cpu": usage.ru_utime + usage.ru_stime}


def run_preloaded(peer, shim, folder):
    """What firstrun.c notes at the first KVM_RUN."""
    out = folder / "first"
    out.unlink(missing_ok=True)
    env = dict(os.environ, FIRSTRUN_OUT=str(out), **peer.env(shim))
    subprocess.run([str(shim.with_name("launch")), *peer.argv(shim)], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=LIMIT_S, check=False)
    return json.loads(out.read_text())


def count_calls(peer, folder):
    """System calls of all threads before the first KVM_RUN; None without strace."""
    if not shutil.which("strace"):
        return None
    trace = folder / "trace"
    subprocess.run(["strace", "-f", "-o", str(trace), *peer.argv()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=LIMIT_S, check=False)
    calls = 0
    for line in trace.read_text(errors="replace").splitlines():
        if "KVM_RUN" in line:
            return calls
        calls += "resumed>" not in line and "(" in line
    return None


def measure(peer, shim, folder, into):
    plain = run_plain(peer)
    first = run_preloaded(peer, shim, folder)
    row = into.setdefault(peer.name, {})
    for key, value in (("first_ms", first["wall_ns"] / 1e6), ("guest_ms", plain["guest"] * 1e3),
                       ("end_ms", plain["end"] * 1e3), ("cpu_ms", plain["cpu"] * 1e3), ("rss_kib", first["rss_kb"])):
        row.setdefault(key, []).append(value)


def waiting_rss(binary, guest):
    """Resident KiB besides the guest's memory of a static lkvm, into which nothing can be preloaded, while its guest waits."""
    process = subprocess.Popen([str(binary), "run", "--kernel-format", "flat", "-k", str(guest), "-m", str(MEMORY_MB), "-c",
                                "1", "--nodefaults"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    os.read(process.stdout.fileno(), 1)
    total = size = 0
    for line in Path(f"/proc/{process.pid}/smaps").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "Size":
            size = int(value.split()[0])
        elif key == "Rss" and size < MEMORY_MB * 1024:
            total += int(value.split()[0])
    process.kill()
    process.wait()
    return total


def measure_static(peer, guest, samples_ms):
    binary = peer.command[0]
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, binary], check=True)
        size = os.path.getsize(stripped.name)
    return {"guest_ms": statistics.median(samples_ms), "rss_kib": waiting_rss(binary, guest.with_name("echo.flat")),
            "bytes": size}


ROWS = (
    ("first_ms", "exec to the first guest instruction", "ms"),
    ("guest_ms", "exec to the guest's last line", "ms"),
    ("end_ms", "exec to the end of the process", "ms"),
    ("cpu_ms", "CPU time, start to end", "ms"),
    ("rss_kib", "resident besides the guest's memory", "KiB"),
    ("calls", "system calls before the first KVM_RUN", ""),
)


def show(results, names):
    print(f"{'':42}" + "".join(f"{name:>16}" for name in names) + (f"{'ratio':>10}" if len(names) > 1 else ""))
    for key, title, unit in ROWS:
        values = [results[name].get(key) for name in names]
        if any(v is None for v in values):
            continue
        cells = "".join(f"{v:>12.{0 if key in ('calls', 'rss_kib') else 1}f} {unit:<3}" for v in values)
        ratio = f"{values[-1] / values[0]:>9.1f}x" if len(values) > 1 and values[0] else ""
        print(f"{title:<42}{cells}{ratio}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lkvm", default=TREE / "build/lkvm", type=Path)
    parser.add_argument("--static", action="append", default=[], metavar="NAME=FILE",
                        help="a static binary, whose memory and stripped size are told; may be repeated")
    parser.add_argument("--guest", default=TREE / "build/guests/hello.pvh", type=Path)
    parser.add_argument("--shim", default=TREE / "build/bench/firstrun.so", type=Path)
    parser.add_argument("--rounds", default=20, type=int)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    for path in (args.lkvm, args.guest, args.shim, args.shim.with_name("launch")):
        if not path.exists():
            sys.exit(f"bench: {path} is not there; run 'make bench'")
    peers = [p for p in (lkvm_peer(args.lkvm, args.guest), qemu_peer(qemu_arguments(args.guest))) if p]
    if len(peers) == 1:
        print("bench: no QEMU to compare with; install qemu-system-x86, or make the lab (tests/lab/lab make)", file=sys.stderr)
    statics = [lkvm_peer(file, args.guest, name) for name, _, file in (text.partition("=") for text in args.static)]
    samples, static_ms = {}, {}
    with tempfile.TemporaryDirectory() as tmp:
        for round_number in range(args.rounds):
            # The one that went first goes second next time.
            for peer in peers if round_number % 2 else reversed(peers):
                measure(peer, args.shim, Path(tmp), samples)
            for peer in statics:
                static_ms.setdefault(peer.name, []).append(run_plain(peer)["guest"] * 1e3)
        results = {name: {key: statistics.median(values) for key, values in row.items()} for name, row in samples.items()}
        for peer in peers:
            results[peer.name]["calls"] = count_calls(peer, Path(tmp))
    static = {peer.name: measure_static(peer, args.guest, static_ms[peer.name]) for peer in statics}
    if args.json:
        print(json.dumps({"rounds": args.rounds, "results": results, "static": static}, indent=2))
        return
    print(f"One guest of {MEMORY_MB} MiB and 1 vCPU, medians of {args.rounds} runs each, turn by turn; "
          f"load {os.getloadavg()[0]:.1f}")
    show(results, [p.name for p in peers])
    for name, figures in static.items():
        print(f"{f'static, {name}: exec to the last line':<42}{figures['guest_ms']:>12.1f} ms")
        print(f"{f'static, {name}: resident besides the guest':<42}{figures['rss_kib']:>12} KiB")
        print(f"{f'static, {name}: the file, stripped':<42}{figures['bytes'] / 1024:>12.0f} KiB")


if __name__ == "__main__":
    main()
