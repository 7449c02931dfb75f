#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""virtio-net over a tap in a network namespace of its own: packets both ways, whatever the transport."""
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import GUESTS, LIMIT, LKVM, NETNS, Skip, Vm, enter_namespace, guest, main, same, until  # noqa: E402

PROTO = 0x88b5  # IEEE 802 local experimental


def ip(*words):
    subprocess.run(['ip', *words], check=True)


def need_namespace():
    if NETNS not in os.environ:
        raise Skip('no network namespace (needs root or user namespaces, ip and /dev/net/tun)')


def answer(vm, sock, text):
    """Wait for a ping, check it, answer; the guest's address."""
    sock.settimeout(LIMIT)
    frame = sock.recv(2000)
    same(frame[:6], b'\xff' * 6)
    assert frame[14:19] == b'ping ', frame
    same(frame[20:78], b'x' * 58)
    sock.send(frame[6:12] + b'\x02\0\0\0\0\x99' + struct.pack('>H', PROTO) + text)
    return frame[6:12]


def checksum(data):
    h = 0x811c9dc5
    for w, in struct.iter_unpack('<I', data):
        h = (h ^ w) * 0x01000193 & 0xffffffff
    return h


def ping(tap, *args, length=64):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(PROTO)) as sock:
        sock.bind((tap, PROTO))
        vm = Vm(guest('net', '-n', f'mode=tap,tapif={tap}' + ''.join(a for a in args if a[0] == ','),
                      *(a for a in args if a[0] != ',')))
        text = b'pong' + bytes(range(60)) + os.urandom(length - 64)
        mac = answer(vm, sock, text)
        m = vm.expect(r'pong of (\d+) bytes, (\d) buffer, sum ([0-9a-f]+)\r?\n')
        same([int(m[1]), int(m[2]), int(m[3], 16)], [14 + length, 1, checksum(text[:64])])
        same(vm.end(), 0)
        return mac


def both_ways():
    need_namespace()
    ip('tuntap', 'add', 'dev', 'lt0', 'mode', 'tap')
    ip('link', 'set', 'lt0', 'up')
    for args in [], ['--virtio-transport', 'mmio'], ['--irqchip', 'split']:
        ping('lt0', *args)
    ping('lt0', length=1400)


def before_1_0():
    """Drivers from before VIRTIO 1.0 have a header of 10 bytes where buffers are not merged."""
    need_namespace()
    ip('tuntap', 'add', 'dev', 'lt7', 'mode', 'tap')
    ip('link', 'set', 'lt7', 'up')
    for transport in 'pci-legacy', 'mmio-legacy':
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(PROTO)) as sock:
            sock.bind(('lt7', PROTO))
            vm = Vm(guest('legacy', '-p', 'net', '--virtio-transport', transport, '-n', 'mode=tap,tapif=lt7'))
            text = b'pong' + bytes(range(60)) + os.urandom(1400)
            answer(vm, sock, text)
            m = vm.expect(r'pong of (\d+) bytes, sum ([0-9a-f]+)\r?\n')
            same([int(m[1]), int(m[2], 16)], [14 + len(text), checksum(text[:64])])
            same(vm.end(), 0)


def number(frame):
    """Of a frame of ours, else -1."""
    return struct.unpack('<I', frame[20:24])[0] if frame[14:20] == b'number' else -1


def no_frame_is_lost():
    """Numbered frames, from the first moment on: before the driver is there the interface queues them (500 is its default),
    and the guest sends before it gives a buffer to receive into."""
    need_namespace()
    ip('tuntap', 'add', 'dev', 'lt3', 'mode', 'tap')
    ip('link', 'set', 'lt3', 'up')
    head = b'\xff' * 6 + b'\x02\0\0\0\0\x99' + struct.pack('>H', PROTO) + b'number'
    for args in [], ['--virtio-transport', 'mmio'], ['--irqchip', 'split']:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(PROTO)) as sock:
            sock.bind(('lt3', PROTO))
            sock.settimeout(LIMIT)
            vm = Vm(guest('frames', '-p', 'all=400', '-n', 'mode=tap,tapif=lt3', *args))
            vm.expect('before the driver')
            # What Linux sends before it has noticed the carrier is dropped by Linux itself.
            until('the link is up', lambda: link_state('lt3') == 'up')
            for n in range(150):
                sock.send(head + struct.pack('<I', n) + bytes(50))
            vm.send('k')
            same([number(sock.recv(2000)) for _ in range(100)], list(range(100)))
            for n in range(150, 400):
                sock.send(head + struct.pack('<I', n) + bytes(50))
            vm.expect('400 frames in order')
            same(vm.end(), 0)


