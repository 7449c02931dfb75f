#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What one more disk, network or vcpu costs before the guest runs, in calls: the last as much as the second."""
import collections
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import GUESTS, LIMIT, LKVM, Skip, guest, main, same  # noqa: E402

SET_GSI_ROUTING = 'ioctl 0x4008ae6a'
CREATE_VCPU = 'ioctl 0xae41'


def calls(*args, cpus=1):
    """How often each was made."""
    with open(LKVM, 'rb') as f:
        program = f.read()
    if b'libasan' in program or b'libtsan' in program or b'libc.so' not in program:
        raise Skip('nothing can be preloaded into this binary')
    with tempfile.TemporaryDirectory() as tmp:
        with open(f'{tmp}/disk', 'wb') as f:
            f.truncate(1 << 20)
        env = dict(os.environ, LD_PRELOAD=f'{GUESTS}/calls.so', CALLS=f'{tmp}/calls')
        same(subprocess.run(guest('exit', '-p', 'exit=9', '--loglevel', 'error', *args, cpus=cpus), cwd=tmp, env=env,
                            timeout=LIMIT, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode, 9)
        with open(f'{tmp}/calls', encoding='ascii') as f:
            return collections.Counter(f.read().splitlines())


def disks(n, *args):
    return calls(*['-d', 'disk,ro'] * n, *args)


def difference(more, fewer):
    """What @more has that @fewer has not; nothing is in @fewer alone."""
    same(fewer - more, collections.Counter())
    return more - fewer


def one_more_disk():
    for transport, last in ('pci', 16), ('mmio', 8):
        args = '--virtio-transport', transport
        second = difference(disks(2, *args), disks(1, *args))
        same(difference(disks(last, *args), disks(last - 1, *args)), second)
        # Its queue's loop, and one worker.
        same(second['pthread_create'], 2)
        # What format it has: its first block, the last, and two more.
        same(second['pread'], 4)


def one_more_vcpu():
    for irqchip in 'full', 'split':
        args = '--irqchip', irqchip
        # Not the second: only of more than one is KVM asked whether it has them.
        third = difference(calls(*args, cpus=3), calls(*args, cpus=2))
        same(third[CREATE_VCPU], 1)
        same(third['pthread_create'], 1)
        same([call for call in third if call.startswith('sigaction')], [])
        same(difference(calls(*args, cpus=64), calls(*args, cpus=63)), third)


def one_table():
    for irqchip in 'full', 'split':
        for transport, n in ('pci', 16), ('mmio', 8):
            found = disks(n, '--irqchip', irqchip, '--virtio-transport', transport)[SET_GSI_ROUTING]
            assert found <= 1, f'{found} tables of routes for {n} disks ({irqchip}, {transport})'


def no_names():
    same(disks(2, '--rng')['pthread_setname_np'], 0)


main([
    ('the last disk costs what the second does', one_more_disk),
    ('the 64th vcpu costs what the third does', one_more_vcpu),
    ('one table of routes, or none, for all of them', one_table),
    ('no thread is named by another', no_names),
])
