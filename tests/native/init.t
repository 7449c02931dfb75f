#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lkvm's init for Linux guests (guest/init), as process 1 of namespaces instead of a machine: mounts, the command's streams,
its end. The test is lkvm's side of the link (include/lkvm/guest-link.h)."""
import hashlib
import os
import signal
import socket
import struct
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from guestinit import Space  # noqa: E402
from native import LIMIT, main, same  # noqa: E402

HELLO, RUNNING, EXIT, START, SIGNAL, SIZE, DATA, EOF, WINDOW, CLOSED = 1, 2, 3, 16, 17, 18, 32, 33, 34, 35
STDIN, STDOUT, STDERR, TERMINAL = range(4)


class Init:
    """One that runs @command. @conf: entries of init.conf, which replace those of the same name here."""

    def __init__(self, command, *, tty=0, size=(0, 0), window=1 << 30, linked=True, modules='', **conf):
        self.out = {STDOUT: bytearray(), STDERR: bytearray(), TERMINAL: bytearray()}
        self.room, self.types, self.status, self.text = 0, [], None, ''
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(LIMIT)
        self.space = Space(command, theirs if linked else None, modules, **conf)
        self.proc = self.space.proc
        theirs.close()
        self.file = self.sock.makefile('rb')
        if linked:
            same(self.take()[0], HELLO)
            self.send(START, 0, struct.pack('<IIHH', 1, tty, *size))
            for stream in self.out:
                self.send(WINDOW, stream, struct.pack('<I', window))

    def send(self, kind, stream, data=b''):
        self.sock.sendall(struct.pack('<IBBH', len(data), kind, stream, 0) + data)

    def take(self):
        """One message, kept; None: there are no more."""
        head = self.file.read(8)
        if len(head) < 8:
            return None
        size, kind, stream, zero = struct.unpack('<IBBH', head)
        data = self.file.read(size)
        assert size <= 32768 and not zero
        self.types.append(kind)
        if kind == DATA:
            self.out[stream] += data
        elif kind == WINDOW:
            self.room += struct.unpack('<I', data)[0]
        elif kind == EXIT:
            self.status, self.text = struct.unpack('<I', data[:4])[0], data[4:].decode()
        return kind, stream, data

    def until(self, kind):
        while kind not in self.types:
            assert self.take(), f'the link ended; {self.out}'

    def end(self):
        """Its exit status."""
        while self.status is None:
            assert self.take(), f'the link ended; {self.out} {self.proc.communicate()}'
        self.close()
        return self.status

    def close(self):
        self.file.close()
        self.sock.close()
        said = self.proc.communicate(timeout=LIMIT)[1].decode()
        self.space.close()
        return said


def run(*command, data=b'', **more):
    """A command to its end: its Init."""
    init = Init(command, **more)
    init.until(RUNNING)
    if data:
        init.send(DATA, STDIN, data)
    init.send(EOF, STDIN)
    init.end()
    return init


def statuses():
    same(run('true').status, 0)
    same(run('sh', '-c', 'exit 42').status, 42)
    same(run('sh', '-c', 'kill -SEGV $$').status, 128 + signal.SIGSEGV)
    for command, status, text in (('no-such-command', 127, 'there is no such command in the guest'),
                                  ('/etc/no/such', 127, 'No such file or directory'),
                                  ('/etc/passwd', 126, 'Permission denied'), ('/etc', 126, 'Permission denied')):
        init = Init([command])
        same((init.end(), init.text), (status, f'{command}: {text}'))


def streams():
    init = run('sh', '-c', 'cat; echo more; echo error >&2', data=b'a\0\xffb')
    same((init.out[STDOUT], init.out[STDERR]), (b'a\0\xffbmore\n', b'error\n'))
    same((init.types[0], init.types[-1], sorted(kind for kind in init.types if kind in (RUNNING, EOF, EXIT))),
         (HELLO, EXIT, [RUNNING, EXIT, EOF, EOF]))


