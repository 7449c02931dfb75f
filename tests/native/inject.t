#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
From each place in the code that asks something of the host during a start, a call fails once (tests/native/inject): lkvm
ends with one line that tells what failed and why, before the guest's first word, or works nevertheless. It never hangs or
crashes, and leaves nothing. With TEST_ALL each call fails, not one for each place.
"""
import errno
import gzip
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import GUESTS, LIMIT, NETNS, Skip, enter_namespace, guest, main  # noqa: E402

INJECT = os.path.join(os.path.realpath(os.environ.get('NATIVE', 'build/native')), 'lkvm-fail')
KVM_ERROR = 102

# What the host says when it refuses: a limit for what makes something, else an error of the file or device.
LIMITS = {'mmap': errno.ENOMEM, 'malloc': errno.ENOMEM, 'calloc': errno.ENOMEM, 'realloc': errno.ENOMEM,
          'aligned_alloc': errno.ENOMEM, 'strdup': errno.ENOMEM, 'open_memstream': errno.ENOMEM,
          'pthread_create': errno.EAGAIN, 'madvise': errno.ENOMEM, 'epoll_ctl': errno.ENOSPC,
          'sigaction': errno.EINVAL, 'tcgetattr': errno.ENOTTY, 'setrlimit': errno.EPERM,
          'fallocate': errno.EOPNOTSUPP, 'KVM_RUN': errno.EFAULT, 'ioctl': errno.ENOMEM}
MAKE_FD = {'open', 'openat', 'fopen', 'opendir', 'fdopendir', 'eventfd', 'epoll_create1', 'signalfd',
           'memfd_create', 'pipe2', 'socket', 'mkostemp'}
# A guest that runs makes the same calls again and again.
OFTEN = {'KVM_RUN': 3, 'read': 30, 'write': 30, 'ioctl': 400}

# Said without the error's own words.
CAUSE = re.compile('has no KVM_CAP_|out of memory')


def error_of(function):
    return LIMITS.get(function, errno.EMFILE if function in MAKE_FD else errno.EIO)


class Run:
    """One run in a directory of its own."""

    def __init__(self, config, inject):
        self.config, self.inject = config, inject
        with tempfile.TemporaryDirectory() as path:
            argv = config.prepare(path)
            before = set(os.listdir(path))
            log = os.path.join(path, 'log')
            try:
                done = subprocess.run([INJECT, *argv], cwd=path, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT,
                                      env=dict(os.environ, INJECT=inject, INJECT_LOG=log), check=False)
                self.status, self.out, self.err = done.returncode, done.stdout, done.stderr.decode(errors='replace')
            except subprocess.TimeoutExpired as e:
                self.status, self.out, self.err = 'hang', e.stdout or b'', (e.stderr or b'').decode(errors='replace')
            self.told = ''
            if os.path.exists(log):
                with open(log, encoding='ascii') as f:
                    self.told = f.read()
            self.left = set(os.listdir(path)) - before - {'log'} - config.makes
        # Of several vcpus in any order; an MTU that nobody knows is the default one, and a link that nobody tells of is up.
        self.lines = sorted(self.out.replace(b'mtu 0', b'mtu 1500').replace(b'link 1', b'link 0').splitlines())
        self.errors = [line for line in self.err.splitlines() if line.startswith('lkvm: error: ')]

    def verdict(self, good):
        """What is wrong with it, or None."""
        if not self.told:
            return None  # threads share the calls: this time there were fewer
        starting = self.told.split()[-1] == 'starting'
        if self.status == 'hang':
            return 'hangs'
        if self.status < 0:
            return f'is killed by signal {-self.status}'
        if 'Sanitizer' in self.err or 'runtime error' in self.err:
            return 'has a fault that sanitizers see'
        if self.left:
            return f'leaves {sorted(self.left)}'
        if not self.errors:
            if (self.status, self.lines) == (good.status, good.lines) or (self.err != good.err and not starting):
                return None  # it works nevertheless, or a guest that runs has an error and lkvm a warning
            return 'is another guest' if self.status == good.status else 'ends without a word'
        if self.told.startswith('KVM_RUN') and 'KVM_RUN' in self.errors[0]:
            return None  # with the registers
        if self.status == KVM_ERROR and not starting:
            return None
        if len(self.errors) > 1:
            return f'tells {len(self.errors)} errors'
        if self.status not in (1, 2 if '--config' in self.config.argv else 1):
            return f'has an error, and status {self.status}'
        if starting and self.out:
            return 'fails after the guest began'
        if os.strerror(int(self.inject.rsplit(':', 1)[1])) not in self.errors[0] and not CAUSE.search(self.errors[0]):
            return 'does not tell the cause'
        return None


class Config:
    """What is run: @argv after lkvm, in a directory with @files (name and size, or bytes)."""

    def __init__(self, name, *argv, makes=(), status=0, **files):
        self.name, self.argv, self.status = name, argv, status
        self.files, self.makes = files, set(makes)

    def prepare(self, path):
        for name, what in self.files.items():
            with open(os.path.join(path, name), 'wb') as f:
                if isinstance(what, int):
                    f.truncate(what)
                else:
                    f.write(what)
        return self.argv


def flat(name, *args, **more):
    title, *args = args
    return Config(title, *guest(name, *args, **more.pop('guest', {}))[1:], **more)


def image(name, packed=False):
    with open(f'{GUESTS}/{name}', 'rb') as f:
        return gzip.compress(f.read()) if packed else f.read()


def configs():
    read = ['-d', 'disk', '-p', 'read']
    plain = ['run', '--loglevel', 'warning', '--nodefaults', '-m', '32', '-c', '1']
    hello = [*plain, '-k', 'kernel', '-i', 'initrd']
    return [
        flat('blk', 'a disk on PCI', *read, disk=65536),
        flat('blk', 'a disk on virtio-mmio', *read, '--virtio-transport', 'mmio', disk=65536),
        flat('blk', 'a disk and the split irqchip', *read, '--irqchip', 'split', disk=65536),
        flat('net', 'a tap', '-n', 'mode=tap,guest_mac=02:00:00:00:00:01', '-p', 'pings=1', status=1),
        flat('vcon', 'the virtio console', '--console', 'virtio', '--rng', '-p', 'rng'),
        flat('smp', 'three vcpus', guest={'cpus': 3}),
        Config('a packed kernel and an initrd', *hello, kernel=image('hello.elf', packed=True), initrd=10000),
        Config('a multiboot image', *hello, kernel=image('hello.multiboot'), initrd=100),
        Config('a file of options', *plain, '--config', 'options', kernel=image('hello.pvh'),
               options=b'kernel kernel\nparams some words\n'),
        Config('options to save', *plain, '-k', 'kernel', '--save-config', 'saved', kernel=100, makes=['saved']),
        Config('a dump of what is loaded', *plain, '-k', 'kernel', '--dump-boot', 'dump', kernel=image('hello.elf'),
               makes=['dump']),
    ]


ALL = bool(os.environ.get('TEST_ALL'))
seen = {}


def failures(calls):
    """The first call from each place in the code, and the last where it was never made so often before; or each call."""
    places = {}
    for line in calls.splitlines():
        function, n, place, _ = line.split()
        if int(n) <= OFTEN.get(function, 1000):
            places.setdefault((function, n if ALL else place), []).append(int(n))
    for at, numbers in places.items():
        before = 0 if ALL else seen.get(at, 0)
        seen[at] = max(before, len(numbers))
        if not before:
            yield f'{at[0]}:{min(numbers)}:{error_of(at[0])}'
        if len(numbers) > max(before, 1):
            yield f'{at[0]}:{max(numbers)}:{error_of(at[0])}'


def every_failure(config):
    if '-n' in config.argv and NETNS not in os.environ:
        raise Skip('no network namespace (needs root or user namespaces, ip and /dev/net/tun)')
    good = Run(config, 'list')
    assert good.status == config.status and not good.errors, (good.status, good.out, good.err)
    bad, todo = 0, list(failures(good.told))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for run in pool.map(lambda inject: Run(config, inject), todo):
            wrong = run.verdict(good)
            if not wrong:
                continue
            bad += 1
            print(f'# {run.inject} {wrong}: status {run.status}; {run.told.strip()}')
            for text in run.out[-200:].decode(errors='replace').splitlines() + run.err.splitlines()[:6]:
                print(f'#    {text}')
    print(f'# {config.name}: {len(todo)} failures')
    assert not bad, f'{bad} of {len(todo)}'


enter_namespace()
main([(f'each failure at the start with {c.name}', lambda c=c: every_failure(c)) for c in configs()])
