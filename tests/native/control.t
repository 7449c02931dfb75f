#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The control socket: names, who may have one, the protocol and what breaks its rules, and the commands over it."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import LIMIT, LKVM, Vm, guest, lkvm, main, same, says, until  # noqa: E402


def folder():
    return os.environ['XDG_RUNTIME_DIR'] + '/lkvm'


def path(name):
    return f'{folder()}/{name}.sock'


def start(name, *args, kind='clock'):
    vm = Vm(guest(kind, *(('--name', name) if name else ()), *args))
    if kind in ('clock', 'control'):
        vm.expect('ready|no clock')
    return vm


def listed():
    return {vm['name']: vm for vm in json.loads(lkvm('list', '--json')[0])}


class Client:
    def __init__(self, name):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(path(name))
        self.s.settimeout(LIMIT)
        self.f = self.s.makefile('rb')

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else (json.dumps(data) + '\n').encode())

    def receive(self):
        """A line, or None at the end."""
        try:
            line = self.f.readline()
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    def ask(self, command, **args):
        self.send({'lkvm': 1, 'id': 'x', 'command': command, 'arguments': args})
        reply = self.receive()
        same(reply['lkvm'], 1)
        same(reply['id'], 'x')
        return reply

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.f.close()
        self.s.close()


def ask(name, command, **args):
    with Client(name) as c:
        return c.ask(command, **args)


def end(vm, status=0, name=None):
    vm.proc.send_signal(signal.SIGTERM)
    same(vm.end(), -signal.SIGTERM)
    if name:
        assert not os.path.exists(path(name)), 'the socket is left behind'


def two():
    one, other = start('one'), start('two')
    same(set(listed()), {'one', 'two'})
    same(listed()['two'], {'name': 'two', 'pid': other.proc.pid, 'state': 'running'})
    table = lkvm('list')[0].splitlines()
    same([row.split() for row in table], [['PID', 'NAME', 'STATE'], [str(one.proc.pid), 'one', 'running'],
                                          [str(other.proc.pid), 'two', 'running']])
    same(os.stat(folder()).st_mode & 0o777, 0o700)
    end(one, name='one')
    same(set(listed()), {'two'})
    end(other, name='two')
    same(lkvm('list')[0].split(), ['PID', 'NAME', 'STATE'])
    same(lkvm('list', '--json')[0], '[]\n')


def roots():
    """kvmtool's list of root file systems."""
    home = folder() + '/home'
    os.makedirs(home + '/.lkvm/debian/etc')
    os.makedirs(home + '/.lkvm/.hidden')
    os.makedirs(home + '/.lkvm/a\x1b[1mb')
    with open(home + '/.lkvm/file', 'wb'):
        pass
    env = {**os.environ, 'HOME': home}
    rows = [row.split() for row in lkvm('list', '-r', env=env)[0].splitlines()[1:]]
    same(rows, [['a?[1mb', 'rootfs'], ['debian', 'rootfs']])
    vm = start('one')
    same(len(lkvm('list', '-r', env=env)[0].splitlines()), 3)
    same(len(lkvm('list', '-i', '-r', env=env)[0].splitlines()), 4)
    same(json.loads(lkvm('list', '--json', '--rootfs', env=env)[0])[1], {'name': 'debian', 'state': 'rootfs'})
    end(vm, name='one')
    shutil.rmtree(home)
    same(len(lkvm('list', '-r', env=env)[0].splitlines()), 1)


def default_name():
    vm = start(None)
    same(set(listed()), {f'guest-{vm.proc.pid}'})
    vm.send('q')
    same(vm.end(), 7)
    same(os.listdir(folder()), [])