def background():
    """What a command leaves behind ends with it, and keeps nothing open."""
    same(run('sh', '-c', 'sleep 1000 & echo out').out[STDOUT], b'out\n')
    # Others' children, which become init's, are not its end.
    reaped = '(sh -c "exit 3" & :); while grep -qs ") Z " /proc/[0-9]*/stat; do :; done'
    init = run('sh', '-c', f'{reaped}; cat /proc/1/comm; exit 7')
    same((init.status, init.out[STDOUT]), (7, b'init\n'))


def windows():
    """Nothing goes out beyond what was agreed, and streams do not wait for each other."""
    init = Init(['sh', '-c', 'head -c 300000 /dev/zero & echo error >&2; wait'], window=1000)
    while not init.out[STDERR] or len(init.out[STDOUT]) < 1000:
        init.take()
    same(len(init.out[STDOUT]), 1000)
    init.send(WINDOW, STDOUT, struct.pack('<I', 1 << 20))
    same((init.end(), len(init.out[STDOUT])), (0, 300000))


def closed():
    """Nobody reads the output any more: SIGPIPE, as in a pipeline."""
    init = Init(['sh', '-c', 'yes; echo $? >&2'], window=10)
    init.send(CLOSED, STDOUT)
    init.end()
    same(init.out[STDERR], b'141\n')


def input_room():
    """Input goes as far as there is room, which comes when the command reads."""
    init = Init(['sh', '-c', 'read word; exec sha256sum'])
    init.until(WINDOW)
    same(init.room, 65536)
    total, sent, left = hashlib.sha256(), 0, 100 << 20
    init.send(DATA, STDIN, b'go\n')
    init.room -= 3
    while left:
        while not init.room:
            init.take()
        block = os.urandom(min(init.room, 32768, left))
        total.update(block)
        init.send(DATA, STDIN, block)
        init.room -= len(block)
        left -= len(block)
    init.send(EOF, STDIN)
    same((init.end(), init.out[STDOUT].decode()), (0, f'{total.hexdigest()}  -\n'))


def output_whole():
    init = run('sh', '-c', 'head -c 104857600 /dev/urandom | tee /dev/stderr | sha256sum')
    total = hashlib.sha256(init.out[STDERR])
    same((len(init.out[STDERR]), init.out[STDOUT].decode()), (100 << 20, f'{total.hexdigest()}  -\n'))


def signals():
    init = Init(['sh', '-c', 'trap "echo got it; exit 9" INT; echo ready; while :; do sleep 1; done'])
    while b'ready' not in init.out[STDOUT]:
        init.take()
    init.send(SIGNAL, 0, struct.pack('<I', signal.SIGINT))
    same((init.end(), init.out[STDOUT]), (9, b'ready\ngot it\n'))
    init = Init(['sleep', '1000'])
    init.until(RUNNING)
    init.send(SIGNAL, 0, struct.pack('<I', signal.SIGTERM))
    same(init.end(), 128 + signal.SIGTERM)


def terminal():
    script = 'test -t 0 && test -t 1 && test ! -t 2 && stty size && tty && read line && echo "line=$line" >&2 && stty size >&2'
    init = Init(['sh', '-c', script], tty=1 << STDIN | 1 << STDOUT, size=(101, 47))
    while b'/dev/pts/' not in init.out[TERMINAL]:
        init.take()
    init.send(SIZE, 0, struct.pack('<HH', 60, 20))
    init.send(DATA, STDIN, b'typed\r')
    same((init.end(), init.out[STDERR]), (0, b'line=typed\n'
                                          b'20 60\n'))
    assert init.out[TERMINAL].startswith(b'47 101\r\n'), init.out
    # Ctrl-C is the terminal's.
    init = Init(['sh', '-c', 'echo ready; exec sleep 1000'], tty=7)
    while b'ready' not in init.out[TERMINAL]:
        init.take()
    init.send(DATA, STDIN, b'\x03')
    same(init.end(), 128 + signal.SIGINT)
    # A shell obeys the end of its line.
    init = Init([], tty=7, shell='/bin/sh', env=['PS1=prompt>', 'HOME=/nowhere'])
    while b'prompt>' not in init.out[TERMINAL]:
        init.take()
    init.send(SIGNAL, 0, struct.pack('<I', signal.SIGTERM))
    same(init.end(), 128 + signal.SIGHUP)
    # Nobody sees it any more.
    init = Init(['sh', '-c', 'trap "exit 5" HUP; echo ready; while :; do sleep 0.1; done'], tty=7)
    while b'ready' not in init.out[TERMINAL]:
        init.take()
    init.send(CLOSED, TERMINAL)
    same(init.end(), 5)


