#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--gdb: the remote protocol packet by packet, what clients do wrong, and gdb itself."""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import GUESTS, LIMIT, Skip, Vm, guest, listens, main, same, until  # noqa: E402

folder = tempfile.mkdtemp(prefix='lkvm-gdb-')
PATH = f'{folder}/s'
SOCKET = ['--gdb', f'unix:{PATH}']
RAX, RIP, EFLAGS = 0, 16, 17


def symbols(name):
    lines = subprocess.run(['nm', f'{GUESTS}/{name}.elf'], capture_output=True, text=True, check=True).stdout.split('\n')
    return {words[2]: int(words[0], 16) for line in lines if len(words := line.split()) == 3}


def checksum(data):
    return b'%02x' % (sum(data) & 255)


class Gdb:
    """A client of the protocol."""

    def __init__(self, where=PATH):
        self.acks = True
        if isinstance(where, int):
            self.s = socket.create_connection(('127.0.0.1', where))
        else:
            self.s = socket.socket(socket.AF_UNIX)
            self.s.connect(where)
        self.s.settimeout(LIMIT)
        self.left = b''

    def byte(self):
        if not self.left:
            try:
                self.left = self.s.recv(65536)
            except ConnectionResetError:
                pass
            if not self.left:
                raise EOFError
        b, self.left = self.left[:1], self.left[1:]
        return b

    def send(self, packet):
        data = packet if isinstance(packet, bytes) else packet.encode()
        self.s.sendall(b'$' + data + b'#' + checksum(data))
        if self.acks:
            same(self.byte(), b'+')

    def receive(self):
        while (b := self.byte()) == b'+':
            pass
        same(b, b'$')
        data = b''
        while (b := self.byte()) != b'#':
            data += b
        same(self.byte() + self.byte(), checksum(data))
        if self.acks:
            try:
                self.s.sendall(b'+')
            except BrokenPipeError:
                pass  # it was the last word
        return data.decode()

    def ask(self, packet):
        self.send(packet)
        return self.receive()

    def reg(self, number):
        return int.from_bytes(bytes.fromhex(self.ask(f'p{number:x}')), 'little')

    def monitor(self, text):
        answer = self.ask('qRcmd,' + text.encode().hex())
        return '' if answer == 'OK' else bytes.fromhex(answer).decode()

    def interrupt(self):
        self.s.sendall(b'\3')
        return self.receive()

    def gone(self):
        """Wait until the other end has hung up."""
        try:
            while self.byte():
                pass
        except EOFError:
            return True

    def close(self):
        self.s.close()


def run(name='echo', *args, cpus=1):
    # What another one left that was killed.
    if os.path.exists(PATH):
        os.unlink(PATH)
    vm = Vm(guest(name, *SOCKET, *args, cpus=cpus))
    until('somebody listens', lambda: listens(PATH))
    return vm


def start(name='echo', *args, cpus=1):
    vm = run(name, *args, cpus=cpus)
    if '--gdb-wait' not in args:
        vm.expect('ready')
    return vm, Gdb()


def echoes(vm, word='hello'):
    vm.send(f'{word}\n')
    vm.expect(f"got '{word}'")


def end(vm):
    vm.send('quit\n')
    same(vm.end(), 3)
    assert not os.path.exists(PATH), 'the socket is left behind'


def wait():
    """The first instruction is the debugger's."""
    vm, gdb = start('echo', '--gdb-wait')
    same(gdb.ask('?'), 'T05thread:1;')
    pc = gdb.reg(RIP)
    same(gdb.ask('vCont;s:1'), 'T05thread:1;')
    assert gdb.reg(RIP) != pc
    same(vm.read(0), b'')
    gdb.send('vCont;c')
    vm.expect('ready')
    same(gdb.interrupt(), 'T02thread:1;')
    same(gdb.ask('D'), 'OK')
    echoes(vm)
    end(vm)


