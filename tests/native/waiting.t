#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a terminal shows while lkvm waits for the programs that serve a machine, before the guest has it."""
import os
import shutil
import socket
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import LIMIT, LKVM, Skip, Vm, guest, main, same  # noqa: E402


def lively(argv, stdin='pty', **env):
    argv = [a if a != 'warning' else 'info' for a in argv]
    return Vm(argv, stdin=stdin, env={**os.environ, 'TERM': 'xterm', **env})


def vhost_user():
    """A back end that takes the connection and never answers, until it goes."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f'{folder}/s')
        listener.listen()
        listener.settimeout(LIMIT)
        vm = lively(guest('blk', '-d', f'vhost-user={folder}/s'))
        with listener.accept()[0]:
            vm.expect(r'\r\x1b\[Klkvm: waiting for --disk vhost-user=\S+: 1 s')
        vm.expect(r'\r\x1b\[Klkvm: (\x1b\[1;31m)?error:.* closed the connection\r?\n')
        same(vm.end(), 1)
        assert b'waiting for' not in vm.seen, vm.seen


def passt():
    """passt that starts when its wait was seen. The line goes before the guest has the terminal."""
    real = shutil.which('passt')
    if not real:
        raise Skip('no passt')
    with tempfile.TemporaryDirectory() as folder:
        with open(f'{folder}/passt', 'w', encoding='ascii') as f:
            f.write(f'#!/bin/sh\nuntil [ -e {folder}/seen ]; do sleep 0.1; done\nexec {real} "$@"\n')
        os.chmod(f'{folder}/passt', 0o755)
        vm = lively(guest('passt', '-n', 'mode=user'), PATH=f'{folder}:{os.environ["PATH"]}')
        vm.expect(r'\r\x1b\[Klkvm: waiting for passt: 1 s')
        with open(f'{folder}/seen', 'w', encoding='ascii'):
            pass
        vm.expect(r'\r\x1b\[K(?!lkvm: waiting)')
        vm.expect(r'ready\r?\n')
        assert b'waiting for' not in vm.seen, vm.seen


def no_terminal():
    """A pipe is shown nothing."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f'{folder}/s')
        listener.listen()
        listener.settimeout(LIMIT)
        vm = lively([LKVM, *guest('blk', '-d', f'vhost-user={folder}/s')[1:]], stdin='pipe')
        with listener.accept()[0] as connection:
            # Longer than a terminal would have waited for the first line.
            vm.read(1.5)
            connection.recv(100)
        same(vm.end(), 1)
        assert b'waiting' not in vm.seen and b'closed the connection' in vm.seen, vm.seen


main([
    ('a vhost-user back end', vhost_user),
    ('passt', passt),
    ('nothing where nobody looks', no_terminal),
])
