#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--nested, --vmx and --svm: the words, and what this host's KVM has of them, which `lkvm host` says too."""
import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import LKVM, Skip, guest, lkvm, main, says  # noqa: E402

BAD = [
    (['--nested', 'maybe'], '--nested maybe: is not one of auto, on, off'),
    (['--vmx', '+epd'], "--vmx: unknown feature '+epd'; did you mean '+ept'?"),
    (['--svm=-ntp'], "--svm: unknown feature '-ntp'; did you mean '-npt'?"),
    (['--vmx', 'ept'], "--vmx: 'ept' needs a sign: +ept or -ept"),
    (['--vmx', '+mbec,-ept'], '--vmx: +mbec needs ept, which -ept switches off; omit one of them'),
    (['--vmx', '+ept', '--vmx', '-ept'], '--vmx: +ept and -ept: contradict each other'),
    (['--svm', 'asids=1'], '--svm: asids=1: is not a number from 2 to'),
    (['--vmx', '+ept', '--svm', '+npt'], '--vmx and --svm: a CPU has one or the other'),
    (['--nested', 'off', '--svm', '-npt'], '--nested off and --svm: contradict each other'),
]


def run(*args):
    return subprocess.run(guest('hello', *args), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def refused(why, *args):
    r = run(*args)
    assert r.returncode == 1 and why in r.stderr and r.stderr.count('\n') == 1, (args, why, r)


def runs(*args):
    r = run(*args)
    assert r.returncode == 0 and 'hello' in r.stdout, (args, r)


def rows():
    r = subprocess.run([LKVM, 'host', '--json'], capture_output=True, text=True, check=False)
    return json.loads(r.stdout)['sections']['nested']


def bad_words():
    for args, text in BAD:
        says(text, 'run', '--dry-run', '-k', '/dev/null', *args, status=2)


def help_lists_names():
    """All that lkvm host has rows of, and each once."""
    for option, prefix in ('--vmx', 'vmx-'), ('--svm', ''):
        out, err = lkvm('run', option, 'help')
        names = [line.split()[0] for line in out.splitlines()]
        assert not err and len(names) > 20 and len(set(names)) == len(names), (names, err)
        for name in names:
            assert prefix + name in rows(), name
    assert 'ept_mode_based_exec' in lkvm('selftest', '--vmx', 'help')[0]


def from_a_file():
    with tempfile.NamedTemporaryFile('w', suffix='.conf') as f:
        f.write('nested = on\nvmx = -ept,+vpid\nvmx = -mtf\n')
        f.flush()
        out, _ = lkvm('run', '--dry-run', '-k', '/dev/null', '--config', f.name)
        assert 'nested: on\n' in out and 'vmx: -ept,+vpid,-mtf\n' in out, out
        f.write('svm = help\n')
        f.flush()
        r = subprocess.run([LKVM, 'run', '--config', f.name], capture_output=True, text=True, check=False)
        assert r.returncode == 2 and ':4: --svm: help belongs on the command line' in r.stderr, r


def off_runs():
    runs('--nested', 'off')
    runs('--nested', 'auto')


def there_is_none():
    """The reason is that of lkvm host."""
    nested = rows()['nested']
    if nested['available']:
        raise Skip('guests of this host have ' + nested['value'])
    assert nested['available'] is False, nested
    refused('--nested on: this host\'s KVM gives guests neither vmx nor svm: ' + nested['why'], '--nested', 'on')
    refused('--vmx: this host\'s KVM gives guests no vmx: ' + nested['why'], '--vmx', '-ept')
    refused('--svm: this host\'s KVM gives guests no svm: ' + nested['why'], '--svm', 'asids=16')


def there_is():
    """What lkvm host says of a feature decides."""
    table = rows()
    if not table['nested']['available']:
        raise Skip(table['nested']['why'])
    kind = table['nested']['value']
    prefix = 'vmx-' if kind == 'vmx' else ''
    for line in lkvm('run', f'--{kind}', 'help')[0].splitlines():
        name = line.split()[0]
        if table[prefix + name]['available']:
            runs(f'--{kind}=+{name}')
        else:
            refused(f'--{kind} +{name}: ' + table[prefix + name]['why'], f'--{kind}=+{name}')
    other = 'svm' if kind == 'vmx' else 'vmx'
    refused(f'gives guests {kind}, not {other}; use --{kind}', f'--{other}', '+vnmi')


main([
    ('words that are wrong, and what is said', bad_words),
    ('help lists what lkvm host has rows of', help_lists_names),
    ('a file has them as well, but for help', from_a_file),
    ('off and auto start on any host', off_runs),
    ('a host that has neither vmx nor svm refuses with its reason', there_is_none),
    ('what a host has it gives, and the rest it refuses with the reason', there_is),
])
