#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A command in the guest, from lkvm's streams to its own and back: lkvm's half (tests/native/command.c) and its init
(guest/init) over a socket, as process 1 of namespaces instead of a machine."""
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import termios

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from guestinit import Space  # noqa: E402
from native import LIMIT, Vm, main, same, until  # noqa: E402

HALF = os.path.join(os.path.realpath(os.environ.get('NATIVE', 'build/native')), 'command')


class Linked:
    """Both halves, around @command. @shell: what runs the first, with its words as "$@"."""

    def __init__(self, *command, shell='exec "$@"', stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, **conf):
        ours, theirs = socket.socketpair()
        self.space = Space(command, theirs, **conf)
        theirs.close()
        self.vm = Vm(['sh', '-c', shell, 'sh', HALF, str(ours.fileno())], stdin=stdin, stderr=stderr,
                     size=(97, 31), pass_fds=[ours.fileno()])
        ours.close()

    def end(self):
        """Its status."""
        status = self.vm.end() if self.vm.proc.returncode is None else self.vm.proc.returncode
        self.space.proc.communicate(timeout=LIMIT)
        self.space.close()
        return status

    def run(self):
        """Its status, standard output and error, of what is read to its end."""
        out, error = self.vm.proc.communicate(timeout=LIMIT)
        return self.end(), out, error


def statuses():
    for command, status in (['true'], 0), (['sh', '-c', 'exit 42'], 42), (['sh', '-c', 'kill -SEGV $$'], 139):
        same(Linked(*command).run(), (status, b'', b''))
    same(Linked('no-such').run(), (127, b'', b'lkvm: error: no-such: there is no such command in the guest\n'))
    same(Linked('true', source='/none').run()[0], 1)


def streams():
    with open('/etc/passwd', 'rb') as f:
        same(Linked('sh', '-c', 'cat; echo error >&2; exit 3', stdin=f).run(), (3, open('/etc/passwd', 'rb').read(), b'error\n'))
    # Without a standard input; with one that ends, or that nobody reads.
    same(Linked('cat', shell='exec "$@" <&-').run(), (0, b'', b''))
    same(Linked('wc', '-c', shell='printf 12345 | "$@"').run(), (0, b'5\n', b''))
    same(Linked('echo', 'x', shell='yes | "$@"').run(), (0, b'x\n', b''))
    # One that ends before the command looks at it.
    same(Linked('sh', '-c', 'sleep 0.2; cat; read line || echo end', shell='printf word | "$@"').run(), (0, b'wordend\n', b''))


def large():
    """100 MiB there and back, through pipes; its reader begins when the command waits for it."""
    with tempfile.TemporaryDirectory() as top:
        shell = f'head -c 104857600 /dev/urandom | tee {top}/given | "$@" | (until [ -s {top}/given ]; do :; done; exec sha256sum)'
        status, out, error = Linked('cat', shell=shell).run()
        with open(f'{top}/given', 'rb') as f:
            same((status, out.decode(), error), (0, f'{hashlib.file_digest(f, "sha256").hexdigest()}  -\n', b''))


def broken_pipe():
    """Who reads the output goes away: the command gets SIGPIPE, as in a pipeline; a full disk is told of."""
    same(Linked('sh', '-c', 'yes; echo $? >&2', shell='"$@" | head -n 1').run(), (0, b'y\n', b'141\n'))
    same(Linked('sh', '-c', 'yes; exit 9', shell='exec "$@" >/dev/full').run(),
         (9, b'', b'lkvm: error: cannot write to standard output: No space left on device; it is closed to the command\n'))


def signals():
    linked = Linked('sh', '-c', 'trap "echo got it; exit 9" INT; echo ready; while :; do sleep 0.1; done')
    linked.vm.expect('ready\n')
    linked.vm.proc.send_signal(signal.SIGINT)
    linked.vm.expect('got it\n')
    same(linked.end(), 9)
    linked = Linked('sh', '-c', 'echo ready; exec sleep 1000')
    linked.vm.expect('ready\n')
    linked.vm.proc.send_signal(signal.SIGHUP)
    same(linked.end(), 128 + signal.SIGHUP)
    # The second is not the command's.
    linked = Linked('sh', '-c', 'trap "echo got it" TERM; echo ready; while :; do sleep 0.1; done')
    linked.vm.expect('ready\n')
    linked.vm.proc.send_signal(signal.SIGTERM)
    linked.vm.expect('got it\n')
    linked.vm.proc.send_signal(signal.SIGTERM)
    same(linked.end(), 1)


def terminal():
    linked = Linked('sh', '-c', 'stty size; read line; echo "it was $line"; read line; exit 7', stdin='pty')
    linked.vm.expect('31 97\r\n')
    assert linked.vm.raw()
    linked.vm.send('typed\r')
    linked.vm.expect('typed\r\nit was typed\r\n')
    linked.vm.send('\r')
    same(linked.end(), 7)
    assert linked.vm.restored()
    # A new size, and Ctrl-C.
    linked = Linked('sh', '-c', 'trap "stty size" WINCH; echo ready; while :; do sleep 0.1; done', stdin='pty')
    linked.vm.expect('ready')
    termios.tcsetwinsize(linked.vm.master, (20, 60))
    linked.vm.expect('20 60')
    linked.vm.send('\x03')
    same(linked.end(), 128 + signal.SIGINT)


def job_control():
    """A shell that is interactive: Ctrl-C and Ctrl-Z are for what runs in its foreground."""
    linked = Linked('sh', '-i', stdin='pty', env=['PS1=ready>', 'HOME=/'])
    for key, shown in ('\x03', '130'), ('\x1a', str(128 + signal.SIGTSTP)):
        linked.vm.expect('ready>')
        linked.vm.send("sh -c 'echo begun-$((6*7)); exec cat'\n")
        linked.vm.expect('\nbegun-42')
        linked.vm.send(key)
        linked.vm.expect('ready>')
        linked.vm.send('echo status-$?\n')
        linked.vm.expect(f'\nstatus-{shown}\r')
    linked.vm.expect('ready>')
    linked.vm.send('jobs; exit 1; exit 7\n')
    linked.vm.expect('Stopped')  # with jobs the first exit is a warning
    same(linked.end(), 7)
    assert linked.vm.restored()


def interrupted():
    """A guest that never says anything: Ctrl-C is for lkvm, since nobody else is there."""
    ours, theirs = socket.socketpair()
    vm = Vm([HALF, str(ours.fileno())], stdin='pty', pass_fds=[ours.fileno()])
    ours.close()
    until('raw', vm.raw)
    vm.send('typed ahead\x03')
    same(vm.end(), 1)
    assert vm.restored()
    theirs.close()


def apart_from_the_terminal():
    """What is no terminal outside is none inside."""
    with tempfile.TemporaryDirectory() as top:
        linked = Linked('sh', '-c', 'test -t 0 && test ! -t 1 && test -t 2 && echo out && echo error >&2 && stty size',
                        shell=f'exec "$@" >{top}/out', stdin='pty')
        linked.vm.expect('error\r\n')
        same(linked.end(), 0)
        with open(f'{top}/out', 'rb') as f:
            same(f.read(), b'out\n31 97\n')


main([
    ('exit statuses, and what could not be started', statuses),
    ('standard input, output and error', streams),
    ('100 MiB through standard input and output, unharmed', large),
    ('a reader that goes away, a full disk', broken_pipe),
    ('signals: the first is the command\'s, the second ends lkvm', signals),
    ('a terminal: raw, its size, Ctrl-C', terminal),
    ('a shell with job control', job_control),
    ('Ctrl-C before the command has begun', interrupted),
    ('streams that are no terminal beside one', apart_from_the_terminal),
])