def link_state(name):
    with open(f'/sys/class/net/{name}/operstate', encoding='ascii') as f:
        return f.read().strip()


def stopped_queue():
    """The answer comes while the receive queue is stopped: it waits, and no old buffer is written."""
    need_namespace()
    for args in [], ['--virtio-transport', 'mmio']:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(PROTO)) as sock:
            sock.bind(('lt0', PROTO))
            sock.settimeout(LIMIT)
            vm = Vm(guest('stopq', '-p', 'net', '-n', 'mode=tap,tapif=lt0', *args))
            sock.recv(2000)
            for _ in range(3):
                sock.send(b'\xff' * 6 + b'\x02\0\0\0\0\x99' + struct.pack('>H', PROTO) + b'pong' + bytes(60))
            same(vm.end(), 20)


def addresses():
    need_namespace()
    same(ping('lt0', ',guest_mac=02:15:15:15:15:16'), b'\x02\x15\x15\x15\x15\x16')
    one, again, other = (ping('lt0', '--name', name) for name in ('a', 'a', 'b'))
    same(one, again)
    assert one != other
    same(one[0] & 3, 2)


def address_of(vm):
    mac = vm.expect(r'card ([0-9a-f:]+) mtu')[1]
    same(vm.end(), 1)  # nobody answers its ping
    return mac


def containers():
    """Two containers of one image: the same process number, the same /etc/machine-id."""
    need_namespace()
    inside = ['unshare', '-pfmn', '--mount-proc']
    one, two = (address_of(Vm(inside + guest('net', '-n', 'mode=tap', '-p', 'pings=1'))) for _ in range(2))
    assert one != two, one


def queues_and_mtu():
    need_namespace()
    ip('tuntap', 'add', 'dev', 'lt1', 'mode', 'tap', 'multi_queue')
    ip('link', 'set', 'lt1', 'up', 'mtu', '4000')
    ping('lt1')
    vm = Vm(guest('net', '-n', 'mode=tap,tapif=lt1'))
    vm.expect('mtu 4000 link 1')


def busy():
    need_namespace()
    vm = Vm(guest('net', '-n', 'mode=tap,tapif=lt0'))
    vm.expect('card')
    second = subprocess.run(guest('net', '-n', 'mode=tap,tapif=lt0'), capture_output=True, text=True, check=False)
    same(second.returncode, 1)
    assert "tapif=lt0: is in use" in second.stderr, second.stderr
    same(second.stderr.count('\n'), 1)


def refused():
    """Somebody else's tap: whose it is, and the remedy."""
    need_namespace()
    if not shutil.which('setpriv'):
        raise Skip('no setpriv')
    for args, why in (['user', '1'], 'it belongs to another user, 1'), (['user', '0', 'group', '1'], 'it is for group 1 alone'):
        if subprocess.run(['ip', 'tuntap', 'add', 'dev', 'lt8', 'mode', 'tap', *args], check=False).returncode:
            raise Skip('no user but one in this namespace')
        done = subprocess.run(['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', '--clear-groups',
                               *guest('net', '-n', 'mode=tap,tapif=lt8')], capture_output=True, text=True, check=False)
        ip('tuntap', 'del', 'dev', 'lt8', 'mode', 'tap')
        same(done.returncode, 1)
        assert f'tapif=lt8: not permitted: {why}; create one of your own with: ' in done.stderr, done.stderr
        same(done.stderr.count('\n'), 1)


