#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures lkvm and QEMU in the lab, on a real KVM: how long a Debian kernel takes to its userspace, as a bzImage or unpacked
by lkvm, and the cost of exits.

Used by `make bench-lab`. What differs between architectures stands in bench/peers.toml. It asserts nothing."""
import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

from figures import Table
from peer import TREE, trim, unpacked
from lablib.archdata import host_arch, load_arch
from lablib.cpio import Cpio

# Seconds of a run, on a busy machine, and of what else the job does.
RUN_LIMIT = 300
OTHER_LIMIT = 60


def lab(*arguments, **options):
    return subprocess.run([str(TREE / "tests/lab/lab"), *arguments], check=True, **options)


def columns_of(peer, before):
    """[(name, program, image)]: ours, what all others are compared with, comes first."""
    first = peer["images"][0]
    columns = [("lkvm", "lkvm", first), *([("before", "/job/before", first)] if before else []), ("qemu", "qemu", first)]
    return columns + [(image, "lkvm", image) for image in peer["images"][1:]]


def prepare(arch, peer, columns, args):
    """What is carried into L1: QEMU, the scripts, the lkvm of before, and the settings that they read."""
    folder = args.folder
    shutil.rmtree(folder, ignore_errors=True)
    trim(unpacked(arch, peer), peer, folder / "peer")
    l2 = arch.data["l2"]
    settings = {"kernel": peer["kernel"], "words": l2["cmdline"], "lkvm_console": l2["console"],
                "qemu_console": peer["console"], "args": " ".join(peer["args"]), "probe": peer["probe"], "rounds": args.rounds,
                "columns": " ".join(",".join(column) for column in columns)}
    (folder / "settings").write_text("".join(f"{key}={shlex.quote(str(value))}\n" for key, value in settings.items()))
    shutil.copy(TREE / "bench/l1.sh", folder)
    if args.before:
        shutil.copy(args.before, folder / "before")
    with Cpio(folder / "guest.cpio") as cpio:
        cpio.copy("lab/l2/bench", TREE / "bench/guest.sh", 0o755)


def run(arch, lkvm, runs, folder):
    """The lines that l1.sh says, as they come; what else is said goes to the user."""
    command = [str(TREE / "tests/lab/lab"), "run", "--arch", arch.name, "--lkvm", str(lkvm), "--out", str(folder / "out"),
               "--timeout", str(OTHER_LIMIT + runs * RUN_LIMIT), "--file", f"{folder}:/job", "--", "sh", "/job/l1.sh"]
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


def collect(lines, names):
    """{column: {what: [figure of each round]}}, in seconds and in microseconds."""
    samples = {name: {} for name in names}
    for kind, name, *numbers in lines:
        first, *rest = (float(number) for number in numbers)
        key, value = ("up_s", rest[0] - first) if kind == "up" else ("exit_us", (rest[1] - rest[0]) / first * 1e6)
        samples[name].setdefault(key, []).append(value)
        print(f"bench: {name}: {key} {value:.2f}", file=sys.stderr)
    return samples


def table_of(title, samples, peer):
    """Pairs are of the same round."""
    names = {name: peer["name"] if name == "qemu" else name for name in samples}
    table = Table(title, names["lkvm"], [names[name] for name in samples if name != "lkvm"])
    for key, label in (("up_s", "exec to the guest's userspace, s"), ("exit_us", "an exit that the VMM answers, us")):
        ours = samples["lkvm"].get(key, [])
        for name in samples:
            if name != "lkvm":
                for mine, theirs in zip(ours, samples[name].get(key, [])):
                    table.add(label, names[name], mine, theirs)
    return table


def show_exits(exits):
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
    parser.add_argument("--before", type=Path, help="an older one, static too")
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--folder", required=True, type=Path, help="where to put what goes into L1 and comes back")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    arch, peer = load_arch(args.arch), peers[args.arch]
    for path in filter(None, (args.lkvm, args.before)):
        if not path.is_file():
            sys.exit(f"bench: {path} is not there; 'make bench-lab' builds lkvm; BEFORE= is a static lkvm")
    lab("make", "--arch", arch.name, stdout=sys.stderr)
    columns = columns_of(peer, args.before)
    prepare(arch, peer, columns, args)
    load = os.getloadavg()[0]
    lines = run(arch, args.lkvm, args.rounds * len(columns), args.folder)
    samples = collect(lines, [name for name, _, _ in columns])
    exits = json.loads((args.folder / "out/exits.json").read_text())
    if args.json:
        print(json.dumps({"load": load, "samples": samples, "exits": exits}, indent=2))
        return
    print(f"{arch.name}, {peer['kernel']}: one guest of 512 MiB and 1 vCPU, medians of {args.rounds} rounds, turn by turn; under a "
          f"column's figure lkvm's divided by it, median and quartiles; load before {load:.1f}\n")
    print(table_of(f"{arch.name}, {peer['kernel']}", samples, peer).text())
    show_exits(exits)


if __name__ == "__main__":
    main()