def every_end():
    """The name goes with the machine, whatever ends it; after SIGKILL the next who looks removes it."""
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        vm = start('gone')
        vm.proc.send_signal(number)
        same(vm.end(), -number)
        same(os.listdir(folder()), [])
    # Before it serves signals, too: somebody who is to serve its disk never answers.
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f'{folder()}/disk')
        server.listen()
        vm = Vm(guest('clock', '--name', 'gone', '-d', f'vhost-user={folder()}/disk'))
        s, _ = server.accept()
        assert os.path.exists(path('gone'))
        vm.proc.send_signal(signal.SIGTERM)
        same(vm.end(), -signal.SIGTERM)
        s.close()
    os.unlink(f'{folder()}/disk')
    same(os.listdir(folder()), [])
    lkvm('run', '--name', 'gone', '-k', '/nonexistent', status=1)
    same(os.listdir(folder()), [])
    vm = start('gone')
    vm.proc.kill()
    same(vm.end(), -signal.SIGKILL)
    same(os.listdir(folder()), ['gone.sock'])
    same(listed(), {})
    same(os.listdir(folder()), [])


def stale():
    vm = start('again')
    vm.proc.kill()
    vm.end()
    assert os.path.exists(path('again'))
    vm = start('again')
    same(listed()['again']['pid'], vm.proc.pid)
    says("machine of that name runs; take another name", *guest('clock', '--name', 'again')[1:])
    same(listed()['again']['pid'], vm.proc.pid)
    end(vm, name='again')


def race():
    """Of two who want a name one gets it: at first it is free, then one that was left behind."""
    for _ in range(50):
        vms = [Vm(guest('echo', '--name', 'race')) for _ in range(2)]
        until('one is refused', lambda: any(vm.proc.poll() is not None for vm in vms))
        loser, winner = sorted(vms, key=lambda vm: vm.proc.poll() is None)
        same(loser.end(), 1)
        assert b'a machine of that name runs' in loser.seen, loser.seen
        until('the other runs', lambda: ask('race', 'info')['result']['pid'] == winner.proc.pid)
        winner.proc.kill()
        winner.end()


def folders():
    run = os.environ['XDG_RUNTIME_DIR']
    vm = start('where')
    os.chmod(folder(), 0o755)
    says('must be yours with mode 0700', 'list')
    says('must be yours with mode 0700', *guest('clock', '--name', 'other')[1:])
    # One that nobody named does without.
    other = start(None)
    end(other)
    os.chmod(folder(), 0o700)
    end(vm, name='where')
    # A long way leaves no room for the name.
    env = {**os.environ, 'XDG_RUNTIME_DIR': f'{run}/{"x" * 100}'}
    os.mkdir(env['XDG_RUNTIME_DIR'])
    says('107 bytes', *guest('clock', '--name', 'long')[1:], env=env)
    env['XDG_RUNTIME_DIR'] = f'{run}/nowhere'
    says('No such file', *guest('clock', '--name', 'x')[1:], env=env)
    same(lkvm('list', '--json', env=env)[0], '[]\n')
    says("--name a/b: must be", *guest('clock', '--name', 'a/b')[1:], status=2)


def protocol():
    vm = start('p')
    with Client('p') as c:
        c.send({'lkvm': 1, 'command': 'info'})
        reply = c.receive()
        assert 'id' not in reply and reply['result']['pid'] == vm.proc.pid, reply
        c.send({'lkvm': 1, 'id': 2**64 - 1, 'command': 'info', 'unknown': [1, {}]})
        same(c.receive()['id'], 2**64 - 1)
        # In two halves, and two at once.
        c.send(b'{"lkvm":1,"id":1,"comm')
        c.send(b'and":"info"}\n{"lkvm":1,"id":2,"command":"help"}\n')
        same(c.receive()['id'], 1)
        same(c.receive()['id'], 2)
        for request, code in (({'id': 1, 'command': 'info'}, 'version'),
                              ({'lkvm': 2, 'id': 1, 'command': 'info'}, 'version'),
                              ({'lkvm': 1, 'id': 1}, 'bad-request'),
                              ({'lkvm': 1, 'id': 1, 'command': 3}, 'bad-request'),
                              ({'lkvm': 1, 'id': 1, 'command': 'info', 'arguments': []}, 'bad-request'),
                              ({'lkvm': 1, 'id': 1, 'command': 'info', 'arguments': {'x': 1}}, 'bad-argument'),
                              ({'lkvm': 1, 'id': 1, 'command': 'stop', 'arguments': {'timeout': '1'}}, 'bad-argument'),
                              ({'lkvm': 1, 'id': 1, 'command': 'stop', 'arguments': {'timeout': -1}}, 'bad-argument'),
                              ({'lkvm': 1, 'id': 1, 'command': 'nonsense'}, 'unknown-command')):
            c.send(request)
            reply = c.receive()
            assert reply['error']['code'] == code and reply['error']['text'] and reply['id'] == 1, (request, reply)
        # Somebody who has said all is still answered.
        c.send({'lkvm': 1, 'id': 9, 'command': 'info'})
        c.s.shutdown(socket.SHUT_WR)
        same(c.receive()['id'], 9)
        same(c.receive(), None)
    end(vm)