def removed():
    """The interface goes away under the guest: one line, no busy loop, the guest goes on."""
    need_namespace()
    ip('tuntap', 'add', 'dev', 'lt2', 'mode', 'tap')
    ip('link', 'set', 'lt2', 'up')
    vm = Vm(guest('net', '-n', 'mode=tap,tapif=lt2'))
    vm.expect('link 1')
    ip('link', 'del', 'lt2')
    vm.expect("'lt2' was removed")
    task = next(t for t in os.listdir(f'/proc/{vm.proc.pid}/task')
                if vm.proc_file(f'task/{t}/comm').startswith('virtio-net'))
    before = vm.proc_file(f'task/{task}/stat').split()[13:15]
    time.sleep(0.5)
    after = vm.proc_file(f'task/{task}/stat').split()[13:15]
    assert sum(map(int, after)) - sum(map(int, before)) < 10, (before, after)
    vm.send('k')
    vm.expect('no pong')
    same(vm.end(), 1)


def down_and_up():
    """The interface goes down and comes up again: so does the guest's link, and packets flow."""
    need_namespace()
    ip('tuntap', 'add', 'dev', 'lt5', 'mode', 'tap')
    ip('link', 'set', 'lt5', 'up')
    vm = Vm(guest('net', '-n', 'mode=tap,tapif=lt5', '-p', 'pings=1000000'))
    vm.expect('link 1')
    ip('link', 'set', 'lt5', 'down')
    vm.expect("interface 'lt5' is down, and so is the guest's link")
    ip('link', 'set', 'lt5', 'up')
    vm.expect("interface 'lt5' is up again")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(PROTO)) as sock:
        sock.bind(('lt5', PROTO))
        answer(vm, sock, b'pong' + bytes(60))
        vm.expect('pong of')
    same(vm.end(), 0)


def link():
    """The link follows the host's interface at once, though nothing is sent: set down and up, without a carrier and with."""
    need_namespace()
    ip('tuntap', 'add', 'dev', 'lt6', 'mode', 'tap')
    vm = Vm(guest('net', '-n', 'mode=tap,tapif=lt6', '-p', 'watch=1'))
    vm.expect('link 0')
    for _ in range(2):
        ip('link', 'set', 'lt6', 'up')
        vm.expect('link is 1')
        ip('link', 'set', 'lt6', 'down')
        vm.expect("interface 'lt6' is down, and so is the guest's link")
        vm.expect('link is 0')
    ip('link', 'set', 'lt6', 'up')
    vm.expect('link is 1')
    if not subprocess.run(['ip', 'link', 'set', 'lt6', 'carrier', 'off'], capture_output=True, check=False).returncode:
        vm.expect('link is 0')
        ip('link', 'set', 'lt6', 'carrier', 'on')
        vm.expect('link is 1')
    # Of a bridge's port its bridge tells, too.
    if not subprocess.run(['ip', 'link', 'add', 'lbr', 'type', 'bridge'], capture_output=True, check=False).returncode:
        ip('link', 'set', 'lt6', 'master', 'lbr')
        ip('link', 'set', 'lt6', 'nomaster')
        ip('link', 'del', 'lbr')
    ip('link', 'set', 'lt6', 'down')
    vm.expect('link is 0')
    vm.send('k')
    same(vm.end(), 0)


def made():
    """Without a name lkvm makes an interface, which goes with it, killed or not."""
    need_namespace()
    nets = sorted(os.listdir('/sys/class/net'))
    for kill in False, True:
        vm = Vm(guest('net', '-n', 'mode=tap'))
        vm.expect('card')
        assert len(os.listdir('/sys/class/net')) == len(nets) + 1
        if kill:
            vm.proc.kill()
        else:
            vm.proc.terminate()
        vm.end()
        until('the tap is gone', lambda: sorted(os.listdir('/sys/class/net')) == nets)


def udp(port):
    ip_head = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 46, 0, 0, 9, 17, 0, bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))
    return b'\xff' * 6 + b'\x02\0\0\0\0\x99' + b'\x08\0' + ip_head + struct.pack('>HHHH', port, 0x1234, 26, 0) + bytes(18)


