#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The console: pipes, terminals, the menu after Ctrl-A, signals; and reboots, told by its keys."""
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import LIMIT, Vm, guest, main, same, until  # noqa: E402


def pipe():
    vm = Vm(guest('echo'))
    vm.expect('ready')
    vm.send('hello there\n')
    vm.expect(r"got 'hello there'")
    vm.send('\x01x\n')  # a pipe has no menu
    vm.expect(r"got '\x01x'")
    vm.send('quit\n')
    same(vm.end(), 3)


def stopped_queue():
    """Keys that come while the input queue of a virtio console is stopped wait, and no old buffer is written."""
    for args in [], ['--virtio-transport', 'mmio']:
        vm = Vm(guest('stopq', '-p', 'con', '--console', 'virtio', *args))
        vm.expect('stopped')
        vm.send('keys\n')
        same(vm.end(), 20)


def long_pipe():
    """More than any buffer holds, all at once, and then the end of the input."""
    lines = [f'line {i} ' + 'x' * 60 for i in range(500)]
    out = subprocess.run(guest('echo'), input='\n'.join(lines + ['quit', '']), text=True, timeout=LIMIT,
                         capture_output=True, check=False)
    same(out.returncode, 3)
    same([x[5:-1] for x in out.stdout.splitlines() if x.startswith('got')][:-1], lines)


def polled():
    """A guest that looks for keys between bytes that it sends, and never waits."""
    vm = Vm(guest('poll'))
    vm.expect('ready')
    for key in 'abc':
        vm.send(key)
        vm.expect(f'key {key}')
    vm.send('xyzq')
    for key in 'xyz':
        vm.expect(f'key {key}')
    same(vm.end(), 3)


def terminal():
    vm = Vm(guest('echo'), stdin='pty')
    vm.expect('ready')
    until('raw mode', vm.raw)
    vm.send('typed\r')
    vm.expect("got 'typed'")
    vm.send('\x03\x1c\x1a\r')  # Ctrl-C, Ctrl-\ and Ctrl-Z are the guest's
    vm.expect("got '\x03\\\\?\x1c\x1a'")
    vm.send('quit\r')
    same(vm.end(), 3)
    assert vm.restored()


def menu():
    vm = Vm(guest('echo'), stdin='pty')
    vm.expect('ready')
    until('raw mode', vm.raw)
    vm.send('\x01h')
    vm.expect('(?i)ctrl-a')
    vm.send('\x01\x01z\r')
    vm.expect("got '\x01z'")
    vm.send('\x01x')
    same(vm.end(), 0)
    assert vm.restored()


def menu_of_stuck_guest():
    vm = Vm(guest('exit', '-p', 'hang'), stdin='pty')
    vm.expect('boot')
    until('raw mode', vm.raw)
    vm.send('a' * 100)
    vm.send('\x01x')
    same(vm.end(), 0)
    assert vm.restored()


def signals():
    for word in 'hang', 'halt':
        for sig in signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT:
            vm = Vm(guest('exit', '-p', word, cpus=2), stdin='pty')
            vm.expect('boot')
            until('raw mode', vm.raw)
            vm.proc.send_signal(sig)
            same(vm.end(), -sig)
            assert vm.restored(), sig


def early_signal():
    """Before the guest runs, too."""
    for _ in range(20):
        vm = Vm(guest('exit', '-p', 'hang'), stdin='pty')
        vm.proc.send_signal(signal.SIGINT)
        same(vm.end(), -signal.SIGINT)
        assert vm.restored()
        vm.close()


def no_input():
    for stdin in subprocess.DEVNULL, None:
        vm = Vm(guest('exit', '-p', 'exit=4'), stdin=stdin)
        vm.expect('boot')
        same(vm.end(), 4)
    vm = Vm(['sh', '-c', 'exec "$@" <&-', 'sh', *guest('exit', '-p', 'exit=4')])
    vm.expect('boot')
    same(vm.end(), 4)


def no_reader():
    """The reader of the console is gone, or just does not read: the guest and signals go on."""
    vm = Vm(guest('echo'))
    vm.expect('ready')
    vm.proc.stdout.close()
    vm.proc.stdout = None
    vm.send('a\nquit\n')
    same(vm.proc.wait(LIMIT), 3)
    for args in [('echo', '-p', 'flood')], [('vcon', '--console', 'virtio', '-p', 'flood')]:
        vm = Vm(guest(*args[0]), stderr=subprocess.DEVNULL)
        until('the pipe is full', lambda: blocked(vm))
        vm.proc.send_signal(signal.SIGTERM)
        same(vm.proc.wait(LIMIT), -signal.SIGTERM)


