# SPDX-License-Identifier: MIT
"""For the native tests in Python: TAP, and an lkvm whose console is a pipe or a terminal."""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
import traceback

LKVM = os.path.realpath(os.environ.get('LKVM', 'build/lkvm'))
GUESTS = os.path.realpath(os.environ.get('GUESTS', 'build/guests'))
# Seconds for anything: it ends what hangs, and is many times what the slowest machine needs (CONTRIBUTING.md).
LIMIT = int(os.environ.get('TEST_LIMIT') or 600)

# A shell that starts us in the background has two of these ignored, nohup the third, and lkvm would inherit that.
for number in signal.SIGINT, signal.SIGQUIT, signal.SIGHUP:
    signal.signal(number, signal.SIG_DFL)

# No colours and no progress, whatever the terminal is.
os.environ['TERM'] = 'dumb'

def lkvm(*args, status=0, **more):
    """Standard output and error of a command."""
    r = subprocess.run([LKVM, *args], capture_output=True, check=False, timeout=LIMIT, text=True, **more)
    assert r.returncode == status, (args, r)
    return r.stdout, r.stderr


def says(text, *args, status=1, **more):
    """It fails by one line."""
    out, err = lkvm(*args, status=status, **more)
    assert text in err and err.count('\n') == 1 and not out, (args, out, err)


NETNS = 'LKVM_TEST_NETNS'  # set inside


def enter_namespace():
    """Start anew inside a network namespace with a /sys of its own, where that is allowed."""
    if NETNS in os.environ or not os.access('/dev/net/tun', os.R_OK | os.W_OK):
        return
    for flags in ['-mn'], ['-rmn']:
        inside = ['unshare', *flags, 'sh', '-c', 'mount -t sysfs none /sys && ip link set lo up && exec "$@"', 'sh']
        try:
            if subprocess.run([*inside, 'true'], capture_output=True, check=False).returncode == 0:
                os.environ[NETNS] = '1'
                os.execvp('unshare', [*inside, sys.executable, os.path.realpath(sys.argv[0])])
        except OSError:
            return


class Skip(Exception):
    pass


def guest(name, *args, cpus=1):
    """The command line for a flat guest."""
    return [LKVM, 'run', '--loglevel', 'warning', '--nodefaults', '-m', '32', '-c', str(cpus),
            '-k', f'{GUESTS}/{name}.flat', '--kernel-format', 'flat', *args]


class Vm:
    """A running lkvm. @stdin: 'pipe', 'pty', or what Popen takes."""

    def __init__(self, argv, stdin='pipe', size=None, stderr=subprocess.STDOUT, **more):
        self.pty = stdin == 'pty'
        self.seen = b''
        if self.pty:
            self.master, self.slave = pty.openpty()
            if size:
                termios.tcsetwinsize(self.slave, (size[1], size[0]))
            self.modes = termios.tcgetattr(self.slave)
            self.proc = subprocess.Popen(argv, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                         start_new_session=True, preexec_fn=self.take_terminal, **more)
            self.infd = self.outfd = self.master
        else:
            pipe = stdin == 'pipe'
            self.proc = subprocess.Popen(argv, stdin=subprocess.PIPE if pipe else stdin,
                                         stdout=subprocess.PIPE, stderr=stderr, **more)
            self.infd = self.proc.stdin.fileno() if pipe else None
            self.outfd = self.proc.stdout.fileno()
        vms.append(self)

    @staticmethod
    def take_terminal():
        import fcntl
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def send(self, text):
        os.write(self.infd, text.encode())

    def read(self, seconds):
        """More output, or b'' at its end or after some time."""
        if not select.select([self.outfd], [], [], seconds)[0]:
            return b''
        try:
            more = os.read(self.outfd, 65536)
        except OSError:
            more = b''
        self.seen += more
        return more

    def expect(self, pattern):
        """Wait until the output matches; forget everything up to there. A value that the match ends with is whole only when
        something follows it."""
        end = time.monotonic() + LIMIT
        while not (m := re.search(pattern.encode(), self.seen)) or m.lastindex and m.end(m.lastindex) == len(self.seen):
            if time.monotonic() > end or not self.read(1) and self.proc.poll() is not None and not self.read(0):
                if m:
                    break
                raise AssertionError(f'no {pattern!r} in {self.seen!r}')
        self.seen = self.seen[m.end():]
        return m

    def end(self, seconds=LIMIT):
        """Wait for the end, reading on; the exit status (negative: a signal)."""
        end = time.monotonic() + seconds
        while self.proc.poll() is None:
            if time.monotonic() > end:
                raise AssertionError(f'lkvm does not end; last output {self.seen[-300:]!r}')
            self.read(0.02)
        while self.read(0):
            pass
        return self.proc.returncode

    def raw(self):
        """Is the terminal in raw mode?"""
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def restored(self):
        return termios.tcgetattr(self.slave) == self.modes

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        if self.pty:
            os.close(self.master)
            os.close(self.slave)
            self.pty = False
        for f in (self.proc.stdin, self.proc.stdout):
            if f:
                f.close()

    def proc_file(self, name):
        with open(f'/proc/{self.proc.pid}/{name}', encoding='ascii') as f:
            return f.read()

    def fds(self):
        return len(os.listdir(f'/proc/{self.proc.pid}/fd'))

    def threads(self):
        return len(os.listdir(f'/proc/{self.proc.pid}/task'))


vms = []


def until(what, condition):
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f'never: {what}')
        time.sleep(0.01)


def listens(path):
    """A program listens on the Unix socket that it bound by that name. Its file is there before."""
    with open('/proc/net/unix', encoding='utf-8', errors='replace') as f:
        return any(words[3] == '00010000' and words[-1] == path for line in f if (words := line.split()))


def same(got, want):
    if got != want:
        raise AssertionError(f'{got!r} is not {want!r}')


def main(tests):
    """Run (name, function) pairs as TAP. Control sockets are below a folder of the test's own."""
    if os.uname().machine != 'x86_64' or not os.access('/dev/kvm', os.R_OK | os.W_OK):
        print('1..0 # SKIP no access to /dev/kvm, or not x86-64')
        sys.exit(0)
    if not os.access(LKVM, os.X_OK) or not os.path.isdir(GUESTS):
        sys.exit('Bail out! run make all guests first')
    # Machines of others are not this test's.
    with tempfile.TemporaryDirectory(prefix='lkvm-run-') as folder:
        os.environ['XDG_RUNTIME_DIR'] = folder
        run_all(tests)


def run_all(tests):
    print(f'1..{len(tests)}')
    for n, (name, fn) in enumerate(tests, 1):
        try:
            fn()
            print(f'ok {n} - {name}')
        except Skip as why:
            print(f'ok {n} - {name} # SKIP {why}')
        except Exception:
            # Where prove does not swallow it.
            for line in traceback.format_exc().splitlines():
                print(f'# {line}', file=sys.stderr)
            print(f'not ok {n} - {name}')
        sys.stdout.flush()
        while vms:
            vms.pop().close()