def toeplitz(key, data):
    """As the specification says it: for each bit of the input, from the left, 32 bits of the key."""
    bits = int.from_bytes(key, 'big')
    total = 0
    for i in range(8 * len(data)):
        if data[i // 8] & 0x80 >> i % 8:
            total ^= bits >> (8 * len(key) - 32 - i) & 0xffffffff
    return total


def spread(words, fds=(), rss=False):
    """Twenty packets of as many flows, and which pair each came to; each comes back."""
    pairs = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800)) as sock:
        sock.bind(('lt9', 0x800))
        sock.settimeout(LIMIT)
        vm = Vm(guest('pairs', '-n', words, '-p', 'all=20' + (' rss' if rss else '')), pass_fds=fds)
        offered = vm.expect(r'offered(.*)\n')[1]
        if rss and b' rss' not in offered:
            vm.proc.kill()
            vm.end()
            raise Skip('no BPF program may be loaded here')
        vm.expect('ready')
        for port in range(5000, 5020):
            frame = udp(port)
            sock.send(frame)
            m = vm.expect(rf'port {port} pair (\d) hash ([0-9a-f]+)')
            pairs[port] = int(m[1])
            if rss:
                key = bytes(range(1, 41))
                want = toeplitz(key, frame[26:34] + frame[34:38])
                same(int(m[2], 16), want)
                same(int(m[1]), [0, 1, 1, 0][want & 3])
            while True:
                back = sock.recv(2000)
                if back[36:38] == b'\x56\x34':
                    break
            same(back[34:36], frame[34:36])
        same(vm.end(), 0)
    return pairs


def several_pairs():
    need_namespace()
    ip('tuntap', 'add', 'dev', 'lt9', 'mode', 'tap', 'multi_queue')
    ip('link', 'set', 'lt9', 'up')
    spread('mode=tap,tapif=lt9,queues=2')
    spread('mode=tap,tapif=lt9,mq=2')


def by_rss():
    need_namespace()
    same(set(spread('mode=tap,tapif=lt9,queues=2', rss=True).values()), {0, 1})


def inherited():
    """Two queues that somebody else opened; what he opened beside them is closed."""
    need_namespace()
    fds = []
    for _ in range(2):
        fds.append(os.open('/dev/net/tun', os.O_RDWR))
        # TUNSETIFF; IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE
        fcntl.ioctl(fds[-1], 0x400454ca, struct.pack('16sH22x', b'lt9', 0x0002 | 0x1000 | 0x4000 | 0x0100))
    spread(f'fd={fds[0]}:{fds[1]}', fds)
    for fd in fds:
        os.close(fd)


def by_vhost():
    """The host's kernel moves the packets, or rather one of the test's own in its place."""
    need_namespace()
    with open(LKVM, 'rb') as f:
        program = f.read()
    if b'libasan' in program or b'libtsan' in program or b'libc.so' not in program:
        raise Skip('nothing can be preloaded into this binary')
    os.environ['LD_PRELOAD'] = f'{GUESTS}/vhost.so'
    try:
        for args in [], ['--virtio-transport', 'mmio'], ['--irqchip', 'split']:
            ping('lt0', ',vhost=1', *args)
        spread('mode=tap,tapif=lt9,queues=2,vhost=1')
        ip('tuntap', 'add', 'dev', 'lt8', 'mode', 'tap')
        ip('link', 'set', 'lt8', 'up')
        vm = Vm(guest('net', '-n', 'mode=tap,tapif=lt8,vhost=1'))
        vm.expect('link 1')
        ip('link', 'del', 'lt8')
        vm.expect("'lt8' was removed")
        vm.send('k')
        vm.expect('no pong')
        same(vm.end(), 1)
    finally:
        del os.environ['LD_PRELOAD']


enter_namespace()
main([
    ('packets go both ways', both_ways),
    ('and by drivers from before 1.0, with their header', before_1_0),
    ('no frame is lost, from the first moment on', no_frame_is_lost),
    ('a receive queue that is stopped', stopped_queue),
    ('addresses: given, and stable for a name', addresses),
    ('addresses: nobody said which, in two containers', containers),
    ('a tap of several queues, and its MTU', queues_and_mtu),
    ('several pairs of queues', several_pairs),
    ('packets are spread by RSS, and their hashes reported', by_rss),
    ('taps that are inherited', inherited),
    ("packets that the host's kernel moves", by_vhost),
    ('a tap in use', busy),
    ("somebody else's tap", refused),
    ('a tap that is removed', removed),
    ('a tap that goes down and comes up again', down_and_up),
    ('the link of a guest that sends nothing', link),
    ('a tap of our own goes with us', made),
])
