#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""virtio-vsock over unix sockets: a guest's own driver, programs of the host at both ends."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import LIMIT, Vm, guest, listens, main, same, until  # noqa: E402

folder = tempfile.mkdtemp(prefix='lkvm-vsock-')
PATH = f'{folder}/v'


def pattern(n, seed):
    return bytes((i * 167 + (i >> 8) * 13 + seed) & 255 for i in range(n))


def connect(port):
    """A connection to the guest's port, which it has taken."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(LIMIT)
    s.connect(PATH)
    s.sendall(f'CONNECT {port}\n'.encode())
    line = b''
    while not line.endswith(b'\n'):
        more = s.recv(1)
        if not more:
            return None
        line += more
    assert line.startswith(b'OK '), line
    return s


def exchange(s, data):
    """Write and read at once; what came back."""
    writer = threading.Thread(target=s.sendall, args=[data])
    writer.start()
    back = bytearray()
    while len(back) < len(data):
        more = s.recv(65536)
        assert more, f'the end after {len(back)} bytes'
        back += more
    writer.join()
    return back


def end(vm):
    with connect(52) as s:
        same(exchange(s, b'end'), b'end')
    same(vm.end(), 0)
    assert not os.path.exists(PATH), 'the socket is left behind'


def host_to_guest():
    for args in [], ['--virtio-transport', 'mmio']:
        vm = Vm(guest('vsock', '--vsock', f'1234,socket={PATH}', *args))
        vm.expect('vsock 1234\r?\n')
        with connect(52) as s:
            data = pattern(1 << 20 if not args else 1 << 16, 1)
            assert exchange(s, data) == data
        vm.expect(f'served {len(data)} bytes')
        same(connect(53), None)  # nobody listens
        end(vm)


def early():
    """A program that comes before the guest is there waits until it is."""
    got = []
    vm = Vm(guest('vsock', '--vsock', f'3,socket={PATH}', '-p', 'x' * 100))
    until('somebody listens', lambda: listens(PATH))
    t = threading.Thread(target=lambda: got.append(exchange(connect(52), b'early')))
    t.start()
    t.join()
    same(got, [b'early'])
    end(vm)


def guest_to_host():
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(LIMIT)
        server.bind(f'{PATH}_5000')
        server.listen()
        vm = Vm(guest('vsock', '--vsock', f'3,socket={PATH}', '-p', 'connect=5000 packets=64'))
        s, _ = server.accept()
        with s:
            s.settimeout(LIMIT)
            while data := s.recv(65536):
                s.sendall(data)
        vm.expect('client: 262144 bytes back, 0 words wrong, last operation [56]')
    os.unlink(f'{PATH}_5000')
    end(vm)


def refused():
    vm = Vm(guest('vsock', '--vsock', f'3,socket={PATH}', '-p', 'connect=5000'))
    vm.expect('client: 0 bytes back, 0 words wrong, last operation 3')
    with connect(52) as s:
        same(exchange(s, b'end'), b'end')
    same(vm.end(), 1)


def says(text, *args):
    r = subprocess.run(guest('vsock', *args), capture_output=True, check=False, timeout=LIMIT)
    assert r.returncode == 1 and text in r.stderr.decode() and r.stderr.count(b'\n') == 1, r


def names():
    """One that is in use, one that is something else, one that a killed lkvm left."""
    args = ['--vsock', f'3,socket={PATH}']
    vm = Vm(guest('vsock', *args))
    vm.expect('vsock 3')
    mode = os.stat(PATH).st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    same(mode, 0o777 & ~umask)
    says('another program listens there', *args)
    assert os.path.exists(PATH)
    vm.proc.kill()
    vm.proc.wait()
    assert os.path.exists(PATH)
    vm = Vm(guest('vsock', *args))
    vm.expect('vsock 3')
    end(vm)
    with open(PATH, 'w', encoding='ascii'):
        pass
    says('not a socket', *args)
    os.unlink(PATH)
    says('No such file', '--vsock', f'3,socket={folder}/none/v')


def signal_removes_the_name():
    vm = Vm(guest('vsock', '--vsock', f'3,socket={PATH}'))
    vm.expect('vsock 3')
    vm.proc.terminate()
    vm.end()
    assert not os.path.exists(PATH)


try:
    main([
        ('the host connects, both transports', host_to_guest),
        ('the host connects before the guest is there', early),
        ('the guest connects', guest_to_host),
        ('nobody listens on the host', refused),
        ('names: in use, left behind, something else', names),
        ('a signal ends lkvm, and the name goes', signal_removes_the_name),
    ])
finally:
    shutil.rmtree(folder, ignore_errors=True)
