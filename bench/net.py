# SPDX-License-Identifier: MIT
"""virtio-net on a tap: frames that the bench's guest receives of a flood, and frames that it sends."""
import contextlib
import ctypes
import os
import shutil
import subprocess

from figures import Table
from guests import fill, guest, vmms

TAP = "bench0"
# Bytes of a frame, of how many pairs of queues, frames of the flood in each millisecond (more than a guest takes on a
# machine that interprets it), frames of a run.
KINDS = ((64, 1, 100, 10000), (1514, 1, 100, 10000), (1514, 2, 100, 10000), (65000, 1, 20, 4000))
CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else None


def enter_network():
    """A network of our own; the reason why not, or nothing."""
    if not shutil.which("ip"):
        return "no ip (iproute2)"
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET | (CLONE_NEWUSER if uid else 0)):
        return os.strerror(ctypes.get_errno())
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    return None


def make_tap(pairs):
    """Anew, since a VMM that was ended may hold it for a while; the reason why there is none, or nothing."""
    run("ip", "link", "del", TAP)
    several = ("multi_queue",) if pairs > 1 else ()
    return run("ip", "tuntap", "add", "dev", TAP, "mode", "tap", *several) or run("ip", "link", "set", TAP, "up")


@contextlib.contextmanager
def flood(bench, size, burst):
    program = subprocess.Popen([str(bench.folder("flood")), TAP, str(size), str(burst)], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        program.stdin.close()
        program.wait()


def tables(bench):
    why = enter_network() or make_tap(1)
    if why:
        bench.note(f"no network: {why}")
        return
    ours, peers = vmms(bench, "mmio")
    table = Table("network, a tap", ours.name, [peer.name for peer in peers])
    for size, pairs, burst, frames in KINDS:
        for what in ("receive", "send"):
            count = 256 if bench.quick else frames
            machine = guest(bench, f"net {what} frames={count} bytes={size} pairs={pairs}", tap=TAP, queues=pairs)

            @contextlib.contextmanager
            def around(what=what, size=size, burst=burst, pairs=pairs):
                make_tap(pairs)
                with flood(bench, size, burst) if what == "receive" else contextlib.nullcontext():
                    yield

            fill(bench, table, ours, peers, f"{what}, {size} bytes" + (f" of {pairs} pairs" if pairs > 1 else ""),
                 count, machine, 1, "frames/s", around)
    yield table
