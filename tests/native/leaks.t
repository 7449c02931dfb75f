#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A hundred VMs started and stopped in every way leave no process, file, interface or memory."""
import os
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import LIMIT, LKVM, Vm, guest, main, same, until  # noqa: E402


def children():
    """Everything in our session that runs our binary: other tests run theirs meanwhile."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if os.readlink(f'/proc/{pid}/exe') == LKVM and os.getsid(int(pid)) == os.getsid(0):
                found.append(pid)
        except OSError:
            pass
    return found


def state():
    """What could stay behind, as a dictionary."""
    where = ['/dev/shm', '/run/lkvm', os.path.expanduser('~/.lkvm'), tempfile.gettempdir()]
    return {
        'files': {d: sorted(f for f in os.listdir(d) if 'lkvm' in f) for d in where if os.path.isdir(d)},
        'nets': sorted(os.listdir('/sys/class/net')),
        'processes': len(children()),
    }


def shmem():
    """KiB of shared memory in the whole system (memfds, tmpfs)."""
    with open('/proc/meminfo', encoding='ascii') as f:
        return next(int(line.split()[1]) for line in f if line.startswith('Shmem:'))


def hundred():
    with tempfile.TemporaryDirectory(prefix='native-') as d:
        disk = os.path.join(d, 'disk')
        with open(disk, 'wb') as f:
            f.truncate(1 << 20)
        # Others may make files elsewhere meanwhile.
        os.environ['TMPDIR'] = tempfile.tempdir = d
        before, memory = state(), shmem()
        for i in range(100):
            args = ['-d', disk, '--rng', '--virtio-transport', 'mmio' if i % 2 else 'pci',
                    '--irqchip', 'split' if i % 3 else 'full']
            if i % 4 == 0:
                same(subprocess.run(guest('exit', '-p', 'exit=9', *args, cpus=2), timeout=LIMIT, check=False,
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode, 9)
                continue
            vm = Vm(guest('exit', '-p', 'hang' if i % 2 else 'halt', *args, cpus=2))
            if i % 4 != 3:
                vm.expect('boot')
            sig = [signal.SIGTERM, signal.SIGKILL, signal.SIGINT][i % 3]
            vm.proc.send_signal(sig)
            same(vm.end(), -sig)
            vm.close()
        same(os.listdir(d), ['disk'])
        until('nothing is left', lambda: state() == before)
        until('their memory is free again', lambda: shmem() < memory + 16384)


def descriptors():
    """A running VM holds what it needs and nothing that it inherited beside 0, 1 and 2."""
    r, w = os.pipe()
    vm = Vm(guest('exit', '-p', 'hang'))
    vm.expect('boot')
    links = {os.readlink(f'/proc/{vm.proc.pid}/fd/{fd}') for fd in os.listdir(f'/proc/{vm.proc.pid}/fd')}
    assert not [x for x in links if 'memfd' in x], links
    alone = vm.fds(), vm.threads()
    vm.close()
    vm = Vm(guest('exit', '-p', 'hang', '--rng', cpus=4))
    vm.expect('boot')
    assert vm.threads() == alone[1] + 3, 'three vcpus more, and none for the rng'
    os.close(r)
    os.close(w)


if os.getsid(0) != os.getpid() and os.getpgrp() != os.getpid():
    os.setsid()
main([
    ('a hundred VMs leave nothing', hundred),
    ('threads and descriptors of a running VM', descriptors),
])