GARBAGE = (b'\n', b'GET / HTTP/1.1\r\n', b'[]\n', b'{"lkvm":1\n', b'\0\n', b'\xff\xfe\n', b'{"lkvm":1.5}\n', b'"a"\n',
           b'{"lkvm":1,"id":{},"command":"info"}\n', b'[' * 100 + b'\n', b'x' * 4096, b'{"a":' * 800 + b'\n',
           b'{"lkvm":1,"lkvm":1}\n', b'{"lkvm":1,"id":"' + b'x' * 300 + b'","command":"info"}\n')


def garbage():
    vm = start('g')
    for data in GARBAGE:
        with Client('g') as c:
            c.send(data)
            reply = c.receive()
            assert reply['error']['code'] == 'syntax' and 'id' not in reply, (data, reply)
            same(c.receive(), None)
        with Client('g') as c:
            c.send(data[:-1])  # half of it
    same(ask('g', 'info')['result']['state'], 'running')
    end(vm)


def unread():
    """Who asks and never reads holds up nobody, and costs a bounded amount of memory."""
    vm = start('u')
    with Client('u') as c:
        c.s.setblocking(False)
        request = b'{"lkvm":1,"command":"help"}\n'
        sent = 0
        for _ in range(2000):
            try:
                sent += c.s.send(request * 100)
            except BlockingIOError:
                same(ask('u', 'info')['result']['state'], 'running')
        assert sent < 10 << 20, sent
        same(set(listed()), {'u'})
    end(vm, name='u')


def many():
    """A thousand connections at once: the latest are served, the most silent ones are dropped, and none is left."""
    vm = start('m')
    before = vm.fds()
    clients = []
    for _ in range(1000):
        clients.append(Client('m'))
        if len(clients) % 100 == 50:
            same(clients[-1].ask('info')['result']['state'], 'running')
    same(ask('m', 'info')['result']['state'], 'running')
    assert vm.fds() <= before + 16, vm.fds()
    for c in clients:
        c.__exit__()
    until('all are closed', lambda: vm.fds() == before)
    end(vm)


def raw():
    vm = start('raw')
    out = json.loads(lkvm('ctl', 'raw', 'info')[0])
    same(out['result']['pid'], vm.proc.pid)
    assert 'pause' in json.loads(lkvm('ctl', 'raw', 'help')[0])['result']['commands']
    out, err = lkvm('ctl', 'raw', 'nonsense', status=1)
    same(json.loads(out)['error']['code'], 'unknown-command')
    same(err, '')
    out = json.loads(lkvm('ctl', 'raw', 'stop', 'timeout=x', status=1)[0])
    same(out['error']['code'], 'bad-argument')
    says('needs a machine', 'ctl', 'raw', status=2)
    says('NAME=VALUE', 'ctl', 'raw', 'stop', 'x', status=2)
    says("did you mean 'raw'?", 'ctl', 'ran', 'info')
    says("there is: raw", 'ctl', 'entirely', 'info')
    says("is not a machine's name", 'ctl', '../x', 'info')
    same(json.loads(lkvm('ctl', 'raw', 'stop', '{"timeout":0}')[0])['result'], {'asked': False})
    same(vm.end(), 0)
    says('no machine runs', 'ctl', 'raw', 'info')


