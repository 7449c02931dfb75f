#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Signals when the main loop does not run: while an image is read, between two boots, at the end. The C library's
calls are made to wait there for ever (and say so on standard error), so nothing depends on time."""
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import GUESTS, LIMIT, LKVM, Skip, Vm, guest, main, same, until  # noqa: E402

# STOP_AT names a call and which one of those on the file STOP_FILE stops.
SHIM = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void stop(const char *call, int fd)
{
	const char *at = getenv("STOP_AT"), *file = getenv("STOP_FILE");
	static const char marker[] = "STOPPED HERE\n";
	static int seen;
	char link[64], path[512];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0 || !at || strncmp(at, call, strlen(call)))
		return;
	path[n] = 0;
	if (strcmp(path, file) || ++seen != atoi(at + strlen(call) + 1))
		return;
	(void)!write(2, marker, sizeof(marker) - 1);
	for (;;)
		pause();
}

ssize_t pread64(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t (*real)(int, void *, size_t, off_t) = dlsym(RTLD_NEXT, "pread64");

	stop("pread", fd);
	return real(fd, buf, len, offset);
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	return pread64(fd, buf, len, offset);
}

int fstat(int fd, struct stat *st)
{
	int (*real)(int, struct stat *) = dlsym(RTLD_NEXT, "fstat");

	stop("fstat", fd);
	return real(fd, st);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t) = dlsym(RTLD_NEXT, "pwritev");

	stop("pwritev", fd);
	return real(fd, iov, count, offset);
}
'''

tmp = os.path.realpath(tempfile.mkdtemp())
shim = f'{tmp}/shim.so'
initrd = f'{tmp}/initrd'
disk = f'{tmp}/disk.img'


def prepare():
    for path in initrd, disk:
        with open(path, 'wb') as f:
            f.write(b'x' * 65536)
    compiler = shutil.which(os.environ.get('CC', 'cc').split()[0])
    if compiler:
        subprocess.run([compiler, '-w', '-shared', '-fPIC', '-include', 'sys/stat.h', '-include', 'sys/uio.h', '-x', 'c', '-', '-o', shim, '-ldl'],
                       input=SHIM, text=True, check=True)


def sanitized():
    with open(LKVM, 'rb') as f:
        return b'libasan' in f.read()


def stopped(argv, at, file, stdin='pty', **more):
    """An lkvm that waits for ever in that call."""
    if not os.path.exists(shim):
        raise Skip('no compiler')
    if sanitized():
        raise Skip('sanitizers do not go together with the shim')
    env = dict(os.environ, LD_PRELOAD=shim, STOP_AT=at, STOP_FILE=file, **more)
    vm = Vm(argv, stdin=stdin, env=env)
    vm.expect('STOPPED HERE')
    return vm


def ends_at_once(vm, number):
    vm.proc.send_signal(number)
    same(vm.end(), -number)
    if vm.pty:
        assert vm.restored(), 'the terminal is not as it was'


def while_loading():
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        vm = stopped(guest('echo', '-i', initrd), 'pread 1', initrd)
        assert vm.restored(), 'raw before the guest runs'
        ends_at_once(vm, number)
    # The terminal's own key is as good.
    vm = stopped(guest('echo', '-i', initrd), 'pread 1', initrd)
    vm.send('\x03')
    same(vm.end(), -signal.SIGINT)
    assert vm.restored()


def while_opening():
    for stdin in 'pty', subprocess.DEVNULL:
        ends_at_once(stopped(guest('echo', '-d', disk), 'fstat 1', disk, stdin), signal.SIGTERM)


def between_boots():
    for number in signal.SIGTERM, signal.SIGINT:
        vm = stopped(guest('exit', '-i', initrd, '-p', 'reset'), 'pread 2', initrd)
        ends_at_once(vm, number)
    vm = stopped(guest('exit', '-i', initrd, '-p', 'reset'), 'pread 2', initrd)
    vm.send('\x03')
    same(vm.end(), -signal.SIGINT)
    assert vm.restored()


def reboot_loop():
    """A guest that resets at once: each request of an end is one, wherever in the loop it comes."""
    argv = guest('exit', '-p', 'reset')
    argv[argv.index('warning')] = 'error'
    for i in range(30):
        vm = Vm(argv)
        vm.expect('reset register')
        ends_at_once(vm, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[i % 3])
        vm.close()
        vm = Vm(argv, stdin='pty')
        vm.expect('reset register')
        until('raw mode', vm.raw)
        vm.send('\x01x')
        same(vm.end(), 0)
        assert vm.restored()
        vm.close()
    vm = Vm(['timeout', '1', *argv])
    same(vm.end(), 124)


def served(vm):
    """Does the main loop serve SIGTERM, which is blocked then?"""
    line = next(x for x in vm.proc_file('status').splitlines() if x.startswith('SigBlk'))
    return int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1


WAYS = {}, {'LKVM_RELEASE_ALL': '1'}


def slow_end(way):
    """A guest that has a write under way with a disk that never answers: its end waits for that."""
    vm = stopped(guest('blk', '-d', disk, '-p', 'flood'), 'pwritev 1', disk, **way)
    until('raw mode', vm.raw)
    return vm


def at_the_end():
    for way in WAYS:
        vm = slow_end(way)
        vm.proc.send_signal(signal.SIGTERM)
        until('the end', lambda: not served(vm))
        same(vm.proc.poll(), None)
        ends_at_once(vm, signal.SIGTERM)


def menu_twice():
    for way in WAYS:
        vm = slow_end(way)
        vm.send('\x01x')
        until('the end', lambda: not served(vm))
        same(vm.proc.poll(), None)
        vm.send('\x01x')
        same(vm.end(), -signal.SIGINT)
        assert vm.restored()


def ignored():
    """nohup, a script's '&': what is ignored stays ignored, with a terminal and without, in each command."""
    some = signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTSTP
    trap = 'trap "" ' + ' '.join(number.name[3:] for number in some) + '; exec "$@"'
    for stdin in 'pipe', 'pty':
        vm = Vm(['sh', '-c', trap, 'sh', *guest('echo')], stdin=stdin)
        vm.expect('ready')
        if vm.pty:
            until('raw mode', vm.raw)
        for number in some:
            vm.proc.send_signal(number)
        vm.send('hello\r' if vm.pty else 'hello\n')
        vm.expect("got 'hello'")
        ends_at_once(vm, signal.SIGTERM)
    vm = Vm(['sh', '-c', trap, 'sh', LKVM, 'selftest', f'{GUESTS}/exit.flat', '--kernel-format', 'flat', '-m', '32',
             '-c', '1', '-p', 'hang'])
    vm.expect('boot')
    for number in some:
        vm.proc.send_signal(number)
    until('it has taken them', lambda: not pending(vm))
    same(vm.proc.poll(), None)
    ends_at_once(vm, signal.SIGTERM)


