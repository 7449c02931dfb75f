#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest whose process was stopped is told by its clock before it goes on: by signals, job control, a debugger, a
frozen cgroup. (tests/unit/x86/test_stood_still.c has the rest.)"""
import ctypes
import os
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import Skip, Vm, guest, main, same, until  # noqa: E402

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
WALL = 0x40000000  # __WALL: waitpid takes threads too
FREEZER = '/sys/fs/cgroup/freezer'


def started(*words):
    vm = Vm(guest('clock', *(('-p', ' '.join(words)) if words else ())))
    if vm.expect('ready|no clock')[0] != b'ready':
        raise Skip('this KVM has no kvmclock')
    return vm


def state(vm, thread):
    with open(f'/proc/{vm.proc.pid}/task/{thread}/stat', encoding='ascii') as f:
        return f.read().rsplit(')', 1)[1].split()[0]


def threads(vm):
    return os.listdir(f'/proc/{vm.proc.pid}/task')


def vcpu_thread(vm):
    for thread in threads(vm):
        with open(f'/proc/{vm.proc.pid}/task/{thread}/comm', encoding='ascii') as f:
            if f.read() == 'vcpu0\n':
                return int(thread)
    raise AssertionError('no thread vcpu0')


def untold(vm):
    """Nothing was said before it was stopped."""
    assert b'told' not in vm.seen, vm.seen


def told(vm):
    """Is it, soon? A stop that is shorter than a second is noticed inside KVM alone, so it may take some of them."""
    vm.stops = getattr(vm, 'stops', 0) + 1
    if vm.stops > 200:
        raise AssertionError('never told')
    while b'told' not in vm.seen:
        if not vm.read(0.2):
            return False
    return True


def ends(vm):
    vm.send('q')
    same(vm.end(), 7)


def stop_and_go(vm, number):
    vm.proc.send_signal(number)
    until('all threads stopped', lambda: all(state(vm, t) == 'T' for t in threads(vm)))


def signals():
    for words in (), ('exits',):
        vm = started(*words)
        for _ in range(10):
            untold(vm)
            stop_and_go(vm, signal.SIGSTOP)
            vm.proc.send_signal(signal.SIGCONT)
            vm.expect('told')
        ends(vm)


SHELL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if not job:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    status = os.waitpid(job, os.WUNTRACED)[1]
    os.tcsetpgrp(0, os.getpgrp())
    if not os.WIFSTOPPED(status):
        break
    os.write(1, b'stopped %d;' % os.WSTOPSIG(status))
    os.read(0, 1)
    os.tcsetpgrp(0, job)
    os.kill(-job, signal.SIGCONT)
os.write(1, b'over %d;' % os.waitstatus_to_exitcode(status))
"""


def job_control():
    """A shell's job: stopped, and in the foreground again after a line that the shell reads."""
    vm = Vm([sys.executable, '-c', SHELL, *guest('clock')], stdin='pty')
    if vm.expect('ready|no clock')[0] != b'ready':
        raise Skip('this KVM has no kvmclock')
    job = int(subprocess.check_output(['pgrep', '-P', str(vm.proc.pid)]))
    for _ in range(3):
        until('raw mode', vm.raw)
        untold(vm)
        os.kill(job, signal.SIGTSTP)
        vm.expect(f'stopped {signal.SIGTSTP:d};')
        assert vm.restored(), 'the terminal is raw while it is stopped'
        vm.send('\n')
        vm.expect('told')
    until('raw mode', vm.raw)
    vm.send('q')
    vm.expect('over 7;')
    same(vm.end(), 0)
    assert vm.restored()


def debugger():
    vm = started()
    libc = ctypes.CDLL(None, use_errno=True)
    thread = vcpu_thread(vm)
    untold(vm)
    if libc.ptrace(PTRACE_ATTACH, thread, None, None):
        raise Skip('no ptrace: ' + os.strerror(ctypes.get_errno()))
    while True:
        os.waitpid(thread, WALL)
        same(libc.ptrace(PTRACE_DETACH, thread, None, None), 0)
        if told(vm):
            break
        same(libc.ptrace(PTRACE_ATTACH, thread, None, None), 0)
    ends(vm)


def write(path, text):
    with open(path, 'w', encoding='ascii') as f:
        f.write(text)


def is_frozen(path, want):
    with open(path, encoding='ascii') as f:
        return want in f.read().splitlines()


def freeze_and_thaw(group, v1):
    if v1:
        write(f'{group}/freezer.state', 'FROZEN')
        until('frozen', lambda: is_frozen(f'{group}/freezer.state', 'FROZEN'))
        write(f'{group}/freezer.state', 'THAWED')
    else:
        write(f'{group}/cgroup.freeze', '1')
        until('frozen', lambda: is_frozen(f'{group}/cgroup.events', 'frozen 1'))
        write(f'{group}/cgroup.freeze', '0')


def frozen():
    vm = started()
    v1 = os.path.isdir(FREEZER)
    group = f'{FREEZER if v1 else "/sys/fs/cgroup"}/lkvm-test-{vm.proc.pid}'
    try:
        os.mkdir(group)
    except OSError as why:
        raise Skip(f'no cgroup: {why}') from why
    try:
        try:
            write(f'{group}/cgroup.procs', str(vm.proc.pid))
        except OSError as why:
            raise Skip(f'no cgroup: {why}') from why
        untold(vm)
        while not told(vm):
            freeze_and_thaw(group, v1)
        ends(vm)
    finally:
        vm.close()
        os.rmdir(group)


main([
    ('SIGSTOP and SIGCONT', signals),
    ('SIGTSTP, with the terminal given back meanwhile', job_control),
    ('a debugger', debugger),
    ('a frozen cgroup', frozen),
])