def state(name):
    return listed()[name]['state']


def stop():
    """The guest is asked; the command returns when lkvm is gone."""
    for args in ['s'], ['-n', 's'], ['--name', 's', '--timeout', '600']:
        vm = start('s', '-p', 'obey', kind='control')
        same(lkvm('stop', *args), ('', ''))
        same(vm.end(), 0)
        assert b'button' in vm.seen, vm.seen
        same(os.listdir(folder()), [])
    says('no machine runs', 'stop', 's')
    says("after '--'", 'stop', 's', '--', 'x', status=2)
    says('needs the name of a machine', 'stop', status=2)


def insist():
    """One that does not listen."""
    vm = start('i', kind='control')
    lkvm('stop', 'i', '--timeout', '1')
    same(vm.end(), 0)
    assert b'button' in vm.seen, vm.seen
    vm = start('i', kind='control')
    lkvm('stop', '-n', 'i', '--timeout', '0')
    same(vm.end(), 0)
    assert b'button' not in vm.seen, vm.seen


def stop_paused():
    vm = start('sp', '-p', 'obey', kind='control')
    lkvm('pause', 'sp')
    lkvm('stop', 'sp', '--timeout', '600')
    same(vm.end(), 0)
    # Or at once, without ever going on.
    vm = start('sp', kind='control')
    lkvm('pause', 'sp')
    lkvm('stop', 'sp', '--timeout', '0')
    same(vm.end(), 0)
    assert b'button' not in vm.seen, vm.seen


def stop_all():
    vms = [start(f'all{i}', '-p', 'obey', kind='control') for i in range(3)]
    says('omit one of them', 'stop', '-a', 'all1', status=2)
    lkvm('pause', '--all')
    same({vm['state'] for vm in listed().values()}, {'paused'})
    lkvm('resume', '-a')
    same({vm['state'] for vm in listed().values()}, {'running'})
    lkvm('stop', '-a', '--timeout', '600')
    for vm in vms:
        same(vm.end(), 0)
    for command in 'stop', 'pause', 'resume', 'stat', 'balloon':
        same(lkvm(command, '-a'), ('', ''))


def pause():
    vm = start('p', kind='control')
    vm.send('a')
    vm.expect('alive [0-9]+\r*\n')
    for args in ['p'], ['-n', 'p']:
        lkvm('pause', *args)
        same(state('p'), 'paused')
        lkvm('pause', *args)  # twice is fine
        vm.send('a')
        assert not vm.read(0.3), vm.seen
        lkvm('resume', *args)
        lkvm('resume', *args)
        same(state('p'), 'running')
        vm.expect('alive [0-9]+\r*\n')
    # A signal ends it as any other.
    lkvm('pause', 'p')
    end(vm, name='p')


class Events:
    """`lkvm ctl NAME subscribe`, line by line."""

    def __init__(self, name):
        self.proc = subprocess.Popen([LKVM, 'ctl', name, 'subscribe'], stdout=subprocess.PIPE, text=True)
        self.first = self.next()['result']

    def next(self):
        return json.loads(self.proc.stdout.readline())

    def event(self, event, **members):
        same(self.next(), {'lkvm': 1, 'event': event, **members})

    def end(self):
        same(self.proc.stdout.readline(), '')
        same(self.proc.wait(LIMIT), 0)
        self.proc.stdout.close()


