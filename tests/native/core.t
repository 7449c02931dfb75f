#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`lkvm debug --core`: a guest's memory and registers as a file, whatever comes in between."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import GUESTS, LIMIT, LKVM, Skip, Vm, guest, lkvm, main, same, says, until  # noqa: E402

folder = tempfile.mkdtemp(prefix='lkvm-core-')
CORE = f'{folder}/core'


def state(name):
    return {vm['name']: vm['state'] for vm in json.loads(lkvm('list', '--json')[0])}[name]


def start(*args, kind='echo', ready='ready', **more):
    vm = Vm(guest(kind, '--name', 'c', *args, **more))
    vm.expect(ready)
    return vm


def echoes(vm):
    vm.send('hello\n')
    vm.expect("got 'hello'")


def end(vm):
    vm.send('quit\n')
    same(vm.end(), 3)
    same(os.listdir(folder), [])


class Dump:
    """A client that asks for a core file and reads only when it is told to."""

    def __init__(self):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(os.environ['XDG_RUNTIME_DIR'] + '/lkvm/c.sock')
        self.s.settimeout(LIMIT)
        self.f = self.s.makefile('rb')
        self.s.sendall(b'{"lkvm":1,"id":"d","command":"dump"}\n')

    def next(self):
        """(offset, bytes), or the reply; None: the connection's end."""
        try:
            line = self.f.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        message = json.loads(line)
        same(message['lkvm'], 1)
        same(message['id'], 'd')
        if 'data' not in message:
            return message
        data = message['data']
        return data['offset'], self.f.read(data['length'])

    def rest(self):
        while isinstance(message := self.next(), tuple):
            pass
        return message

    def close(self):
        self.f.close()
        self.s.close()


def headers(path):
    with open(path, 'rb') as f:
        data = f.read(1 << 20)
    kind, machine, phoff, number = (struct.unpack_from(form, data, at)[0] for form, at in
                                    (('<H', 16), ('<H', 18), ('<Q', 32), ('<H', 56)))
    same((data[:4], kind, machine), (b'\x7fELF', 4, 62))
    return [struct.unpack_from('<IIQQQQQ', data, phoff + 56 * i) for i in range(number)]


def symbols(name):
    lines = subprocess.run(['nm', f'{GUESTS}/{name}.elf'], capture_output=True, text=True, check=True).stdout.split('\n')
    return {words[2]: int(words[0], 16) for line in lines if len(words := line.split()) == 3}


def file():
    """The guest goes on, and one that was paused stays so. Each byte of memory is in its place."""
    vm = start('-m', '64', '-c', '2')
    same(lkvm('debug', '--core', CORE, 'c'), ('', ''))
    echoes(vm)
    same(state('c'), 'running')
    same(os.stat(CORE).st_mode & 0o777, 0o600)
    note, ram = headers(CORE)
    same((note[0], ram[0]), (4, 1))
    _, _, offset, va, pa, size, memory = ram
    same((va, pa, size, memory), (0, 0, 64 << 20, 64 << 20))
    same(os.stat(CORE).st_size, offset + size)
    # Of 64 MiB the guest has used little.
    assert os.stat(CORE).st_blocks * 512 < 4 << 20
    at = symbols('echo')['guest_main']
    with open(f'{GUESTS}/echo.flat', 'rb') as f, open(CORE, 'rb') as core:
        image = f.read()
        core.seek(offset + at)
        assert core.read(64) in image
        core.seek(offset + (1 << 20))
        same(core.read(4096), image[:4096])
    os.unlink(CORE)
    lkvm('pause', 'c')
    lkvm('debug', '-n', 'c', '--core', CORE)
    same(state('c'), 'paused')
    os.unlink(CORE)
    lkvm('resume', 'c')
    end(vm)


def tools():
    """gdb finds the threads, registers, code and variables."""
    program = shutil.which('gdb-multiarch') or shutil.which('gdb')
    if not program:
        raise Skip('there is no gdb here')
    vm = start('-c', '2')
    echoes(vm)
    lkvm('debug', '--core', CORE, 'c')
    argv = [program, '-nx', '-batch', f'{GUESTS}/echo.elf', CORE]
    for command in 'info threads', 'backtrace', 'x/i $pc', 'print $cs', 'print $mxcsr', 'frame function guest_main', 'print line', \
            'print/x *(unsigned long *)0x1ffff00':
        argv += ['-ex', command]
    r = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
    text = r.stdout + r.stderr
    for wanted in 'LWP 2', 'guest_main ()', '=> 0x', '= 16', '$2 = [', '"hello', '= 0x0':
        assert wanted in text, (wanted, text)
    assert 'warning' not in text, text
    r = subprocess.run(['readelf', '-nW', CORE], capture_output=True, text=True, timeout=LIMIT, check=False)
    kinds = re.findall('^  (CORE|QEMU) +0x([0-9a-f]+)', r.stdout, re.M)
    same(kinds, [('CORE', '00000150'), ('CORE', '00000200')] * 2 + [('QEMU', '000001b8')] * 2)
    assert 'warning' not in (r.stdout + r.stderr).lower(), r
    os.unlink(CORE)
    end(vm)