def root():
    init = run('sh', '-c', 'pwd; hostname; echo $TERM $HOME $PATH; stat -f -c %T / /proc /sys /run /dev/pts /dev/shm; '
               'cat /sys/class/net/lo/flags; readlink /dev/stdin; echo written >/here && cat /here',
               dir='/usr/bin', hostname='box', env=['TERM=xterm-256color', 'HOME=/home/x'])
    same(init.out[STDOUT].decode().split('\n'), [
        '/usr/bin', 'box', 'xterm-256color /home/x /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        'overlayfs', 'proc', 'sysfs', 'tmpfs', 'devpts', 'tmpfs', '0x9', '/proc/self/fd/0', 'written', ''])
    assert not os.path.exists('/here')
    # Without an overlay.
    with tempfile.TemporaryDirectory() as top:
        init = run('sh', '-c', f'cat /proc/mounts | wc -l; touch {top}/new /tmp/file; stat -f -c %T /tmp', mode='ro')
        same(init.out[STDOUT].decode().split('\n')[1:], ['tmpfs', ''])
        assert b'Read-only' in init.out[STDERR] or '/tmp/' in top, init.out
        same(os.listdir(top), [])
    with tempfile.TemporaryDirectory(dir='/var/tmp') as top:
        run('sh', '-c', f'pwd > {top}/new', mode='rw', dir=top)
        with open(f'{top}/new', encoding='ascii') as f:
            same(f.read(), f'{top}\n')


def failures():
    for conf, text in (({'root': '9q', 'source': 'tag'}, 'cannot mount the root (tag of type 9q): the kernel does not know this type; hint'),
                       ({'source': '/none'}, 'cannot mount the root (/none of type bind): No such file or directory; hint'),
                       ({'root': '9q', 'source': 'tag', 'modules': '/lkvm/none.ko\n'},
                        'cannot mount the root (tag of type 9q): the kernel does not know this type; its module none.ko could not '
                        'be loaded: No such file or directory; hint')):
        init = Init(['true'], hint='hint', **conf)
        same((init.end(), init.text), (1, text))
    for command in ['true'], []:
        init = Init(command, linked=False)
        said = init.close()
        # Its line is for the console, where there is one.
        assert not said or 'has no virtio console' in said, said
    init = Init(['true'], dir='/none')
    same((init.end(), init.text), (1, 'the guest cannot begin in /none: No such file or directory; change to a directory '
                                      'that its root has, which /dev, /proc and /sys are not'))
    init = Init([], dir='/none')
    init.until(RUNNING)
    init.send(DATA, STDIN, b'pwd\n')
    init.send(EOF, STDIN)
    same((init.end(), init.out[STDOUT]), (0, b'/\n'))


def hostile():
    """lkvm is trusted by its init, but a link that breaks must end it."""
    init = Init(['sleep', '1000'])
    init.until(RUNNING)
    init.sock.sendall(struct.pack('<IBBH', 0xffffffff, DATA, 0, 0))
    while init.take():
        pass
    init.close()
    same(init.status, None)
    init = Init(['sleep', '1000'])
    init.until(RUNNING)
    init.close()


main([
    ('exit statuses: of a command, of a signal, not found, not executable', statuses),
    ('standard input, output and error are apart, and binary', streams),
    ('what runs on is ended; children of others are reaped', background),
    ('output waits for room, each stream for its own', windows),
    ('a closed output is a broken pipe', closed),
    ('100 MiB of input, as there is room', input_room),
    ('100 MiB of output', output_whole),
    ('signals reach the command', signals),
    ('a terminal: its size, Ctrl-C, a shell that is hung up', terminal),
    ('the root: overlay, read-only, written through; what belongs to it', root),
    ('what cannot be mounted is named', failures),
    ('a broken link, and none, end it', hostile),
])
