#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Ending is exiting: once the end is asked for, lkvm (linked with calls that count, tests/native/inject/count.c) signals each
vcpu that is inside once, and leaves the rest to the kernel, however many devices there are. What the guest wrote is there
nevertheless, and so it is where everything is released (LKVM_RELEASE_ALL).
"""
import collections
import os
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import GUESTS, LIMIT, Vm, guest, main, same  # noqa: E402

COUNT = os.path.join(os.path.realpath(os.environ.get('NATIVE', 'build/native')), 'lkvm-count')
tmp = tempfile.TemporaryDirectory()
log = os.path.join(tmp.name, 'log')
fast = {k: v for k, v in os.environ.items() if k != 'LKVM_RELEASE_ALL'} | {'COUNT_LOG': log}
full = dict(fast, LKVM_RELEASE_ALL='1')


def disks(count):
    paths = [os.path.join(tmp.name, f'disk{i}') for i in range(count)]
    for path in paths:
        with open(path, 'wb') as f:
            f.truncate(65536)
    return [word for path in paths for word in ('-d', path)]


def calls():
    """What was called at the end, and how often; forgotten."""
    found = {}
    if os.path.exists(log):
        with open(log, encoding='ascii') as f:
            found = dict(collections.Counter(f.read().split()))
        os.remove(log)
    return found


def argv(name, *args, cpus=1):
    return [COUNT, *guest(name, *args, cpus=cpus)[1:]]


def run(env, name, *args, cpus=1, keys=b''):
    """Its status, what it said, and what was called at the end."""
    done = subprocess.run(argv(name, *args, cpus=cpus), env=env, input=keys, capture_output=True, timeout=LIMIT, check=False)
    # A host may have few CPUs.
    same([line for line in done.stderr.splitlines() if b'KVM recommends on this host' not in line], [])
    return done.returncode, done.stdout.replace(b'\r', b''), calls()


def by_the_guest():
    for more in [], disks(1), disks(8), ['--rng', *disks(2), '--virtio-transport', 'mmio'], ['--irqchip', 'split']:
        same(run(fast, 'exit', '-p', 'exit=9', *more), (9, b'boot\n', {}))
    # Those that asked for nothing are inside.
    same(run(fast, 'exit', '-p', 'exit=9', *disks(2), cpus=5), (9, b'boot\n', {'pthread_kill': 4}))


def by_a_signal():
    for cpus in 1, 5:
        vm = Vm(argv('exit', '-p', 'hang', *disks(2), cpus=cpus), env=fast)
        vm.expect('boot')
        vm.proc.send_signal(signal.SIGTERM)
        same(vm.end(), -signal.SIGTERM)
        same(calls(), {'pthread_kill': cpus})


def everything():
    """The counting counts: with everything released the same takes many calls, and one signal too."""
    status, out, seen = run(full, 'exit', '-p', 'exit=9', *disks(2), cpus=5)
    same((status, out, seen['pthread_kill']), (9, b'boot\n', 4))
    assert seen['close'] > 20 and seen['munmap'] > 5 and seen['pthread_join'] > 6, seen
    # The VM takes its memory slots along: of a protected one that has run nobody may delete any.
    assert 'ioctl' not in seen, seen


def same_result():
    """Of a disk that was written to, and of a console whose last words have no end of line."""
    for transport in 'pci', 'mmio':
        results = []
        for env in fast, full:
            words = disks(1)
            status, out, _ = run(env, 'blk', *words, '-p', 'write at=3 count=48 seed=5', '--virtio-transport', transport)
            with open(words[1], 'rb') as f:
                results.append((status, out, f.read()))
        assert any(results[0][2]), 'the guest wrote nothing'
        assert results[0] == results[1], results
        results = [run(env, 'vcon', '--console', 'virtio', '-p', 'con', '--virtio-transport', transport, keys=b'words\n')[:2]
                   for env in (fast, full)]
        assert b'you said words' in results[0][1] and results[0] == results[1], results


assert os.path.isdir(GUESTS)
main([
    ('a guest that ends is only left', by_the_guest),
    ('each vcpu is signalled once', by_a_signal),
    ('what releases everything is seen', everything),
    ('what the guest wrote is the same', same_result),
])
