# SPDX-License-Identifier: MIT
"""virtio-net on a tap: frames that the bench's guest receives of a flood, and frames that it sends."""
import contextlib
import ctypes
import os
import shutil
import subprocess

from disk import vmms
from figures import Table, pairwise
from guests import guest, per_second

TAP = "bench0"
# Frames each millisecond: more than a guest takes on a machine that interprets it.
FLOOD = 100
SIZES = (64, 1514)
CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000


def enter_network():
    """A network of our own with a tap; the reason why not, or nothing."""
    if not shutil.which("ip"):
        return "no ip (iproute2)"
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET | (CLONE_NEWUSER if uid else 0)):
        return os.strerror(ctypes.get_errno())
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    for words in (("tuntap", "add", "dev", TAP, "mode", "tap"), ("link", "set", TAP, "up")):
        run = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        if run.returncode:
            return run.stderr.strip()
    return None


@contextlib.contextmanager
def flood(bench, size):
    program = subprocess.Popen([str(bench.folder("flood")), TAP, str(size), str(FLOOD)], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        program.stdin.close()
        program.wait()


def tables(bench):
    why = enter_network()
    if why:
        bench.note(f"no network: {why}")
        return
    ours, peers = vmms(bench, "mmio")
    table = Table("network, a tap", ours.name, [peer.name for peer in peers])
    rounds = max(1, bench.rounds // 4)
    frames = 256 if bench.quick else 10000
    for size in SIZES:
        for what in ("receive", "send"):
            machine = guest(bench, f"net {what} frames={frames} bytes={size}", tap=TAP)

            def sample(vmm, machine=machine, what=what, size=size):
                with flood(bench, size) if what == "receive" else contextlib.nullcontext():
                    return {f"{what}, {size} bytes, frames/s": per_second(vmm.argv(machine))}

            pairwise(table, rounds, ours, peers, sample)
    yield table
