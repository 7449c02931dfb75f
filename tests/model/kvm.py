# SPDX-License-Identifier: MIT
"""For tests of the model of KVM itself: the calls of a VMM, made by hand, under the preloaded library.

A test file lists its cases with @case and ends in run(); each case is a process of its own, with its own LKVM_MODEL.
"""
import ctypes
import errno
import json
import mmap
import os
import struct
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
MODEL = os.path.realpath(os.environ.get('MODEL', os.path.join(HERE, '../../build/model/model.so')))
VECTORS = os.path.join(HERE, '../vectors')
PAGE = 4096
LIMIT = int(os.environ.get('TEST_LIMIT') or 600)

GET_API_VERSION, CREATE_VM, CHECK_EXTENSION, CREATE_VCPU, RUN = 0xae00, 0xae01, 0xae03, 0xae41, 0xae80
SUPPORTED_CPUID, CREATE_IRQCHIP = 0xc008ae05, 0xae60
SET_TSC_KHZ, ENABLE_CAP = 0xaea2, 0x4068aea3
GET_REGS, SET_REGS = 0x8090ae81, 0x4090ae82
GET_SREGS, SET_SREGS = 0x8138ae83, 0x4138ae84
GET_SREGS2, SET_SREGS2 = 0x8140aecc, 0x4140aecd
SET_MSRS, SET_CPUID2 = 0x4008ae89, 0x4008ae90
GET_FPU, SET_FPU = 0x81a0ae8c, 0x41a0ae8d
GET_MP_STATE = 0x8004ae98
GET_DEBUGREGS, SET_DEBUGREGS = 0x8080aea1, 0x4080aea2
SET_GUEST_DEBUG = 0x4048ae9b
GET_XSAVE, SET_XSAVE, GET_XCRS, SET_XCRS = 0x9000aea4, 0x5000aea5, 0x8188aea6, 0x4188aea7
SET_REGION, SET_REGION2 = 0x4020ae46, 0x40a0ae49
CREATE_GMEM, SET_ATTRIBUTES, PRE_FAULT = 0xc040aed4, 0x4020aed2, 0xc040aed5
ENCRYPT_OP = 0xc008aeba
GET_DEVICE_ATTR, HAS_DEVICE_ATTR = 0x4018aee2, 0x4018aee3
GUEST_MEMFD, READONLY, LOG_DIRTY = 4, 2, 1
MMAP, INIT_SHARED = 1, 2
PRIVATE = 8
CAP_EXIT_HYPERCALL, CAP_SPLIT_IRQCHIP, CAP_DISABLE_QUIRKS2 = 201, 121, 213
BAD = 0x1000  # an address at which nothing is mapped

libc = ctypes.CDLL(None, use_errno=True)
libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]


class Memory:
    """Pages at an address, for as long as the process lives."""
    kept = []

    def __init__(self, size=PAGE, data=b'', prot=mmap.PROT_READ | mmap.PROT_WRITE, fd=-1):
        self.map = mmap.mmap(fd, size, mmap.MAP_SHARED if fd >= 0 else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
                             mmap.PROT_READ | mmap.PROT_WRITE)
        self.map[:len(data)] = data
        Memory.kept.append(self)
        self.at = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        if prot != mmap.PROT_READ | mmap.PROT_WRITE:
            libc.mprotect(ctypes.c_void_p(self.at), ctypes.c_size_t(size), prot)

    def __getitem__(self, where):
        return self.map[where]

    def __setitem__(self, where, what):
        self.map[where] = what


def ioctl(fd, request, arg=0):
    """What it returns, or -errno; arg: a number, an address, Memory, or a bytearray that the call may change."""
    if isinstance(arg, (bytes, bytearray)):
        buf = ctypes.create_string_buffer(bytes(arg), len(arg))
        ret = libc.ioctl(fd, request, ctypes.addressof(buf))
        error = ctypes.get_errno()
        if isinstance(arg, bytearray):
            arg[:] = buf.raw
    else:
        ret = libc.ioctl(fd, request, arg.at if isinstance(arg, Memory) else arg)
        error = ctypes.get_errno()
    return -error if ret < 0 else ret


def is_(got, want):
    def name(x):
        return '-' + errno.errorcode.get(-x, '?') if isinstance(x, int) and x < 0 else str(x)
    assert got == want, f'{name(got)}, not {name(want)}'


class Vm:
    def __init__(self, type_, expect=None):
        self.kvm = os.open('/dev/kvm', os.O_RDWR)
        self.fd = ioctl(self.kvm, CREATE_VM, type_)
        self.vcpus = []
        if expect is None:
            assert self.fd >= 0, self.fd

    def call(self, request, arg=0):
        return ioctl(self.fd, request, arg)

    def cap(self, number):
        return self.call(CHECK_EXTENSION, number)

    def enable(self, number, value, flags=0):
        return self.call(ENABLE_CAP, struct.pack('<II4Q64x', number, flags, value, 0, 0, 0))

    def vcpu(self, id_=0):
        fd = self.call(CREATE_VCPU, id_)
        if fd < 0:
            return fd
        self.vcpus.append(Vcpu(fd))
        return fd

    def gmem(self, size, flags=0):
        return self.call(CREATE_GMEM, struct.pack('<8Q', size, flags, *[0] * 6))

    def slot(self, slot, gpa, size, hva, gmem=None, offset=0, flags=None):
        flags = (GUEST_MEMFD if gmem is not None else 0) if flags is None else flags
        return self.call(SET_REGION2, struct.pack('<IIQQQQII14Q', slot, flags, gpa, size, hva, offset,
                                                  (gmem or 0) & 0xffffffff, 0, *[0] * 14))

    def attributes(self, gpa, size, attributes=PRIVATE, flags=0):
        return self.call(SET_ATTRIBUTES, struct.pack('<4Q', gpa, size, attributes, flags))

    def memory(self, slot, gpa, size, private=True):
        """A slot with guest_memfd; its pages private."""
        shared = Memory(size)
        gmem = self.gmem(size)
        assert gmem >= 0, gmem
        is_(self.slot(slot, gpa, size, shared.at, gmem), 0)
        if private:
            is_(self.attributes(gpa, size), 0)
        return shared, gmem


