#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`lkvm stat --exits` and --kvm: what was counted, and what a view of it shows."""
import json
import os
import pty
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import LIMIT, LKVM, Skip, Vm, guest, lkvm, main, same, until  # noqa: E402


def stat(*args):
    return json.loads(lkvm('stat', '--json', *args)[0])


def rounds(vm, n):
    """The guest has done @n more."""
    for _ in range(n):
        vm.expect('round ')


def counted():
    """Two vcpus, of which one works: its exits, and the devices that they were for, only grow."""
    vm = Vm(guest('busy', '--name', 'busy', '-c', '2', '-p', 'rounds=1000000000'))
    rounds(vm, 2)
    first = stat('--exits', 'busy')['busy']
    same(len(first['vcpus']), 2)
    assert first['vcpus'][0]['io'] > first['vcpus'][1].get('io', 0), first
    serial = {d['name']: d for d in first['devices']}['serial0']
    assert serial['writes'] >= len('round 0\nround 1\n'), serial
    # Rounds that it did before may be read after.
    until('it goes on', lambda: stat('--exits', 'busy')['busy']['vcpus'][0]['io'] > first['vcpus'][0]['io'])
    assert stat('--exits', 'busy')['busy']['uptime_ms'] > first['uptime_ms']
    # A pause is two exits by signals, and then nothing is counted.
    lkvm('pause', 'busy')
    still = stat('--exits', 'busy')['busy']
    same(stat('--exits', 'busy')['busy']['vcpus'], still['vcpus'])
    assert still['vcpus'][1]['intr'] >= 1, still
    lkvm('resume', 'busy')
    rounds(vm, 1)
    lkvm('stop', '--timeout', '0', 'busy')
    same(vm.end(), 0)


def table():
    vm = Vm(guest('busy', '--name', 'table', '-c', '2', '-p', 'rounds=1000000000'))
    rounds(vm, 2)
    out = lkvm('stat', '--exits', 'table')[0]
    assert re.match(r'table: running, up \d+\.\d s, 2 vcpus, \d+ exits to lkvm\n', out), out
    head, row = (re.search(rf'^{word} .*$', out, re.M)[0].split() for word in ('EXITS', 'io'))
    same(head, ['EXITS', 'TOTAL', 'VCPU0', 'VCPU1'])
    same(int(row[1]), int(row[2]) + int(row[3]))
    assert re.search(r'^serial0 +\d+ +\d+$', out, re.M) and 'A SECOND' not in out, out
    # Again and again, into a pipe: whole tables, the later ones with how many came in a second.
    with subprocess.Popen([LKVM, 'stat', '--exits', '--interval', '1', 'table'], stdout=subprocess.PIPE, text=True) as p:
        lines = [p.stdout.readline() for _ in range(20)]
        p.kill()
    assert any('A SECOND' in line for line in lines) and not any('\033' in line for line in lines), lines
    # On a terminal the screen is used anew.
    master, slave = pty.openpty()
    with subprocess.Popen([LKVM, 'stat', '--exits', '--interval', '1', 'table'], stdout=slave) as p:
        os.close(slave)
        seen = b''
        while seen.count(b'\033[H\033[J') < 3:
            seen += os.read(master, 65536)
        p.kill()
    os.close(master)
    vm.proc.kill()
    vm.end()


def kvm():
    vm = Vm(guest('busy', '--name', 'kvm', '-c', '2', '-p', 'rounds=1000000000'))
    rounds(vm, 1)
    r = subprocess.run([LKVM, 'stat', '--kvm', '--json', 'kvm'], capture_output=True, check=False, text=True)
    if 'has no statistics' in r.stderr:
        raise Skip("this host's KVM has no statistics")
    assert 'remote_tlb_flush' in json.loads(r.stdout)['kvm']['vm'], r
    one = stat('--kvm', '--cpu', '0', 'kvm')['kvm']['vcpu']
    assert isinstance(one['exits'], int), one
    assert all(isinstance(n, int) for n in one['halt_wait_hist']), one
    # The machine was paused for it the first time, and goes on.
    until('it goes on', lambda: stat('--kvm', '--cpu', '0', 'kvm')['kvm']['vcpu']['exits'] > one['exits'])
    assert re.search(r'^  exits +\d+$', lkvm('stat', '--kvm', '--cpu', '1', 'kvm')[0], re.M)
    # One that the user paused stays so.
    lkvm('pause', 'kvm')
    stat('--kvm', '--cpu', '1', 'kvm')
    same(json.loads(lkvm('list', '--json')[0])[0]['state'], 'paused')
    err = lkvm('stat', '--kvm', '--cpu', '2', 'kvm', status=1)[1]
    same(err, 'lkvm: error: kvm: kvm-stats: there is no vcpu 2\n')
    vm.proc.kill()
    vm.end()


def usage():
    for words in (('--kvm', '--exits'), ('-m', '--exits'), ('--interval', '1'), ('--exits', '--json', '--interval', '1'),
                  ('--cpu', '1'), ('--exits', '--cpu', '1')):
        out, err = lkvm('stat', *words, 'x', status=2)
        assert err.startswith('lkvm: error: stat: --') and err.count('\n') == 1 and not out, (words, err)


def gone():
    """The machine ends while it is watched."""
    vm = Vm(guest('busy', '--name', 'gone', '-p', 'rounds=1000000000'))
    rounds(vm, 1)
    with subprocess.Popen([LKVM, 'stat', '--exits', '--interval', '1', 'gone'], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as p:
        until('it has shown something', lambda: 'exits to lkvm' in p.stdout.readline())
        vm.proc.kill()
        vm.end()
        err = p.communicate(timeout=LIMIT)[1]
    same(p.returncode, 1)
    assert err.count('\n') == 1 and 'gone: ' in err, err


main([
    ('exits are counted, of vcpus and devices', counted),
    ('a table of them, once and again', table),
    ("KVM's own statistics", kvm),
    ('options that exclude each other', usage),
    ('a machine that ends meanwhile', gone),
])
