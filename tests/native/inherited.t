#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Descriptors that whoever starts lkvm left open: closed, except those that an option names."""
import fcntl
import os
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import GUESTS, LIMIT, LKVM, Vm, guest, main, same  # noqa: E402

O_CLOEXEC = 0o2000000


def links(vm):
    """What the process has open beside the standard descriptors: number to name."""
    folder = f'/proc/{vm.proc.pid}/fd'
    return {int(fd): os.readlink(f'{folder}/{fd}') for fd in os.listdir(folder) if int(fd) > 2}


def closed():
    """A lock, a pipe and a socket of a script do not live as long as the VM."""
    ours, theirs = socket.socketpair()
    r, w = os.pipe()
    lock = tempfile.TemporaryFile()
    fcntl.flock(lock, fcntl.LOCK_EX)
    high = fcntl.fcntl(w, fcntl.F_DUPFD, 500)
    vm = Vm(guest('exit', '-p', 'hang'), pass_fds=[w, high, theirs.fileno(), lock.fileno()])
    names = [os.readlink(f'/proc/self/fd/{fd}') for fd in (w, high, theirs.fileno(), lock.fileno())]
    os.close(w)
    os.close(high)
    theirs.close()
    lock.close()
    vm.expect('boot')
    same([name for name in links(vm).values() if name in names], [])
    same(os.read(r, 1), b'')
    same(ours.recv(1), b'')
    os.close(r)
    ours.close()
    vm.close()


def all_close_on_exec():
    with tempfile.NamedTemporaryFile() as disk:
        disk.truncate(1 << 20)
        fd = disk.fileno()
        vm = Vm(guest('exit', '-p', 'hang', '-d', f'/dev/fd/{fd}', '--rng', cpus=2), pass_fds=[fd])
        vm.expect('boot')
        open_at_exec = [name for fd, name in links(vm).items()
                        if not int(vm.proc_file(f'fdinfo/{fd}').split('flags:')[1].split()[0], 8) & O_CLOEXEC]
        same(open_at_exec, [])
        vm.close()


def named():
    """A kernel without a name but its descriptor's; options from a pipe."""
    with tempfile.TemporaryFile() as kernel, open(f'{GUESTS}/hello.flat', 'rb') as image:
        kernel.write(image.read())
        kernel.flush()
        fd = kernel.fileno()
        options = ['--kernel-format', 'flat', '--nodefaults', '-m', '32', '-c', '1']
        for words in [f'/dev/fd/{fd}'], ['-k', f'/proc/self/fd/{fd}'], ['-k', f'/dev/fd/../fd/{fd}']:
            out = subprocess.run([LKVM, 'run', *options, *words], pass_fds=[fd], timeout=LIMIT, check=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
            assert out.startswith(b'hello'), out
        r, w = os.pipe()
        os.write(w, f'kernel /dev/fd/{fd}\n'.encode())
        os.close(w)
        out = subprocess.run([LKVM, 'run', *options, '--config', f'/dev/fd/{r}'], pass_fds=[fd, r], timeout=LIMIT,
                             check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
        os.close(r)
        assert out.startswith(b'hello'), out


def selftest_image():
    with open(f'{GUESTS}/exit.flat', 'rb') as image:
        fd = image.fileno()
        done = subprocess.run([LKVM, 'selftest', '-p', 'exit=0', '--kernel-format', 'flat', '-m', '32', '-c', '1',
                               f'/dev/fd/{fd}'], pass_fds=[fd], timeout=LIMIT, check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE)
        same(done.returncode, 0)


main([
    ('what the caller left open is closed', closed),
    ('what is open is closed at exec', all_close_on_exec),
    ('what an option names stays open', named),
    ('so does the image of a self-test', selftest_image),
])