def pending(vm):
    return any(int(line.split()[1], 16) for line in vm.proc_file('status').splitlines() if line.startswith('ShdPnd'))


def every_signal():
    """Whatever ends a process by default ends lkvm by that signal, with the terminal as it was."""
    harmless = {signal.SIGCHLD, signal.SIGCONT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGURG,
                signal.SIGWINCH, signal.SIGSTOP, signal.SIGKILL}
    some = [n for n in signal.valid_signals() if n < 32 and n not in harmless]
    for number in [*some, signal.SIGRTMIN, signal.SIGRTMIN + 1, signal.SIGRTMAX]:
        if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT) and sanitized():
            continue
        vm = Vm(guest('exit', '-p', 'hang'), stdin='pty')
        vm.expect('boot')
        until('raw mode', vm.raw)
        ends_at_once(vm, number)
        vm.close()


def limited(size, argv, **more):
    """lkvm with 'ulimit -f' of @size bytes."""
    return Vm(argv, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)), **more)


def turns(pid):
    """How often a process's main thread has gone to sleep."""
    with open(f'/proc/{pid}/status', encoding='ascii') as f:
        return int(re.search(r'^voluntary_ctxt_switches:\s*(\d+)', f.read(), re.M)[1])


def output_beyond_the_limit():
    """The output is dropped, the guest goes on."""
    with open(f'{tmp}/out', 'wb') as out:
        vm = subprocess.Popen(guest('echo', '-p', 'flood'), stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.PIPE,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)))
        try:
            line = vm.stderr.readline()
            assert b'File too large; guest output is dropped' in line, line
            # The main thread writes too: it is the one that signals end.
            before = turns(vm.pid)
            until('more turns of the main loop', lambda: vm.poll() is not None or turns(vm.pid) > before + 20)
            same(vm.poll(), None)
            vm.terminate()
            same((vm.wait(LIMIT), vm.stderr.read()), (-signal.SIGTERM, b''))
        finally:
            vm.kill()
            vm.stderr.close()
    same(os.path.getsize(f'{tmp}/out'), 8192)


def disk_beyond_the_limit():
    """The guest sees an error of its disk."""
    with open(disk, 'wb') as f:
        f.truncate(1 << 20)
    vm = limited(256 << 10, guest('blk', '-d', disk, '-p', 'fill'), stderr=subprocess.DEVNULL)
    vm.expect('full at 512: status 1')
    same(vm.end(), 0)


def files_beyond_the_limit():
    for option in '--save-config', '--dump-boot':
        vm = limited(1, guest('echo', option, f'{tmp}/saved'))
        vm.expect('cannot write.*File too large')
        same(vm.end(), 1)
        assert not os.path.exists(f'{tmp}/saved')


prepare()
try:
    main([
        ('while an image is read a signal ends it at once, the terminal untouched', while_loading),
        ('while disks are opened', while_opening),
        ('between two boots', between_boots),
        ('a guest that resets in a loop is ended', reboot_loop),
        ('a second SIGTERM does not wait for a slow end', at_the_end),
        ('nor does a second Ctrl-A x', menu_twice),
        ('a signal that is ignored when lkvm starts stays so', ignored),
        ('every other one ends it, and restores the terminal', every_signal),
        ('output beyond ulimit -f is dropped', output_beyond_the_limit),
        ('a disk beyond ulimit -f is an error for the guest', disk_beyond_the_limit),
        ('files beyond ulimit -f are refused', files_beyond_the_limit),
    ])
finally:
    shutil.rmtree(tmp)