def events():
    """What happens to a machine is told as it happens, and nothing else: a pause for a moment is none."""
    where = f'{folder()}/gdb'
    vm = start('e', '--gdb', f'unix:{where}', '-p', 'obey', kind='control')
    e = Events('e')
    same(e.first, {'state': 'running'})
    lkvm('debug', '-d', 'e')
    lkvm('pause', 'e')
    e.event('state', state='paused')
    lkvm('pause', 'e')
    lkvm('debug', '-d', 'e')
    lkvm('resume', 'e')
    e.event('state', state='running')
    with socket.socket(socket.AF_UNIX) as gdb:
        gdb.connect(where)
        e.event('state', state='stopped by gdb')
    e.event('state', state='running')
    lkvm('debug', '--core', f'{folder()}/core', 'e')
    os.unlink(f'{folder()}/core')
    e.event('state', state='dumping')
    e.event('state', state='running')
    lkvm('stop', 'e')
    e.event('stopping')
    e.event('ended', how='the guest powered off', status=0)
    e.end()
    same(vm.end(), 0)
    # One that resets without end. While it is loaded again a signal ends lkvm at once.
    vm = start('e', '-p', 'reset', kind='exit')
    vm.expect('boot')
    e = Events('e')
    for _ in range(3):
        e.event('reset')
    vm.proc.send_signal(signal.SIGTERM)
    same(vm.end(), -signal.SIGTERM)
    e.proc.communicate(timeout=LIMIT)
    vm = start('e', kind='control')
    e = Events('e')
    vm.proc.send_signal(signal.SIGTERM)
    e.event('ended', how='ended by a signal', status=0)
    e.end()
    same(vm.end(), -signal.SIGTERM)
    # A guest that fails.
    vm = start('e', kind='control')
    e = Events('e')
    lkvm('debug', '-m', '0', 'e')
    same(e.next(), {'lkvm': 1, 'event': 'ended', 'how': 'the guest chose its exit status', 'status': 99})
    e.end()
    same(vm.end(), 99)


def pause_gdb():
    """A debugger and a user each hold it, whoever comes first."""
    where = f'{folder()}/gdb'
    vm = start('g', '--gdb', f'unix:{where}', '--balloon', kind='control')
    with socket.socket(socket.AF_UNIX) as gdb:
        gdb.connect(where)
        until('gdb holds it', lambda: state('g') == 'stopped by gdb')
        assert lkvm('list')[0].endswith(' stopped by gdb\n')
        assert lkvm('stat', 'g')[0].startswith('g: stopped by gdb\n')
        assert lkvm('stat', '--exits', 'g')[0].startswith('g: stopped by gdb, up ')
        says('the machine is stopped by gdb; let it go on first', 'debug', '-s', 'h', 'g')
        lkvm('pause', 'g')
        same(state('g'), 'paused')
        same(ask('g', 'resume')['result']['state'], 'stopped by gdb')
        lkvm('pause', 'g')
    until('gdb has gone', lambda: state('g') == 'paused')
    same(ask('g', 'resume')['result']['state'], 'running')
    end(vm, name='g')


def pause_reboot():
    """Between two boots: a guest that resets without end stays paused, wherever it was."""
    vm = start('r', '-p', 'reset', kind='exit')
    vm.expect('boot')
    for _ in range(20):
        same(ask('r', 'pause')['result']['state'], 'paused')
        same(ask('r', 'info')['result']['state'], 'paused')
        # Each boot says so; what was said before the pause comes to an end.
        for n in range(1000):
            if not vm.read(0.1):
                break
        assert n < 999, 'it runs on'
        ask('r', 'resume')
        vm.seen = b''
        vm.expect('boot')
    end(vm, name='r')