def attach():
    """Who comes stops the guest, and may let it go on."""
    vm = run()
    vm.expect(r'ready\r?\n')
    gdb = Gdb()
    same(gdb.ask('?'), 'T05thread:1;')
    vm.send('first\n')
    before = gdb.reg(RIP)
    same(gdb.reg(RIP), before)
    same(vm.read(0), b'')
    gdb.send('c')
    vm.expect("got 'first'")
    same(gdb.interrupt(), 'T02thread:1;')
    same(gdb.ask('D;1'), 'OK')
    echoes(vm)
    # Another comes after it, by the same socket.
    gdb.close()
    gdb = Gdb()
    same(gdb.ask('qC'), 'QC1')
    same(gdb.ask('D'), 'OK')
    end(vm)


def description():
    vm, gdb = start()
    answer = gdb.ask('qSupported:multiprocess+;swbreak+;hwbreak+')
    size = int(re.search('PacketSize=([0-9a-f]+)', answer)[1], 16)
    for word in 'QStartNoAckMode+', 'qXfer:features:read+', 'vContSupported+', 'swbreak+', 'hwbreak+':
        assert word in answer.split(';'), word
    assert size >= 4096
    xml = ''
    while (piece := gdb.ask(f'qXfer:features:read:target.xml:{len(xml):x},3ff'))[0] == 'm':
        xml += piece[1:]
    xml += piece[1:]
    sizes = [int(bits) // 8 for bits in re.findall(r'<reg [^>]*bitsize="(\d+)"', xml)]
    names = re.findall(r'<reg name="([^"]*)"', xml)
    for name in 'rax', 'rip', 'st7', 'xmm15', 'mxcsr', 'gs_base', 'k_gs_base', 'cr3', 'efer':
        assert name in names, name
    same((names.index('rip'), names.index('eflags')), (RIP, EFLAGS))
    regs = gdb.ask('g')
    same(len(regs) // 2, sum(sizes))
    assert 'x' not in regs
    same(gdb.ask(f'p{len(names):x}'), 'E16')
    same(gdb.ask('qXfer:features:read:other.xml:0,fff'), 'E00')
    same(gdb.ask('qXfer:features:read:target.xml:fffff,fff'), 'E16')
    # One by one and all at once; each as the description says.
    at = 0
    for n, length in enumerate(sizes):
        same(gdb.ask(f'p{n:x}'), regs[2 * at:2 * (at + length)])
        at += length
    same(gdb.ask('vMustReplyEmpty'), '')
    same(gdb.ask('!'), '')
    same(gdb.ask('qAttached'), '1')
    gdb.ask('D')
    end(vm)


def registers():
    vm, gdb = start()
    xml = gdb.ask('qXfer:features:read:target.xml:0,3ff0')
    names = re.findall(r'<reg name="([^"]*)"', xml)
    old = gdb.ask('g')
    for name, value in ('rax', '8877665544332211'), ('xmm9', '00112233445566778899aabbccddeeff'), \
            ('st3', '0102030405060780ff3f'), ('mxcsr', '801f0000'), ('gs_base', '0010000000000000'):
        number = names.index(name)
        same(gdb.ask(f'P{number:x}={value}'), 'OK')
        same(gdb.ask(f'p{number:x}'), value)
    assert gdb.ask('g') != old
    same(gdb.ask(f'G{old}'), 'OK')
    same(gdb.ask('g'), old)
    for packet in 'P0=11', 'P0', 'Pzz=00', 'P0=zz77665544332211', 'pfffff', 'p', 'G0', f'P{len(names):x}=00':
        same(gdb.ask(packet), 'E16')
    same(gdb.ask('g'), old)
    gdb.ask('D')
    echoes(vm)
    end(vm)


def memory():
    vm, gdb = start()
    at = symbols('echo')['guest_main']
    code = gdb.ask(f'm{at:x},40')
    with open(f'{GUESTS}/echo.flat', 'rb') as f:
        assert bytes.fromhex(code) in f.read()
    # A place that nobody uses: RAM is identity mapped here.
    free = 0x1800000
    same(gdb.ask(f'M{free + 0xffe:x},4:01020304'), 'OK')
    same(gdb.ask(f'm{free + 0xffd:x},6'), '000102030400')
    binary = bytes(range(256))
    escaped = b''.join(b'}' + bytes([b ^ 0x20]) if b in b'#$}*' else bytes([b]) for b in binary)
    same(gdb.ask(b'X%x,100:' % free + escaped), 'OK')
    same(bytes.fromhex(gdb.ask(f'm{free:x},100')), binary)
    same(gdb.ask(b'X%x,0:' % free), 'OK')
    same(gdb.ask('qqemu.PhyMemMode'), '0')
    same(gdb.ask('Qqemu.PhyMemMode:1'), 'OK')
    same(bytes.fromhex(gdb.ask(f'm{free:x},100')), binary)
    same(gdb.ask('m2000000,4'), 'E0e')  # where RAM ends
    same(gdb.ask('m1fffffe,4000')[:4], '0000')
    same(len(gdb.ask('m1fffff0,20')), 0x20)
    same(gdb.ask('Qqemu.PhyMemMode:0'), 'OK')
    for packet in 'mffff800000000000,4', 'Mffff800000000000,1:00':
        same(gdb.ask(packet), 'E0e')
    for packet in 'm', 'm1', 'm1,', 'mx,1', 'm1,1:', 'M1,2:00', 'M1,1:0g', 'M1,1', 'X1,2:a', 'X1', \
            'mfffffffffffffffff,1':
        same(gdb.ask(packet), 'E16')
    same(gdb.ask('m1fffff0,fffffffffffffff')[:2], '00')
    gdb.ask('D')
    echoes(vm)
    end(vm)


def breakpoints():
    vm, gdb = start()
    gdb.ask('qSupported:swbreak+;hwbreak+')
    at = symbols('echo')['arch_getc']
    same(gdb.ask(f'Z1,{at:x},1'), 'OK')
    same(gdb.ask('vCont;c'), 'T05thread:1;hwbreak:;')
    same(gdb.reg(RIP), at)
    # What is there again and again is met again and again.
    same(gdb.ask(f'z1,{at:x},1'), 'OK')
    same(gdb.ask('vCont;s:1'), 'T05thread:1;')
    same(gdb.ask(f'Z1,{at:x},1'), 'OK')
    same(gdb.ask('vCont;c'), 'T05thread:1;hwbreak:;')
    same(gdb.reg(RIP), at)
    same(gdb.ask(f'z1,{at:x},1'), 'OK')
    for i in range(1, 4):
        same(gdb.ask(f'Z1,{i:x},1'), 'OK')
    same(gdb.ask('Z2,1001,3'), 'E.the processor\'s debug registers are all in use')
    same(gdb.ask('Z2,1008,8'), 'OK')
    same(gdb.ask('Z2,1008,8'), 'OK')
    assert gdb.ask('Z4,2000,4').startswith('E.')
    same(gdb.ask('z2,1008,8'), 'OK')
    same(gdb.ask('Z4,2000,4'), 'OK')
    same(gdb.ask('z4,3000,4'), 'OK')  # never there
    same(gdb.ask('Z3,2000,4'), '')
    same(gdb.ask('Z5,2000,4'), '')
    for packet in 'Z0', 'Z0,', 'Z0,1', 'Z0,1,', 'Zx,1,1', 'Z1,1,1x':
        same(gdb.ask(packet), 'E16')
    gdb.ask('D')
    echoes(vm)
    end(vm)


def hidden():
    """An instruction that is replaced is not seen by the client; and is back when it leaves."""
    vm, gdb = start()
    at = symbols('echo')['arch_getc']
    code = gdb.ask(f'm{at - 4:x},10')
    same(gdb.ask(f'Z0,{at:x},1'), 'OK')
    same(gdb.ask(f'Z0,{at:x},1'), 'OK')
    same(gdb.ask(f'Z0,{at + 1:x},1'), 'OK')
    same(gdb.ask(f'm{at - 4:x},10'), code)
    gdb.monitor('physical on')
    same(gdb.ask(f'm{at - 4:x},10'), code)
    gdb.monitor('physical off')
    # It is there nevertheless.
    with open(f'/proc/{vm.proc.pid}/mem', 'rb') as mem:
        base = [line for line in vm.proc_file('maps').splitlines() if ' rw-p ' in line]
        found = False
        for line in base:
            begin, finish = (int(x, 16) for x in line.split()[0].split('-'))
            if finish - begin >= 32 << 20:
                mem.seek(begin + at)
                found |= mem.read(2) == b'\xcc\xcc'
        assert found
    # What is written below it is what comes back.
    same(gdb.ask(f'M{at - 1:x},4:{code[6:14]}'), 'OK')
    same(gdb.ask(f'm{at - 4:x},10'), code)
    same(gdb.ask(f'z0,{at + 1:x},1'), 'OK')
    same(gdb.ask('Z0,ffff800000000000,1'), 'E0e')
    gdb.monitor('physical on')
    assert gdb.ask('Z0,fee00000,1').startswith('E')
    gdb.close()  # without a word
    echoes(vm)
    end(vm)


def run_some():
    """Only those that the client names run."""
    vm, gdb = start('smp', '--gdb-wait', cpus=2)
    same(gdb.ask('qfThreadInfo'), 'm1,2')
    same(gdb.ask('qsThreadInfo'), 'l')
    assert bytes.fromhex(gdb.ask('qThreadExtraInfo,2')).startswith(b'vcpu 1')
    same([gdb.ask(p) for p in ('T1', 'T2', 'T3', 'Hg2', 'Hg3', 'Hc-1', 'Hx1', 'Hg')],
         ['OK', 'OK', 'E16', 'OK', 'E16', 'OK', 'E16', 'E16'])
    gdb.ask('Hg1')
    before = gdb.reg(RIP)
    # The other one waits to be started; it alone may run, and nothing happens.
    gdb.send('vCont;c:2')
    same(gdb.interrupt()[:3], 'T02')
    gdb.ask('Hg1')
    same(gdb.reg(RIP), before)
    same(gdb.ask('vCont;s:1;t'), 'T05thread:1;')
    assert gdb.reg(RIP) != before
    for packet in 'vCont', 'vCont;', 'vCont;t', 'vCont;x', 'vCont;c:3', 'vCont;c:', 'vCont;C', 'c1000':
        same(gdb.ask(packet), 'E16')
    same(gdb.ask('vCont?'), 'vCont;c;C;s;S;t')
    gdb.send('vCont;C05:-1')
    status = vm.end()
    same(gdb.receive(), f'W{status:02x}')
    assert gdb.gone()


def vanish():
    """A client that is gone in the middle of anything leaves a guest that runs."""
    vm = run()
    vm.expect('ready')
    at = symbols('echo')['arch_getc']
    for packets in [], ['g'], [f'Z1,{at:x},1'], [f'Z0,{at:x},1'], [f'Z1,{at:x},1', 'vCont;c'], ['vCont;s:1']:
        gdb = Gdb()
        for packet in packets:
            gdb.ask(packet)
        gdb.close()
        echoes(vm)
    gdb = Gdb()
    gdb.send('vCont;c')
    gdb.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    gdb.close()
    echoes(vm)
    end(vm)


def second():
    vm, gdb = start()
    other = Gdb()
    assert other.gone()
    vm.expect('there is a client already')
    same(gdb.ask('?'), 'T05thread:1;')
    gdb.ask('D')
    end(vm)


def acknowledgments():
    vm, gdb = start()
    gdb.s.sendall(b'$?#00')
    same(gdb.byte(), b'-')
    gdb.s.sendall(b'+$?#3f')
    same(gdb.byte(), b'+')
    first = gdb.receive()
    gdb.s.sendall(b'-')
    same(gdb.receive(), first)
    same(gdb.ask('QStartNoAckMode'), 'OK')
    gdb.acks = False
    gdb.s.sendall(b'$?#00')
    same(gdb.receive(), first)
    # Several at once, and one in pieces.
    gdb.s.sendall(b'$?#3f' * 300)
    for _ in range(300):
        same(gdb.receive(), first)
    for b in b'$?#3f':
        gdb.s.sendall(bytes([b]))
    same(gdb.receive(), first)
    gdb.ask('D')
    end(vm)


def hostile():
    vm = run()
    vm.expect('ready')
    for junk in b'GET / HTTP/1.1\r\n\r\n$k#6b', b'\0', b'$?#zz', bytes(range(4, 256)):
        gdb = Gdb()
        gdb.s.sendall(junk)
        assert gdb.gone()
        echoes(vm)
    gdb = Gdb()
    gdb.ask('QStartNoAckMode')
    gdb.acks = False
    # Longer than any packet.
    gdb.s.sendall(b'$' + b'a' * 1000000 + b'#00')
    same(gdb.receive(), 'E16')
    gdb.s.sendall(b'\3\3\3+++---')
    dice = random.Random(1)
    for _ in range(2000):
        op = dice.choice('?gGpPmMXHTcCsSZzqQv!RABbdFiIJ\x01\xff')
        body = op.encode('latin-1') + bytes(dice.choice(b'0123456789abcdef,:;=-xg\x00\xff')
                                            for _ in range(dice.randrange(12)))
        # Nobody answers who was told to run.
        if re.fullmatch(rb'[cs]|[CS][0-9a-f]+', body.split(b'\0')[0]):
            continue
        gdb.s.sendall(b'$' + body + b'#00')
        gdb.receive()
    gdb.close()
    echoes(vm)
    # One who asks and never reads.
    gdb = Gdb()
    gdb.s.settimeout(0)
    try:
        for _ in range(100000):
            gdb.s.send(b'$g#67' * 100)
    except BlockingIOError:
        pass
    else:
        raise AssertionError('everything is taken')
    # The others of the main loop have their turn: a signal ends lkvm.
    vm.proc.send_signal(signal.SIGTERM)
    assert vm.end() in (-signal.SIGTERM, 128 + signal.SIGTERM)
    gdb.close()


def ends():
    vm, gdb = start()
    gdb.send('vCont;c')
    vm.send('quit\n')
    same(gdb.receive(), 'W03')
    assert gdb.gone()
    same(vm.end(), 3)
    vm, gdb = start()
    gdb.send('vCont;c')
    vm.proc.send_signal(signal.SIGTERM)
    same(gdb.receive(), 'X0f')
    vm.end()
    for packet in 'k', 'vKill;1':
        vm, gdb = start()
        gdb.send(packet)
        assert gdb.gone()
        same(vm.end(), 0)
        assert not os.path.exists(PATH)
    vm, gdb = start()
    gdb.monitor('quit')
    same(gdb.receive(), 'W00')
    same(vm.end(), 0)


def reboot():
    """The guest's reset: the client is told before it begins again."""
    vm, gdb = start()
    at = symbols('echo')['guest_main']
    same(gdb.ask(f'Z1,{at:x},1'), 'OK')
    same(gdb.ask(f'Z0,{at + 1:x},1'), 'OK')
    code = gdb.ask(f'm{at:x},10')
    assert 'is reset' in gdb.monitor('reset')
    same(gdb.ask(f'z0,{at + 1:x},1'), 'OK')
    same(gdb.ask(f'm{at:x},10'), code)
    # The processor's breakpoints are still there.
    assert gdb.ask('vCont;c').startswith('T05thread:1;')
    same(gdb.reg(RIP), at)
    same(gdb.ask(f'z1,{at:x},1'), 'OK')
    gdb.send('vCont;c')
    vm.expect('ready')
    same(gdb.interrupt(), 'T02thread:1;')
    same(gdb.ask('D'), 'OK')
    end(vm)


def own_reset():
    vm, gdb = start('exit', '--gdb-wait', '-p', 'reset')
    start_pc = gdb.reg(RIP)
    for _ in range(2):
        gdb.send('vCont;c')
        text = gdb.receive()
        same(text[0], 'O')
        assert 'was reset' in bytes.fromhex(text[1:]).decode()
        same(gdb.receive(), 'T05thread:1;')
        same(gdb.reg(RIP), start_pc)
    gdb.send('k')
    assert gdb.gone()
    same(vm.end(), 0)


def monitor():
    vm, gdb = start()
    at = symbols('echo')['guest_main']
    assert 'translate ADDRESS' in gdb.monitor('help')
    assert 'rip ' in gdb.monitor('info registers')
    assert gdb.monitor('info version').startswith('lkvm ')
    same(gdb.monitor(f'translate 0x{at:x}'), f'0x{at:x}: physical 0x{at:x}\n')
    assert 'not mapped' in gdb.monitor('translate 0xffff800000000000')
    assert 'needs an address' in gdb.monitor('translate')
    assert 'are physical' in gdb.monitor('physical on')
    assert "'on' or 'off'" in gdb.monitor('physical maybe')
    assert 'no such command' in gdb.monitor('fly')
    same(gdb.ask('qRcmd,zz'), 'E16')
    same(gdb.ask('qRcmd,' + '41' * 1000), 'E16')
    gdb.ask('D')
    end(vm)


def tcp():
    vm = Vm(guest('echo', '--gdb', '0', '--loglevel', 'info'))
    port = int(vm.expect(r'listens at 127\.0\.0\.1:(\d+); in gdb: target remote')[1])
    gdb = Gdb(port)
    same(gdb.ask('?'), 'T05thread:1;')
    taken = Vm(guest('echo', '--gdb', f'localhost:{port}'))
    taken.expect(f'--gdb 127.0.0.1:{port}: cannot listen: Address already in use')
    same(taken.end(), 1)
    gdb.ask('D')
    vm.send('quit\n')
    same(vm.end(), 3)


def words():
    with open(f'{folder}/file', 'w', encoding='ascii'):
        pass
    for arg, status, text in ('70000', 2, 'must be a port'), ('x', 2, 'must be a port'), ('', 2, 'must be a port'), \
            ('unix:', 2, "needs a file's name"), ('example.org:1', 2, 'in numbers'), ('[::1:3', 2, 'in numbers'), \
            ('1.2.3:4', 2, 'in numbers'), (f'unix:{folder}/file', 1, 'it exists and is not a socket'), \
            (f'unix:{folder}/no/s', 1, 'cannot listen'), ('192.0.2.1:0', 1, 'cannot listen'):
        vm = Vm(guest('echo', '--gdb', arg))
        vm.expect(re.escape(text))
        same(vm.end(), status)
    vm = Vm(guest('echo', '--gdb-wait'))
    vm.expect('--gdb-wait: there is nothing to wait for')
    same(vm.end(), 2)
    for arg, shown in ('1234', '127.0.0.1:1234'), (':99', '127.0.0.1:99'), ('tcp::1', '127.0.0.1:1'), \
            ('[::]:7', '[::]:7'), ('0.0.0.0:7', '0.0.0.0:7'), ('unix:/a', 'unix:/a'), ('path=b', 'unix:b'):
        vm = Vm(guest('echo', '--gdb', arg, '--dry-run'))
        vm.expect(re.escape(f'gdb: {shown}'))
        same(vm.end(), 0)
    vm = Vm(guest('echo', '--gdb', '0.0.0.0:0'))
    vm.expect('whoever reaches this address')
    vm.expect('ready')
    vm.send('quit\n')
    same(vm.end(), 3)


def debugger():
    """GDB itself, with the guest's symbols."""
    program = shutil.which('gdb-multiarch') or shutil.which('gdb')
    if not program:
        raise Skip('there is no gdb here')
    vm = run('echo', '--gdb-wait')
    commands = [f'target remote {PATH}', 'hbreak guest_main', 'continue', 'backtrace', 'info threads',
                'print $cs', 'print $xmm0', 'print $eflags', 'x/i $pc', 'info line', 'stepi', 'stepi', 'monitor info version', 'delete', 'detach']
    argv = [program, '-nx', '-batch', f'{GUESTS}/echo.elf']
    for command in commands:
        argv += ['-ex', command]
    out = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
    text = out.stdout + out.stderr
    for wanted in 'Breakpoint 1, guest_main', '#0  guest_main', 'vcpu 0', '= 16', 'v4_float', 'uint128', \
            '=> 0x', 'lkvm ', 'Inferior 1':
        assert wanted in text, (wanted, text)
    vm.expect('ready')
    end(vm)


main([
    ('--gdb-wait: the guest begins when the debugger says so', wait),
    ('a debugger comes and goes while the guest runs', attach),
    ('registers are described as they are sent', description),
    ('registers are written', registers),
    ('memory is read and written, by either kind of address', memory),
    ('hardware breakpoints', breakpoints),
    ('breakpoints in memory are not seen, and go', hidden),
    ('vcpus are threads, and run as the client says', run_some),
    ('a client that vanishes', vanish),
    ('a second client is refused', second),
    ('acknowledgments, and packets in any pieces', acknowledgments),
    ('clients that do anything', hostile),
    ('the client is told of the end, and may bring it', ends),
    ('the client resets the guest', reboot),
    ('the guest resets itself', own_reset),
    ('monitor', monitor),
    ('TCP', tcp),
    ('wrong words', words),
    ('gdb', debugger),
])