def refused():
    """Nothing is overwritten, nothing is left, and the machine is not even held."""
    vm = start()
    with open(CORE, 'w', encoding='ascii') as f:
        f.write('precious')
    says(f'--core {CORE}: cannot write: File exists; name another file, or remove it', 'debug', '--core', CORE, 'c')
    with open(CORE, encoding='ascii') as f:
        same(f.read(), 'precious')
    os.unlink(CORE)
    os.symlink('nowhere', CORE)
    says('File exists', 'debug', '--core', CORE, 'c')
    os.unlink(CORE)
    says('No such file or directory', 'debug', '--core', f'{folder}/none/core', 'c')
    says('Is a directory', 'debug', '--core', f'{folder}/', 'c')
    says('the name of the file is empty', 'debug', '--core', '', 'c', status=2)
    says('is the file of one machine', 'debug', '--core', CORE, 'c', 'd', status=2)
    says('no machine of that name runs', 'debug', '--core', CORE, 'd')
    says('File too large', 'debug', '--core', CORE, 'c', preexec_fn=lambda: resource_limit(64 << 10))
    same(os.listdir(folder), [])
    same(state('c'), 'running')
    # In a folder of their own names are short.
    lkvm('debug', '--core', 'core', 'c', cwd=folder)
    os.unlink(CORE)
    end(vm)


def resource_limit(size):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def preloaded(**more):
    with open(LKVM, 'rb') as f:
        program = f.read()
    if b'libasan' in program or b'libtsan' in program or b'libc.so' not in program:
        raise Skip('nothing can be preloaded into this binary')
    return dict(os.environ, LD_PRELOAD=f'{GUESTS}/no-tmpfile.so', **more)


def named_early():
    """Where a file must have its name from the beginning: it goes with whatever ends its writer too soon."""
    env = preloaded()
    vm = start()
    lkvm('debug', '--core', CORE, 'c', env=env)
    assert len(headers(CORE)) == 2
    says('File exists', 'debug', '--core', CORE, 'c', env=env)
    os.unlink(CORE)
    says('Permission denied' if os.geteuid() else 'No such', 'debug', '--core', '/proc/core', 'c', env=env)
    says('File too large', 'debug', '--core', CORE, 'c', env=env, preexec_fn=lambda: resource_limit(64 << 10))
    same(os.listdir(folder), [])
    # One who holds the dump back, so that the next one waits for its turn with an error; then a signal in the middle.
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        vm.proc.send_signal(signal.SIGSTOP)
        with subprocess.Popen([LKVM, 'debug', '--core', CORE, 'c'], env=env, stderr=subprocess.PIPE) as p:
            until('the file is there', lambda: os.path.exists(CORE))
            p.send_signal(number)
            same(p.wait(LIMIT), -number)
        same(os.listdir(folder), [])
        vm.proc.send_signal(signal.SIGCONT)
    echoes(vm)
    end(vm)


def full():
    """A disk without room."""
    inside = 'mount -t tmpfs -o size=64k none "$1" && "$2" debug --core "$1/core" c; status=$?; ls -A "$1"; exit $status'
    if subprocess.run(['unshare', '-m', 'true'], capture_output=True, check=False).returncode:
        raise Skip('no namespace of mounts')
    vm = start()
    r = subprocess.run(['unshare', '-m', 'sh', '-c', inside, 'sh', folder, LKVM], capture_output=True, text=True,
                       timeout=LIMIT, check=False)
    same((r.returncode, r.stdout), (1, ''))
    same(r.stderr, f'lkvm: error: --core {CORE}: cannot write: No space left on device\n')
    echoes(vm)
    end(vm)


class Filled:
    """A guest with so much in its memory that no socket takes it at once."""

    def __init__(self, *args):
        with tempfile.NamedTemporaryFile() as f:
            f.write(os.urandom(16 << 20))
            f.flush()
            self.vm = start('-m', '64', '-i', f.name, *args)

    def __enter__(self):
        return self.vm

    def __exit__(self, failed, *_):
        if not failed and self.vm.proc.poll() is None:
            end(self.vm)


def ask(command, **args):
    out = lkvm('ctl', 'c', command, *(f'{name}={value}' for name, value in args.items()))[0]
    return json.loads(out)['result']