def balloon():
    vm = start('b', '-m', '64', '--balloon', '--balloon-size', '8M', kind='balloon')
    vm.expect('asked for 2048 pages')

    def target():
        return ask('b', 'balloon')['result']['target'] >> 20
    for args, want in ((['-n', 'b', '-i', '4'], 12), (['-n', 'b', '-d', '2'], 10), (['b', '20M'], 20), (['b', '0'], 0),
                       (['-n', 'b', '16'], 16), (['b', '--inflate', '1M'], 17)):
        lkvm('balloon', *args)
        same(target(), want)
    same(lkvm('balloon', 'b')[0], 'b: asked for 17M, has handed over 0B\n')
    says("less than the guest's memory, 64M", 'balloon', 'b', '64M')
    says("less than the guest's memory", 'balloon', '-n', 'b', '-i', '1000P')
    says('most it can have back', 'balloon', '-n', 'b', '-d', '18')
    says('omit one', 'balloon', '-n', 'b', '-i', '1', '-d', '1', status=2)
    says('is not a size', 'balloon', 'b', 'c', status=2)
    vm.send('x')
    vm.expect('inflated')
    same(lkvm('balloon', 'b')[0], 'b: asked for 17M, has handed over 4M\n')
    same(ask('b', 'balloon', inflate=1, deflate=1)['error']['code'], 'bad-argument')
    # Its driver takes no statistics.
    stat = json.loads(lkvm('stat', '--json', 'b')[0])['b']
    same(stat['memory'], 64 << 20)
    same(stat['fresh'], False)
    same(stat['guest'], {})
    assert 'no statistics' in lkvm('stat', '-m', '-n', 'b')[0]
    vm.send('xx')
    same(vm.end(), 0)
    vm = start('b')
    says('has no balloon', 'balloon', 'b', '1M')
    says('has no balloon', 'stat', 'b')
    end(vm, name='b')


def debug():
    vm = start('d', '-c', '2', kind='control')
    for _ in range(2):  # the second time it is paused
        out = lkvm('debug', '-d', 'd')[0]
        for text in 'd:', 'vcpu 0:', 'vcpu 1:', '  rip ', '  code ', '  stack ':
            assert text in out, out
        lkvm('pause', 'd')
    same(state('d'), 'paused')  # it is still
    says('is paused', 'debug', '-s', 'x', 'd')
    lkvm('resume', 'd')
    for key in 'h', 'W', '9':
        lkvm('debug', '-n', 'd', '-s', key)
        vm.expect(f'sysrq {key}')
    says('what is to be done', 'debug', 'd', status=2)
    says('one key', 'debug', '-s', 'ab', 'd', status=2)
    says('letter or a digit', 'debug', '-s', '+', 'd')
    says('no vcpu 2; the last one is 1', 'debug', '-m', '2', 'd')
    lkvm('debug', '-m', '0', 'd')
    vm.expect('exception 2')
    same(vm.end(), 99)


def deaf():
    """A guest that never reads its console, and a client that goes while it waits for that."""
    vm = start('deaf', '-p', 'hang', kind='exit')
    vm.expect('boot')
    # The port has room for one.
    lkvm('debug', '-s', 'h', 'deaf')
    with Client('deaf') as c:
        c.send({'lkvm': 1, 'command': 'sysrq', 'arguments': {'key': 'h'}})
    says('does not read its console', 'debug', '-s', 'h', 'deaf')
    end(vm, name='deaf')


def stopped():
    """A process that is stopped answers nobody, and is listed so."""
    vm = start('st')
    vm.proc.send_signal(signal.SIGSTOP)
    same(listed()['st'], {'name': 'st', 'pid': vm.proc.pid, 'state': 'no answer'})
    vm.proc.send_signal(signal.SIGCONT)
    same(state('st'), 'running')
    end(vm)


def busy():
    """Paused and resumed while disk, network card and timers work."""
    with open(f'{folder()}/disk', 'wb') as f:
        f.truncate(1 << 20)
    vm = Vm(guest('busy', '--name', 'busy', '-c', '2', '-d', f'{folder()}/disk', '-p', 'disk rounds=300'))
    vm.expect('round 1')
    paused = 0
    while vm.proc.poll() is None:
        with Client('busy') as c:
            for command in 'pause', 'info', 'pause', 'resume':
                c.send({'lkvm': 1, 'command': command})
                reply = c.receive()
                if not reply:
                    break
                paused += command == 'pause'
        if paused > 100:
            break
    same(vm.end(), 0)
    assert b'done' in vm.seen and paused > 4, (paused, vm.seen[-200:])