def blocked(vm):
    """Is the pipe full?"""
    fd = os.open(f'/proc/{vm.proc.pid}/fd/1', os.O_WRONLY | os.O_NONBLOCK)
    try:
        return not select.select([], [fd], [], 0)[1]
    finally:
        os.close(fd)


def background():
    """Not in the terminal's foreground: it runs on, and leaves the terminal alone."""
    vm = Vm(['bash', '-c', 'set -m; "$@" & wait $!; echo "status $?"', 'bash', *guest('exit', '-p', 'exit=5')],
            stdin='pty')
    vm.expect('status 5')
    same(vm.end(), 0)
    assert vm.restored()


def reboots():
    for args in [], ['--irqchip', 'split']:
        vm = Vm(guest('exit', '-p', 'ask', *args, cpus=2))
        for key in 'rkrk':
            vm.expect('boot')
            vm.send(key)
        vm.expect('boot')
        vm.send('q')
        same(vm.end(), 42)


def reboots_leave_nothing():
    vm = Vm(guest('exit', '-p', 'ask', '--rng', cpus=2))
    vm.expect('boot')
    vm.send('r')
    vm.expect('boot')
    before = vm.fds(), vm.threads()
    maps = len(vm.proc_file('maps').splitlines())
    for _ in range(30):
        vm.send('r')
        vm.expect('boot')
    same((vm.fds(), vm.threads()), before)
    assert len(vm.proc_file('maps').splitlines()) <= maps + 4
    vm.send('p')
    same(vm.end(), 0)


def virtio_console():
    for transport in 'pci', 'mmio':
        vm = Vm(guest('vcon', '--console', 'virtio', '--virtio-transport', transport, '-p', 'con size=1'),
                stdin='pty', size=(132, 43))
        vm.expect('serial says hello')  # shown too; the keys are the virtio console's
        vm.expect('virtio says hello')
        until('raw mode', vm.raw)
        vm.send('some words\r')
        vm.expect('\n')
        vm.expect('^you said some words')
        vm.expect('size 132x43')
        same(vm.end(), 0)
        assert vm.restored()
    vm = Vm(guest('vcon', '--console', 'virtio', '-p', 'con'))
    vm.send('piped\n')
    vm.expect('you said piped')
    same(vm.end(), 0)


def log():
    """A long log comes whole and in order, and its last words too."""
    for args in [('-p', 'kib=8 tail')], [('-p', 'kib=8 tail virtio', '--console', 'virtio')], \
                [('-p', 'kib=8 tail virtio irq size=16', '--console', 'virtio', '--virtio-transport', 'mmio')]:
        out = subprocess.run(guest('log', *args[0]), stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False)
        same(out.returncode, 0)
        same(out.stdout, b''.join(b'%07d ' % i + b'.' * 54 + b'\r\n' for i in range(128)) + b'tail')


def calls_of_a_buffer():
    """The notification's epoll_wait, the write to the terminal, the interrupt's write; and nothing else."""
    inject = os.path.join(os.path.realpath(os.environ.get('NATIVE', 'build/native')), 'lkvm-fail')
    argv = guest('log', '-p', 'kib=16 virtio irq', '--console', 'virtio')
    with tempfile.TemporaryDirectory() as path:
        counts = os.path.join(path, 'counts')
        out = subprocess.run([inject, *argv[1:]], stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False,
                             env=dict(os.environ, INJECT='count', INJECT_LOG=counts))
        same((out.returncode, len(out.stdout)), (0, 16384))
        with open(counts, 'rb') as f:
            calls = {name.rstrip(b'\0').decode(): n for name, n in struct.iter_unpack('24sQ', f.read())}
    spent = {name: calls[name] for name in ('epoll_wait', 'read', 'write')}
    assert calls['write'] > 256, spent  # a buffer that comes within another's turn shares its interrupt
    assert sum(spent.values()) <= 3 * 256 + 64, spent  # 64: the start and the end


main([
    ('a pipe', pipe),
    ('a long input through a pipe', long_pipe),
    ('a guest that polls while it sends', polled),
    ('a terminal is raw while the guest runs and restored after', terminal),
    ('the menu after Ctrl-A', menu),
    ('Ctrl-A x while the guest is stuck', menu_of_stuck_guest),
    ('signals end lkvm and restore the terminal', signals),
    ('a signal before the guest runs', early_signal),
    ('no standard input', no_input),
    ('nobody reads the console', no_reader),
    ('in the background of a terminal', background),
    ('reboots by ACPI and by the keyboard controller', reboots),
    ('thirty reboots leave no descriptor, thread or mapping', reboots_leave_nothing),
    ('the virtio console', virtio_console),
    ('an input queue that is stopped', stopped_queue),
    ('a long log and its last words', log),
    ('a buffer of the virtio console costs three calls', calls_of_a_buffer),
])