def slow():
    """A client that does not read holds the machine, and nobody else; when it goes, the machine goes on."""
    with Filled() as vm:
        echoes(vm)
        fds = vm.fds()
        for paused in False, True:
            dump = Dump()
            offset, head = dump.next()
            same((offset, head[:4]), (0, b'\x7fELF'))
            same(state('c'), 'dumping')
            same(json.loads(lkvm('stat', '--json', '--exits', 'c')[0])['c']['state'], 'dumping')
            vm.send('hello\n')
            # A pause and its end change nothing of it.
            lkvm('pause', 'c')
            same(state('c'), 'paused')
            if not paused:
                same(ask('resume'), {'state': 'dumping'})
            # Another one is told, and leaves nothing.
            says('another one is under way', 'debug', '--core', CORE, 'c')
            same(os.listdir(folder), [])
            assert b'hello' not in vm.read(0.1)
            dump.close()
            until('it is over', lambda: state('c') != 'dumping')
            same(state('c'), 'paused' if paused else 'running')
            lkvm('resume', 'c')
            vm.expect("got 'hello'")
        same(vm.fds(), fds)


def whole():
    """Read slowly it is the same file, to the last byte."""
    with Filled() as vm:
        lkvm('pause', 'c')
        lkvm('debug', '--core', CORE, 'c')
        with open(CORE, 'rb') as f:
            core = f.read()
        os.unlink(CORE)
        dump, seen = Dump(), bytearray(len(core))
        while isinstance(message := dump.next(), tuple):
            seen[message[0]:message[0] + len(message[1])] = message[1]
        same(message, {'lkvm': 1, 'id': 'd', 'result': {'size': len(core), 'left_out': 0}})
        assert seen == core, 'they differ'
        dump.close()
        lkvm('resume', 'c')
        echoes(vm)


def killed():
    """The writer is killed, or the machine ends: no file is left, and no machine is held."""
    with Filled() as vm:
        for number in signal.SIGKILL, signal.SIGINT:
            dump = Dump()
            dump.next()
            with subprocess.Popen([LKVM, 'debug', '--core', CORE, 'c'], stderr=subprocess.PIPE) as p:
                p.send_signal(number)
                p.wait(LIMIT)
            dump.close()
            until('it runs', lambda: state('c') == 'running')
            same(os.listdir(folder), [])
        echoes(vm)
        dump = Dump()
        dump.next()
        lkvm('stop', '--timeout', '0', 'c')
        same(vm.end(), 0)
        same(dump.rest(), None)
        dump.close()
    # And one who writes meanwhile.
    with Filled() as vm:
        vm.proc.send_signal(signal.SIGSTOP)
        with subprocess.Popen([LKVM, 'debug', '--core', CORE, 'c'], stderr=subprocess.PIPE, text=True) as p:
            until('it waits', lambda: p.poll() is not None or len(os.listdir(f'/proc/{p.pid}/fd')) >= 5)
            vm.proc.kill()
            vm.end()
            err = p.communicate(timeout=LIMIT)[1]
        same(p.returncode, 1)
        assert err.count('\n') == 1 and 'c: ' in err, err
        same(os.listdir(folder), [])


def packet(text):
    return b'$' + text + b'#' + b'%02x' % (sum(text) & 255)


def debugged():
    """With a debugger: what it asks for waits until the end, and a reset ends the dump."""
    where = f'{folder}/gdb'
    with Filled('--gdb', f'unix:{where}') as vm:
        with socket.socket(socket.AF_UNIX) as gdb:
            gdb.connect(where)
            gdb.sendall(b'+' + packet(b'?'))
            until('gdb holds it', lambda: state('c') == 'stopped by gdb')
            dump = Dump()
            dump.next()
            gdb.sendall(packet(b'c'))
            until('it goes on, as far as gdb is concerned', lambda: state('c') == 'dumping')
            dump.close()
            until('it runs', lambda: state('c') == 'running')
            echoes(vm)
            gdb.sendall(b'\3')
            until('gdb holds it', lambda: state('c') == 'stopped by gdb')
            dump = Dump()
            dump.next()
            gdb.sendall(packet(b'qRcmd,' + b'reset'.hex().encode()))
            same(dump.rest()['error']['text'], 'dump: the machine was reset meanwhile')
            gdb.sendall(packet(b'D'))
            vm.expect('ready')
        until('it runs', lambda: state('c') == 'running')
        echoes(vm)
        vm.send('quit\n')
        same(vm.end(), 3)
    same(os.listdir(folder), [])


main([
    ('a core file', file),
    ('gdb and readelf', tools),
    ('files that will not do', refused),
    ('a file system where each file has a name', named_early),
    ('a full disk', full),
    ('a client that goes', slow),
    ('a client that takes its time', whole),
    ('ends in the middle', killed),
    ('with a debugger', debugged),
])
