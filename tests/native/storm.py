#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""storm.py LKVM GUEST SEED KILLS HOW COMMAND: a disk that lkvm writes to until it is killed (guests/storm.c), time and again.

COMMAND makes the image "img". HOW: "kill" at any moment; "crash" or "power", before any change of the file
(preload/crash.c). After each kill qemu-img finds no error but leaks, and what was flushed is there.
"""
import os, random, re, signal, subprocess, sys

lkvm, guest, seed, kills, how, command = sys.argv[1:7]
seed, kills = int(seed), int(kills)
M = (1 << 64) - 1
UNIT = 8 * 512
random.seed(seed)


def place(i, units):
    x = ((i + 1) * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03) & M
    x ^= x >> 29
    x = x * 0xBF58476D1CE4E5B9 & M
    return (x ^ x >> 32) % units


def sh(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def fail(*text):
    print("#", *text)
    sys.exit(1)


def operations(first, end, units, history):
    """What each unit may hold: (operation, what its sectors begin with)."""
    for i in range(first, end):
        at = place(i, units)
        for k in range(16 if i % 8 == 7 else 1):
            history.setdefault(at + k, []).append((i, (0 if i % 8 == 7 else i,) * 8))


def sectors(f, unit):
    f.seek(unit * UNIT)
    data = f.read(UNIT)
    return tuple(int.from_bytes(data[512 * s:512 * s + 8], "little") for s in range(8))


def check(history, safe):
    """The last operation that is safe is there, or one of the eight that were under way with it, or one that came later."""
    with open("raw", "rb") as f:
        for unit, ops in history.items():
            before = [o for o in ops if o[0] < safe]
            last = [o for o in before if o[0] // 8 == before[-1][0] // 8]
            allowed = last + [o for o in ops if o[0] >= safe]
            got = sectors(f, unit)
            for s in range(8):
                if before and got[s] not in [o[1][s] for o in allowed]:
                    fail("unit %d, sector %d: %d, allowed %s (safe %d)" % (unit, s, got[s], allowed, safe))
            # What the crash left is what is there from now on.
            history[unit] = [(safe - 1, got)]


sh("sh", "-c", command)
size = int(re.search(r"\((\d+) bytes\)", sh("qemu-img", "info", "img").stdout).group(1))
units = size // UNIT - 15
history, first, flushed = {}, 0, 0
for kill in range(kills):
    env = dict(os.environ)
    if how != "kill":
        env.update(LD_PRELOAD=os.path.join(os.path.dirname(guest), "crash.so"), CRASH_DISK="img", ASAN_OPTIONS="verify_asan_link_order=0",
                   CRASH_AT=str(random.randrange(1, 600)))
    if how == "power":
        env.update(CRASH_POWER="1")
    p = subprocess.Popen([lkvm, "run", "-k", guest, "--kernel-format", "flat", "--nodefaults", "-m", "32", "-c", "1",
                          "-d", "img,format=qcow2", "-p", "seed=%d from=%d" % (seed, first)],
                         env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    enough = random.randrange(1, 40) if how == "kill" else 10**9
    safe = first
    for line in p.stdout:
        m = re.fullmatch(r"safe (\d+)\n", line)
        if not m:
            p.kill()
            fail("lkvm says:", line)
        safe = int(m.group(1))
        enough -= 1
        if not enough:
            p.kill()
    p.wait()
    if p.returncode != -signal.SIGKILL:
        fail("lkvm ended by itself: %d" % p.returncode)
    # Of the last round nobody knows how far it came.
    operations(first, safe + 32, units, history)
    first = safe + 32
    r = sh("qemu-img", "check", "-f", "qcow2", "img")
    if r.returncode not in (0, 3):
        fail("kill %d: qemu-img check: %d:" % (kill, r.returncode), r.stdout[-600:].replace("\n", "\n# "))
    r = sh("qemu-img", "convert", "-O", "raw", "img", "raw")
    if r.returncode:
        fail("qemu-img convert:", r.stdout)
    check(history, safe)
os.remove("raw")