def blocks():
    """The examples of docs/control.md, as lists of (what is typed or sent, [what is answered])."""
    with open(f'{os.path.dirname(os.path.realpath(__file__))}/../../docs/control.md', encoding='utf-8') as f:
        parts = f.read().split('```\n')[1::2]
    for part in parts:
        steps = []
        for line in part.replace('|\n ', '|').splitlines():
            if line.startswith('$ ') or not steps:
                steps.append((line.removeprefix('$ '), []))
            else:
                steps[-1][1].append(line)
        yield steps


def masked(text):
    """Numbers, but that of the protocol, and the version of lkvm are everybody's own."""
    text = re.sub(r'"version":"[^"]*"', '"version":"V"', text)
    return re.sub(r' +', ' ', re.sub(r'(?<![":a-z])\b[0-9]+|(?<=":)(?!1,)[0-9]+', 'N', text)).strip()


class Shell:
    """One that has lkvm as a command, and nc where there is none."""

    def __init__(self):
        self.proc = subprocess.Popen(['sh'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        client = ('import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.stdin.buffer.read()); '
                  's.shutdown(1); [sys.stdout.write(d.decode()) for d in iter(lambda: s.recv(65536), b"")]')
        self.type(f"lkvm() {{ {LKVM} \"$@\"; }}; nc() {{ python3 -c '{client}' \"$3\"; }}")

    def type(self, line):
        self.proc.stdin.write(line + '\n')
        self.proc.stdin.flush()

    def line(self):
        return self.proc.stdout.readline().rstrip('\n')

    def end(self):
        self.proc.stdin.close()
        same(self.proc.stdout.read(), '')
        self.proc.wait(LIMIT)
        self.proc.stdout.close()


def dump_example(steps):
    """Bytes before a reply: the form of the first piece, and of the reply."""
    (request, answers), = steps
    with Client('web') as c:
        c.send(request.encode() + b'\n')
        lines = []
        while not lines or 'data' in json.loads(lines[-1]):
            lines.append(c.f.readline().decode())
            c.f.read(json.loads(lines[-1]).get('data', {}).get('length', 0))
    for got, want in zip((lines[0], lines[1], lines[-1]), answers):
        same(masked(got), masked(re.sub(r'^\(.*\)', '', want)))


def examples():
    """The manual's examples do what they say, numbers apart."""
    vm, seen = start('web', '-m', '448', '-c', '4', '-p', 'obey', kind='control'), 0
    for steps in blocks():
        if steps[0][0].startswith('{'):
            dump_example(steps)
            continue
        sh = Shell()
        for command, answers in steps:
            # That one runs here already.
            if command.startswith('lkvm run'):
                continue
            sh.type(command)
            for want in answers:
                same(masked(sh.line()), masked(want))
                seen += 1
        sh.end()
        if 'web' in listed():
            lkvm('resume', 'web')
    same(vm.end(), 0)
    assert seen >= 8, seen


main([
    ('two machines are listed, and go', two),
    ('root file systems are listed', roots),
    ('a machine without a name is guest-PID', default_name),
    ('the name goes at every end', every_end),
    ('a name that was left behind is taken, one in use refused', stale),
    ('two who start at once', race),
    ('folders that will not do', folders),
    ('requests, replies and errors', protocol),
    ('garbage is answered and closed', garbage),
    ('a client that never reads', unread),
    ('a thousand connections', many),
    ('lkvm ctl', raw),
    ('stop asks the guest', stop),
    ('stop insists', insist),
    ('stop of a paused machine', stop_paused),
    ('all machines', stop_all),
    ('pause and resume', pause),
    ('pause while the guest reboots', pause_reboot),
    ('a debugger holds a machine, too', pause_gdb),
    ('events', events),
    ('balloon and stat', balloon),
    ('debug', debug),
    ('a guest that does not read', deaf),
    ('a process that is stopped', stopped),
    ('pause under load', busy),
    ('the examples of docs/control.md', examples),
])
