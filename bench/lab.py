#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures lkvm and QEMU in the lab, on a real KVM: how long a Debian kernel takes to its userspace, and the cost of exits.

Used by `make bench-lab`. What differs between architectures stands in bench/peers.toml. It asserts nothing."""
import argparse
import json
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

from peer import TREE, trim, unpacked
from lablib.archdata import host_arch, load_arch
from lablib.cpio import Cpio

# Seconds of a round, on a busy machine, and of what else the job does.
ROUND_LIMIT = 120
OTHER_LIMIT = 60


def lab(*arguments, **options):
    return subprocess.run([str(TREE / "tests/lab/lab"), *arguments], check=True, **options)


def prepare(arch, peer, rounds, folder):
    """What is carried into L1: QEMU, the scripts, and the settings that they read."""
    shutil.rmtree(folder, ignore_errors=True)
    trim(unpacked(arch, peer), peer, folder / "peer")
    l2 = arch.data["l2"]
    settings = {"kernel": peer["kernel"], "words": l2["cmdline"], "lkvm_console": l2["console"],
                "qemu_console": peer["console"], "args": " ".join(peer["args"]), "probe": peer["probe"], "rounds": rounds}
    (folder / "settings").write_text("".join(f"{key}={shlex.quote(str(value))}\n" for key, value in settings.items()))
    shutil.copy(TREE / "bench/l1.sh", folder)
    with Cpio(folder / "guest.cpio") as cpio:
        cpio.copy("lab/l2/bench", TREE / "bench/guest.sh", 0o755)


def run(arch, lkvm, rounds, folder):
    """The lines that l1.sh says, as they come; what else is said goes to the user."""
    command = [str(TREE / "tests/lab/lab"), "run", "--arch", arch.name, "--lkvm", str(lkvm), "--out", str(folder / "out"),
               "--timeout", str(OTHER_LIMIT + rounds * ROUND_LIMIT), "--file", f"{folder}:/job", "--", "sh", "/job/l1.sh"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        try:
            for line in process.stdout:
                words = line.split()
                if words[:1] not in (["up"], ["exits"]):
                    print(line.rstrip(), file=sys.stderr)
                else:
                    yield words
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise SystemExit(f"bench: the lab ended with status {process.returncode}")


def collect(lines):
    """{VMM: {what: [figure of each round]}}, in seconds and in microseconds."""
    samples = {"lkvm": {}, "qemu": {}}
    for kind, vmm, *numbers in lines:
        first, *rest = (float(number) for number in numbers)
        key, value = ("up_s", rest[0] - first) if kind == "up" else ("exit_us", (rest[1] - rest[0]) / first * 1e6)
        samples[vmm].setdefault(key, []).append(value)
        print(f"bench: {vmm}: {key} {value:.2f}", file=sys.stderr)
    return samples


def show(samples, peer, exits):
    medians = {vmm: {key: statistics.median(values) for key, values in row.items()} for vmm, row in samples.items()}
    print(f"{'':42}{'lkvm':>14}{peer['name']:>16}{'ratio':>10}")
    for key, title, unit in (("up_s", "exec to the guest's userspace", "s"), ("exit_us", "an exit that the VMM answers", "us")):
        cells = [medians[vmm].get(key) for vmm in ("lkvm", "qemu")]
        if None in cells:
            print(f"{title:<42}not measured under both")
            continue
        print(f"{title:<42}{cells[0]:>11.1f} {unit:<3}{cells[1]:>12.1f} {unit:<3}{cells[1] / cells[0]:>9.1f}x")
        spread = (f"{min(values):.1f} to {max(values):.1f}" for values in (samples[vmm][key] for vmm in ("lkvm", "qemu")))
        print(f"{'  from the fastest to the slowest':<42}" + "".join(f"{text:>15}" for text in spread))
    print("\nlkvm selftest --exits, there, in microseconds:")
    print(f"{'':14}{'min':>10}{'median':>10}")
    for kind in exits["kinds"]:
        figures = kind.get("ns")
        text = f"{figures['min'] / 1e3:>10.1f}{figures['median'] / 1e3:>10.1f}" if figures else f"  {kind['skipped']}"
        print(f"{kind['name']:<14}{text}")


def on_signal(number, frame):
    raise SystemExit(128 + number)


def main():
    # An exception, so that the lab ends with us.
    signal.signal(signal.SIGTERM, on_signal)
    with (TREE / "bench/peers.toml").open("rb") as file:
        peers = tomllib.load(file)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default=host_arch(), choices=sorted(peers))
    parser.add_argument("--lkvm", required=True, type=Path, help="a static lkvm for that architecture")
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--folder", required=True, type=Path, help="where to put what goes into L1 and comes back")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    arch, peer = load_arch(args.arch), peers[args.arch]
    if not args.lkvm.exists():
        sys.exit(f"bench: {args.lkvm} is not there; run 'make bench-lab'")
    lab("make", "--arch", arch.name, stdout=sys.stderr)
    prepare(arch, peer, args.rounds, args.folder)
    load = os.getloadavg()[0]
    samples = collect(run(arch, args.lkvm, args.rounds, args.folder))
    exits = json.loads((args.folder / "out/exits.json").read_text())
    if args.json:
        print(json.dumps({"load": load, "samples": samples, "exits": exits}, indent=2))
        return
    print(f"{arch.name}, {peer['kernel']}: one guest of 512 MiB and 1 vCPU, medians of {args.rounds} rounds, turn by turn; "
          f"load before {load:.1f}")
    show(samples, peer, exits)


if __name__ == "__main__":
    main()
