#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compressed kernels: unpacked once for each start, straight into guest memory, and kept nowhere."""
import gzip
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import GUESTS, LKVM, Skip, Vm, main, same  # noqa: E402

MIB = 1 << 20
BIG = 40 * MIB
AT = 32 * MIB  # where it is loaded
MEMORY = 128 * MIB
NOTE = struct.pack('<III', 6, 4, 0x100) + b'Linux\0\0\0' + bytes(4)  # only Linux has such

directory = tempfile.TemporaryDirectory()
folder = Path(directory.name)


def filling():
    """It compresses to about a third, by either way."""
    data = bytearray(BIG)
    data[::4] = os.urandom(BIG // 4)
    return bytes(data)


def elf(notes):
    """The guest with a segment of BIG bytes that ends with @notes notes, which are to be known before it is loaded."""
    old = Path(f'{GUESTS}/exit.elf').read_bytes()
    phoff, = struct.unpack_from('<Q', old, 32)
    count, = struct.unpack_from('<H', old, 56)
    notes = NOTE * notes
    big_at = (len(old) + 0x1000 + 0xfff) & ~0xfff
    headers = []
    for i in range(count):
        kind, flags, offset, *rest = struct.unpack_from('<IIQQQQQQ', old, phoff + i * 56)
        headers.append(struct.pack('<IIQQQQQQ', kind, flags, offset + 0x1000, *rest))
    headers.append(struct.pack('<IIQQQQQQ', 1, 7, big_at, AT, AT, BIG, BIG, 0x1000))
    end = BIG - len(notes)
    headers.append(struct.pack('<IIQQQQQQ', 4, 4, big_at + end, AT + end, AT + end, len(notes), len(notes), 4))
    head = bytearray(old[:64])
    struct.pack_into('<QQ', head, 32, 64, 0)  # program headers, no sections
    struct.pack_into('<HHHHH', head, 54, 56, len(headers), 64, 0, 0)
    body = (bytes(head) + b''.join(headers)).ljust(0x1000, b'\0') + old
    return body.ljust(big_at, b'\0') + filling()[:end] + notes


def flat():
    return Path(f'{GUESTS}/exit.flat').read_bytes().ljust(4 * MIB, b'\0') + filling()


def pack(data, how):
    path = folder / f'kernel.{how}'
    if how == 'gzip':
        path.write_bytes(gzip.compress(data, 1))
    elif 'zstd: no' in subprocess.run([LKVM, 'version'], capture_output=True, text=True, check=True).stdout:
        raise Skip('this lkvm was built without it')
    elif not shutil.which('zstd'):
        raise Skip('no zstd to make one')
    else:
        path.write_bytes(subprocess.run(['zstd', '-qc'], input=data, capture_output=True, check=True).stdout)
    return path


def start(path, *args):
    return Vm([LKVM, 'run', '--loglevel', 'warning', '--nodefaults', '-m', str(MEMORY // MIB), '-c', '1', '-k', str(path),
               '-p', 'ask', *args])


def reads(vm):
    """What it has read so far: bytes, calls."""
    return [int(line.split()[1]) for line in vm.proc_file('io').splitlines() if line.startswith(('rchar', 'syscr'))]


def resident(vm):
    """What is there of guest memory, and of all else. Advice about huge pages may cut guest memory into mappings side by side."""
    runs, end = [], None
    for line in vm.proc_file('smaps').splitlines():
        words = line.split()
        if re.match('[0-9a-f]+-', words[0]):
            start, after = (int(word, 16) for word in words[0].split('-'))
            if start != end or len(words) > 5:
                runs.append([0, 0])
            runs[-1][0] += after - start
            end = after if len(words) == 5 else None
        elif words[0] == 'Rss:':
            runs[-1][1] += int(words[1]) << 10
    guest = sum(rss for size, rss in runs if size >= MEMORY)
    return guest, sum(rss for _, rss in runs) - guest


def check(image, how, *args):
    path = pack(image, how)
    size = path.stat().st_size
    assert size > 10 * MIB
    vm = start(path, *args)
    before = 0
    for _ in range(3):
        vm.expect('boot')
        so_far = reads(vm)[0]
        assert size // 2 < so_far - before < size + MIB, f'{so_far - before} bytes were read of {size}'
        before = so_far
        guest, other = resident(vm)
        # Something mapped beside it would count as guest memory.
        assert BIG < guest < BIG + BIG // 2, f'{guest} bytes of guest memory, {BIG} of them the kernel'
        assert other < BIG // 2, f'{other} bytes beside guest memory'
        vm.send('r')
    vm.expect('boot')
    vm.send('q')
    same(vm.end(), 42)


def packed_elf(how):
    return lambda: check(elf(1), how)


def packed_flat(how):
    return lambda: check(flat(), how, '--kernel-format', 'flat')


def fails(path, message):
    vm = start(path)
    same(vm.end(), 1)
    assert message in vm.seen.decode(), vm.seen
    same(vm.seen.count(b'\n'), 1)


def broken_files():
    path = pack(elf(1), 'gzip')
    good = path.read_bytes()
    path.write_bytes(good[:len(good) * 2 // 3])
    fails(path, 'its gzip data ends too early (truncated file?)')
    second = bytearray(gzip.compress(elf(1)[BIG // 2:], 1))
    second[10] |= 6  # RFC 1951, 3.2.3: a type of block that there is not
    path.write_bytes(gzip.compress(elf(1)[:BIG // 2], 1) + second)
    fails(path, 'its gzip data is damaged')
    path.write_bytes(good[:-8] + bytes(4) + good[-4:])
    fails(path, 'its gzip data is damaged')
    path.write_bytes(gzip.compress(elf(1)[:BIG // 2], 1))
    fails(path, 'unpacked by gzip: it is shorter than its headers say (truncated?)')


def change_before_reboot():
    for change, message in (
            (lambda p, n: os.truncate(p, n // 2), 'it is shorter than when it was opened; do not change it'),
            (lambda p, n: p.write_bytes(bytes(n)), 'its gzip data is damaged')):
        path = pack(elf(1), 'gzip')
        vm = start(path)
        vm.expect('boot')
        change(path, path.stat().st_size)
        vm.send('r')
        same(vm.end(), 1)
        assert message in vm.seen.decode(), vm.seen


def calls_for_notes():
    """What a kernel is costs the same few reads, however much it has to say."""
    calls = []
    for notes in 1, 200:
        path = folder / 'kernel'
        path.write_bytes(elf(notes))
        vm = start(path)
        vm.expect('boot')
        calls.append(reads(vm)[1])
        vm.send('q')
        same(vm.end(), 42)
    assert calls[1] <= calls[0] + 2, f'{calls[0]} reads, {calls[1]} with many notes'


main([
    ('an ELF kernel, compressed by gzip', packed_elf('gzip')),
    ('an ELF kernel, compressed by zstd', packed_elf('zstd')),
    ('a flat image, compressed by gzip', packed_flat('gzip')),
    ('a flat image, compressed by zstd', packed_flat('zstd')),
    ('what is damaged, or ends too early', broken_files),
    ('a file that changes before a reboot', change_before_reboot),
    ('the reads for notes', calls_for_notes),
])