class Vcpu:
    def __init__(self, fd):
        self.fd = fd
        self.run_ = Memory(3 * PAGE, fd=fd)

    def call(self, request, arg=0):
        return ioctl(self.fd, request, arg)

    def run(self):
        return self.call(RUN)

    @property
    def reason(self):
        return struct.unpack_from('<I', self.run_.map, 8)[0]

    def get(self, offset):
        return struct.unpack_from('<Q', self.run_.map, offset)[0]

    def put(self, offset, value):
        struct.pack_into('<Q', self.run_.map, offset, value)

    def regs(self, **values):
        names = 'rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags'.split()
        return self.call(SET_REGS, struct.pack('<18Q', *[values.get(n, 2 if n == 'rflags' else 0) for n in names]))

    def msrs(self, *pairs):
        return self.call(SET_MSRS, struct.pack('<II', len(pairs), 0) +
                         b''.join(struct.pack('<IIQ', i, 0, v) for i, v in pairs))

    def cpuid(self, entries):
        return self.call(SET_CPUID2, cpuid2(entries))


def cpuid2(entries):
    """leaf, index, flags, eax, ebx, ecx, edx"""
    return struct.pack('<II', len(entries), 0) + b''.join(struct.pack('<7I12x', *e) for e in entries)


SEGMENT = '<QIHBBBBBBBBBB'  # base limit selector type present dpl db s l g avl unusable padding


def segment(base=0, limit=0xffff, selector=0, type=3, present=1, dpl=0, db=0, s=1, l=0, g=0, avl=0, unusable=0):
    return struct.pack(SEGMENT, base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable, 0)


def sregs(cs, ds, es, fs, gs, ss, tr, ldt, gdt=(0, 0xffff), idt=(0, 0xffff), cr0=0x60000010, cr3=0, cr4=0, efer=0):
    """struct kvm_sregs"""
    return (cs + ds + es + fs + gs + ss + tr + ldt + struct.pack('<QH6x', *gdt) + struct.pack('<QH6x', *idt) +
            struct.pack('<7Q', cr0, 0, cr3, cr4, 0, efer, 0xfee00900) + bytes(32))


def pattern(seed):
    return bytes((i * 7 + seed * 31 + (i >> 8)) & 0xff for i in range(PAGE))


def vectors(name):
    with open(os.path.join(VECTORS, name), encoding='ascii') as f:
        return json.load(f)


CASES = []


def case(title, model, script='', broken='', said='', strict=False):
    """A test: @broken are in the log's lines of broken rules, and nothing else is broken; @said is anywhere in the log.

    @strict: what is refused counts as broken.
    """
    def add(fn):
        CASES.append((title, model, script, broken, said, strict, fn))
        return fn
    return add


def read_log(path):
    with open(path, encoding='utf-8') as f:
        return [json.loads(line) for line in f]


def log():
    """What the model has said so far, in the case's own process."""
    return read_log(os.environ['LKVM_MODEL_LOG'])


def check_log(path, broken, said):
    lines = read_log(path) if os.path.exists(path) else []
    rules = [line['broken'] for line in lines if 'broken' in line and 'end' not in line]
    wanted = [broken] if isinstance(broken, str) and broken else list(broken or [])
    for text in wanted:
        assert any(text in r for r in rules), f'the rule was not broken: {text}; but: {rules}'
    for rule in rules:
        assert any(text in rule for text in wanted), f'a rule was broken: {rule}'
    if said:
        with open(path, encoding='utf-8') as f:
            assert said in f.read(), f'not said: {said}'


def run_case(number, folder):
    import subprocess
    title, model, script, broken, said, strict, _ = CASES[number]
    path = os.path.join(folder, str(number))
    os.mkdir(path + '.root')
    env = dict(os.environ, LD_PRELOAD=MODEL, LKVM_MODEL_ROOT=path + '.root', LKVM_MODEL=model + ',lenient' + (',strict' if strict else ''),
               LKVM_MODEL_SCRIPT=script, LKVM_MODEL_LOG=path)
    r = subprocess.run([sys.executable, '-S', '-E', os.path.realpath(sys.argv[0]), str(number)], env=env, check=False,
                       capture_output=True, text=True, timeout=LIMIT)
    try:
        assert r.returncode == 0, f'status {r.returncode}'
        check_log(path, broken, said)
    except AssertionError as e:
        return f'{e}\n{r.stdout}{r.stderr}'
    return ''


def run():
    """As a test, all cases; as a case, its function. What only the test needs is not loaded for each case."""
    if len(sys.argv) > 1:
        try:
            CASES[int(sys.argv[1])][-1]()
        except AssertionError:
            import traceback
            traceback.print_exc()
            sys.stderr.flush()
            os.kill(os.getpid(), 9)  # not by an exit that the model may change
        return
    if not os.path.exists(MODEL):
        print('Bail out! run make model first')
        sys.exit(1)
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        for i, c in enumerate(CASES):
            said = run_case(i, folder)
            print(f'{"not " if said else ""}ok {i + 1} - {c[0]}', flush=True)
            if said:
                print(said, file=sys.stderr, flush=True)
    print(f'1..{len(CASES)}')
