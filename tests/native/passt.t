#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--network mode=user: a guest gets its address by DHCP, reaches the host and is reached, by passt."""
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import GUESTS, LIMIT, LKVM, Skip, Vm, guest, main, same, until  # noqa: E402


def need_passt():
    if not shutil.which('passt'):
        raise Skip('no passt')


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
        return [int(word) for word in f.read().split()]


def gone(pid):
    """Ended: whoever inherits it may not have waited for it."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as f:
            return f.read().split()[2] == 'Z'
    except OSError:
        return True


def ask(port, text):
    """A datagram to the host's port and its answer. The guest has said that it listens, and nothing on the way drops any."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(('127.0.0.1', port))
        s.settimeout(LIMIT)
        s.send(text)
        return s.recv(9000)


def converse(words='', prefix=(), folder=None, expect=r'address (\d+\.\d+\.\d+\.\d+)'):
    """Both ways, then the end."""
    need_passt()
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(LIMIT)
        server.bind(('127.0.0.1', 0))
        argv = guest('passt', '-n', f'mode=user,forward=udp:{port}:7{words}', '-p', f'port={server.getsockname()[1]}')
        if folder:
            argv = [a.replace(LKVM, f'{folder}/lkvm').replace(GUESTS, folder) for a in argv] + ['--dev', f'{folder}/kvm']
        vm = Vm([*prefix, *argv])
        vm.expect(r'card mtu 65520 link 1 csum 0\r?\n')
        vm.expect(expect)
        data, where = server.recvfrom(100)
        same(data, b'ask')
        server.sendto(b'told', where)
    vm.expect(r'answer told\r?\n')
    vm.expect(r'ready\r?\n')
    same(ask(port, b'x' * 1000), b'x' * 1000)
    pids = children(vm.proc.pid)
    same(len(pids), 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(('127.0.0.1', port))
        s.send(b'end')
        same(vm.end(), 0)
    until('passt is gone', lambda: gone(pids[0]))
    same(vm.seen.replace(b'\r', b''), b'')  # and nobody complained


def both_ways():
    converse()
    converse(words=',host_mac=02:00:00:00:00:77')


def addresses():
    converse(words=',guest_ip=10.11.12.13,host_ip=10.11.12.1', expect=r'address 10\.11\.12\.13\r?\nrouter 10\.11\.12\.1\r?\n')


def ordinary_user():
    need_passt()
    if os.geteuid():
        raise Skip('this is one')
    prefix = ['setpriv', '--reuid', '12345', '--regid', '12345', '--clear-groups']
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        try:
            os.mknod(f'{folder}/kvm', 0o600 | stat.S_IFCHR, os.stat('/dev/kvm').st_rdev)
            os.chown(f'{folder}/kvm', 12345, 12345)
            with open(f'{folder}/kvm', 'rb'):
                pass
        except OSError as why:
            raise Skip(f'no device of that user\'s: {why}') from why
        for file in LKVM, f'{GUESTS}/passt.flat':
            shutil.copy(file, folder)
            os.chmod(f'{folder}/{os.path.basename(file)}', 0o755)
        converse(prefix=prefix, folder=folder)


def killed():
    """The guest goes on without a network, and one line says why."""
    need_passt()
    vm = Vm(guest('passt', '-n', 'mode=user'))
    vm.expect(r'ready\r?\n')
    pid, = children(vm.proc.pid)
    os.kill(pid, signal.SIGKILL)
    vm.expect(r"lkvm: warning: virtio-net0: interface 'passt' was removed \((Broken pipe|No such device)\); the guest's link is down\r?\n")
    vm.expect(r'link down\r?\n')
    vm.end()
    assert b'warning' not in vm.seen, vm.seen


def lkvm_killed():
    need_passt()
    vm = Vm(guest('passt', '-n', 'mode=user'))
    vm.expect(r'ready\r?\n')
    pid, = children(vm.proc.pid)
    vm.proc.kill()
    until('passt is gone', lambda: gone(pid))


def fails(text, *words, lines=1, **more):
    r = subprocess.run(guest('passt', '-n', *words), capture_output=True, check=False, timeout=LIMIT, **more)
    assert r.returncode == 1 and text in r.stderr.decode() and r.stderr.count(b'\n') == lines, r


def failures():
    fails('install the package passt', 'mode=user', env={**os.environ, 'PATH': '/nonexistent'})
    need_passt()
    # It says what is wrong by itself, and lkvm that it stays without a network.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
        r = subprocess.run(guest('passt', '-n', f'mode=user,forward=udp:127.0.0.1:{port}:7'), capture_output=True, check=False,
                           timeout=LIMIT)
    assert r.returncode == 1 and b'lkvm: warning: passt: ' in r.stderr and b'passt has ended' in r.stderr, r


def descriptor():
    """passt's end of the socket is one that waits: else a frame that fits in part ends the network."""
    with tempfile.TemporaryDirectory() as folder:
        with open(f'{folder}/passt', 'w', encoding='ascii') as f:
            f.write('#!/bin/sh\nexec sed -n "s/^flags:[^0-9]*/flags /p" /proc/self/fdinfo/3 >&2\n')
        os.chmod(f'{folder}/passt', 0o755)
        r = subprocess.run(guest('passt', '-n', 'mode=user'), capture_output=True, check=False, timeout=LIMIT,
                           env={**os.environ, 'PATH': f'{folder}:{os.environ["PATH"]}'})
    flags = int(re.search(rb'flags (\d+)', r.stderr)[1], 8)
    same(flags & (os.O_NONBLOCK | os.O_ACCMODE), os.O_RDWR)


main([
    ('an address by DHCP, and packets both ways', both_ways),
    ('addresses that were given', addresses),
    ('an ordinary user', ordinary_user),
    ('passt is killed', killed),
    ('lkvm is killed', lkvm_killed),
    ('what cannot work', failures),
    ('the socket that passt is given', descriptor),
])
