#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What guest memory takes of the host: next to nothing for a guest that is small, huge pages for one that uses it."""
import os
import re
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import GUESTS, LKVM, Skip, Vm, main, same  # noqa: E402

MIB = 64


def start(*args):
    """A kernel of one segment, most of which is a .bss of 2 MiB."""
    vm = Vm([LKVM, 'run', '--loglevel', 'warning', '--nodefaults', '-m', str(MIB), '-c', '1',
             '-k', f'{GUESTS}/exit.elf', '-p', 'ask', *args])
    vm.expect('boot')
    return vm


def memory(vm):
    """The mapping of guest memory, which is one: KiB in use, KiB in huge pages, flags."""
    found = []
    for one in re.split(r'^(?=[0-9a-f]+-[0-9a-f]+ )', vm.proc_file('smaps'), flags=re.M):
        fields = dict(re.findall(r'^(\w+): +(.*?)(?: kB)?$', one, flags=re.M))
        if int(fields.get('Size', 0)) == MIB << 10:
            found.append((int(fields['Rss']), int(fields['AnonHugePages']), fields['VmFlags'].split()))
    same(len(found), 1)
    return found[0]


def small(vm):
    rss, huge, flags = memory(vm)
    same(huge, 0)
    assert rss <= 512, f'{rss} KiB of guest memory for a guest that uses next to nothing'
    assert 'hg' in flags or not has_huge(), flags


def has_huge():
    try:
        with open('/sys/kernel/mm/transparent_hugepage/enabled', encoding='ascii') as f:
            return '[never]' not in f.read()
    except OSError:
        return False


def need_huge():
    if not has_huge():
        raise Skip('the host has no transparent huge pages')


def filled(vm):
    vm.send('f')
    vm.expect('filled')
    rss, huge, _ = memory(vm)
    assert rss >= (MIB - 8) << 10, rss
    assert huge >= (MIB - 16) << 10, f'{huge} KiB of {rss} in huge pages'


def tiny():
    # khugepaged, which passes by every few seconds, makes a huge page of one small one.
    for _ in range(9):
        vm = start()
        if not memory(vm)[1]:
            break
    small(vm)


def used():
    need_huge()
    filled(start())


def rebooted():
    need_huge()
    vm = start()
    for _ in range(2):
        filled(vm)
        vm.send('r')
        vm.expect('boot')
        small(vm)
    filled(vm)


def loaded():
    need_huge()
    with tempfile.NamedTemporaryFile() as initrd:
        initrd.truncate(16 << 20)
        rss, huge, _ = memory(start('-i', initrd.name))
        assert huge >= 12 << 10, f'{huge} KiB of {rss} in huge pages'


main([
    ('a small guest takes no huge pages', tiny),
    ('what a guest uses is of huge pages', used),
    ('what fills them when it is loaded is in huge pages', loaded),
    ('so it is after each reboot', rebooted),
])
