#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The memory balloon: what the guest hands over or reports goes back to the host, and lkvm's memory shrinks."""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import LIMIT, LKVM, Vm, guest, main, same  # noqa: E402

QUARTER = 4096  # KiB


def rss(vm):
    return int(re.search(r'^Rss:\s+(\d+) kB', vm.proc_file('smaps_rollup'), re.M)[1])


def fell(before, now):
    """By a quarter, give or take what else comes and goes."""
    assert before - now > QUARTER * 3 // 4, f'{before} KiB, then {now} KiB'


def shrinks(*args):
    def test():
        vm = Vm(guest('balloon', '-m', '64', '--balloon', '--balloon-size', '8M', *args))
        vm.expect('asked for 2048 pages')
        vm.expect('written')
        written = rss(vm)
        vm.send('x')
        vm.expect('inflated')
        inflated = rss(vm)
        fell(written, inflated)
        vm.send('x')
        vm.expect('reported')
        fell(inflated, rss(vm))
        vm.send('x')
        vm.expect('done')
        same(vm.end(), 0)
    return test


def absent():
    vm = Vm(guest('balloon'))
    vm.expect('no balloon')
    same(vm.end(), 1)


def wrong(message, *args):
    p = subprocess.run(guest('balloon', *args), timeout=LIMIT, check=False, capture_output=True, text=True)
    same([p.returncode, p.stderr], [2, f'lkvm: error: {message}\n'])


def wrong_sizes():
    wrong('--balloon-size: there is no balloon; add --balloon, or omit it', '--balloon-size', '4M')
    wrong("--balloon-size 32M: must be less than the guest's memory, 32M", '--balloon', '--balloon-size', '32M')


def saved():
    conf = subprocess.run([LKVM, 'run', '--balloon', '--balloon-size', '8M', '-m', '64', '-k', '/dev/null', '--save-config',
                           '/dev/stderr'], timeout=LIMIT, check=True, capture_output=True, text=True).stderr
    assert '\nballoon\n' in conf and 'balloon-size = 8M\n' in conf, conf


main([
    ('what is handed over or reported goes back, on PCI', shrinks()),
    ('on MMIO', shrinks('--virtio-transport', 'mmio')),
    ('there is none unless asked for', absent),
    ('sizes that make no sense', wrong_sizes),
    ('the options are saved', saved),
])
