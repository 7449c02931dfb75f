#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The model of TDX: a case for each row of its rules, by calls made by hand; and MRTD by tests/vectors."""
import os
import signal
import struct
from errno import E2BIG, EAGAIN, EBUSY, EEXIST, EFAULT, EINTR, EINVAL, EIO, ENOSPC, ENOTTY, EOPNOTSUPP

import kvm
import tdxcalls
from kvm import BAD, Memory, case, is_
from tdxcalls import (CAPABILITIES, FINALIZE_VM, GET_CPUID, INIT_MEM_REGION, INIT_VCPU, INIT_VM, SIZE_LEAF, Td, begun,
                      command, launched)

PAGE = 4096


@case('VM types, caps, no irqchip of KVM', 'tdx', broken='split one')
def _():
    td = Td()
    assert kvm.ioctl(td.kvm, kvm.CHECK_EXTENSION, 235) & 1 << 5
    is_(td.cap(66), 16)
    is_(td.cap(233), 8)
    is_(td.cap(244), 1)
    is_(td.cap(81), 0)
    is_(td.call(kvm.CREATE_IRQCHIP), -ENOTTY)
    assert not os.path.exists('/dev/sev')


@case('a host with two CPUs', 'tdx,cpus=2')
def _():
    td = begun(vcpus=2)
    is_(td.cap(66), 2)
    is_(td.vcpu(2), -EINVAL)


@case('a host without it', 'tdx,tdx=off')
def _():
    vm = kvm.Vm(5, expect=False)
    is_(vm.fd, -EINVAL)


@case('hw_error must be 0, commands known', 'tdx', broken=['hw_error', 'is unknown'])
def _():
    td = begun()
    for fd in td.fd, td.vcpus[0].fd:
        for id_ in range(6):
            is_(command(fd, id_, hw_error=1)[0], -EINVAL)
    is_(command(td.fd, 77), (-EINVAL, 0))
    is_(command(td.fd, INIT_VCPU)[0], -EINVAL)
    is_(command(td.vcpus[0].fd, INIT_VM)[0], -EINVAL)


@case('CAPABILITIES', 'tdx', broken='flags')
def _():
    td = Td()
    is_(td.capabilities(64, flags=1)[0], -EINVAL)
    is_(command(td.fd, CAPABILITIES, BAD)[0], -EFAULT)
    ret, data = td.capabilities(4)
    is_(ret, -E2BIG)
    is_(struct.unpack_from('<I', data.map, 2048)[0], 4)
    ret, data = td.capabilities(64)
    is_(ret, 0)
    attrs, xfam, *regs = struct.unpack_from('<6Q', data.map)
    is_(attrs, 1 << 28)
    assert xfam & 7 == 7
    is_(regs, [0, 2, 0, 0])
    n = struct.unpack_from('<I', data.map, 2048)[0]
    leaves = {struct.unpack_from('<I', data.map, 2056 + 40 * i)[0]: struct.unpack_from('<I', data.map, 2068 + 40 * i)[0]
              for i in range(n)}
    is_(leaves[0x80000008] >> 16 & 0xff, 0xff)


@case('INIT_VM: order of its checks', 'tdx',
      broken=['flags', 'not readable', '257 leaves', 'reserved', 'padding', 'lacks leaf', 'bits of guest address', 'TSX',
              'leaves may be chosen', 'bits that may not', 'again'])
def _():
    td = Td()
    is_(td.init(flags=1), -EINVAL)
    is_(command(td.fd, INIT_VM, BAD)[0], -EFAULT)
    is_(td.init(nent=257, reserved=1), -E2BIG)
    is_(td.init(reserved=1, padding=1), -EINVAL)
    is_(td.init(padding=1), -EINVAL)
    is_(td.init(attributes=1), -EINVAL)
    is_(td.init(xfam=1 << 20), -EINVAL)
    is_(td.init(leaves=[]), -EINVAL)
    is_(td.init(leaves=[(0x80000008, 0, 0, 0x3930, 0, 0, 0)]), -EINVAL)
    is_(td.init(leaves=[SIZE_LEAF, (7, 0, 1, 0, 1 << 4, 0, 0)]), -EINVAL)
    is_(td.init(leaves=[SIZE_LEAF, (7, 0, 1, 0, 1 << 11, 0, 0)]), -EINVAL)
    is_(td.init(leaves=[SIZE_LEAF, (7, 0, 1, 0, 0, 1 << 5, 0)]), -EINVAL)
    is_(td.init(leaves=[SIZE_LEAF, (0x40000000, 0, 0, 0, 0, 0, 0)]), -EINVAL)
    is_(td.init(leaves=[SIZE_LEAF, SIZE_LEAF]), -EINVAL)
    is_(td.init(leaves=[SIZE_LEAF, (1, 0, 0, 0, 0, 1 << 31, 0)]), -EINVAL)
    is_(td.hw_error >> 32, 0xc0000100)
    is_(td.init(leaves=[SIZE_LEAF, (7, 0, 1, 0, 8, 0, 0)]), 0)
    is_(td.init(), -EINVAL)


@case('INIT_VM: 52 bits need five levels', 'tdx,ept5=off')
def _():
    is_(Td().init(leaves=[(0x80000008, 0, 0, 52 << 16, 0, 0, 0)]), -EINVAL)


@case('INIT_VM: 52 bits', 'tdx')
def _():
    is_(Td().init(leaves=[(0x80000008, 0, 0, 52 << 16, 0, 0, 0)]), 0)


@case('INIT_VM: no key is left', 'tdx,keys=0')
def _():
    is_(Td().init(), -ENOSPC)


@case('INIT_VM: the module has no entropy, once', 'tdx', script='fail TDX_INIT_VM 1 EAGAIN')
def _():
    td = Td()
    is_(td.init(), -EAGAIN)
    is_(td.init(), 0)


@case('INIT_VM: the module refuses', 'tdx', script='fail TDX_INIT_VM 1 EINVAL fw=0xc000010000000001')
def _():
    td = Td()
    is_(td.init(), -EINVAL)
    is_(td.hw_error, 0xc000010000000001)


@case('the clock of a TD', 'tdx', said='"tsc_25mhz": 60', broken="TD's vcpu")
def _():
    td = Td()
    is_(td.call(kvm.SET_TSC_KHZ, 1512345), 0)
    is_(td.init(), 0)
    td.vcpu()
    is_(td.vcpus[0].call(kvm.SET_TSC_KHZ, 1500000), -EINVAL)


@case('KVM_CREATE_VCPU only between INIT_VM and FINALIZE_VM', 'tdx', broken='KVM_CREATE_VCPU before INIT_VM')
def _():
    td = Td()
    is_(td.vcpu(), -EIO)
    is_(td.init(), 0)
    assert td.vcpu() >= 0
    is_(td.vcpu(), -EEXIST)
    is_(td.finalize(), 0)
    is_(td.vcpu(1), -EIO)


@case('KVM_CREATE_VCPU without a split irqchip', 'tdx', broken='without a split irqchip')
def _():
    td = Td(split=False)
    is_(td.init(), 0)
    is_(td.vcpu(), -EINVAL)


@case('a vcpu is protected from the start', 'tdx')
def _():
    vcpu = begun().vcpus[0]
    for request in (kvm.GET_REGS, kvm.SET_REGS, kvm.GET_SREGS, kvm.SET_SREGS, kvm.GET_XSAVE, kvm.SET_XSAVE,
                    kvm.GET_XCRS, kvm.SET_XCRS, kvm.GET_FPU, kvm.SET_FPU, kvm.GET_DEBUGREGS, kvm.SET_DEBUGREGS):
        is_(vcpu.call(request, bytearray(4096)), -EINVAL)
    is_(vcpu.msrs((0x1a0, 1), (0x2ff, 6)), 2)
    is_(vcpu.msrs((0x1a0, 1), (0xc0000081, 6)), 1)


@case('INIT_VCPU: order of its checks', 'tdx', broken=['flags', 'again', 'no x2APIC', 'INIT_VCPU before INIT_VM'])
def _():
    td = Td()
    is_(td.init(), 0)
    td.vcpu()
    td.vcpu(1)
    is_(td.init_vcpu(0, cpuid=()), -EINVAL)
    is_(td.init_vcpu(0, cpuid=[(1, 0, 0, 0, 0, 0, 0)]), -EINVAL)
    is_(td.init_vcpu(0, flags=1), -EINVAL)
    is_(td.init_vcpu(0), 0)
    is_(td.init_vcpu(0), -EINVAL)
    state = bytearray(4)
    is_(td.init_vcpu(1), 0)
    is_(td.vcpus[1].call(kvm.GET_MP_STATE, state), 0)
    is_(bytes(state), bytes(4))
    td.vcpu(2)
    is_(td.finalize(), 0)
    is_(td.init_vcpu(2), -EINVAL)


@case('GET_CPUID tells how many there are', 'tdx', broken='GET_CPUID before INIT_VM')
def _():
    td = begun()
    data = Memory()
    is_(command(td.vcpus[0].fd, GET_CPUID, BAD)[0], -EFAULT)
    is_(command(td.vcpus[0].fd, GET_CPUID, data.at)[0], -E2BIG)
    n = struct.unpack_from('<I', data.map)[0]
    assert n > 10
    is_(command(td.vcpus[0].fd, GET_CPUID, data.at)[0], 0)
    leaves = {e[:2]: e[3:] for e in (struct.unpack_from('<7I', data.map, 8 + 40 * i) for i in range(n))}
    is_(leaves[0x80000008, 0][0] >> 16 & 0xff, 48)
    assert leaves[1, 0][2] & 1 << 21  # x2APIC is not to be chosen
    is_(leaves[1, 0][2] >> 24 & 1, 0)  # TSC_DEADLINE was not chosen
    assert not [leaf for leaf in leaves if leaf[0] >> 28 == 4]
    is_(td.finalize(), 0)
    is_(command(td.vcpus[0].fd, GET_CPUID, data.at)[0], -EINVAL)


@case('INIT_MEM_REGION: order of its checks', 'tdx',
      broken=['before its INIT_VCPU', 'flags', 'not readable', 'source 0x', 'INIT_MEM_REGION before INIT_VM'])
def _():
    td = begun()
    td.vcpu(1)
    m = Memory()
    is_(td.region(m.at, 0x100000, 1, vcpu=1)[0], -EINVAL)
    is_(td.region(m.at, 0x100000, 1, flags=2)[0], -EINVAL)
    is_(command(td.vcpus[0].fd, INIT_MEM_REGION, BAD)[0], -EFAULT)
    for source, gpa, pages in ((0, 0x100000, 1), (m.at + 1, 0x100000, 1), (m.at, 0x100001, 1), (m.at, 0x100000, 0),
                               (m.at, 0x100000, 1 << 52), (m.at, 1 << 47, 1), (m.at, (1 << 47) - PAGE, 2)):
        is_(td.region(source, gpa, pages)[0], -EINVAL)
    is_(td.finalize(), 0)
    is_(td.region(m.at, 0x100000, 1)[0], -EINVAL)


@case('INIT_MEM_REGION: errors of a page, and how far it came', 'tdx',
      broken=['no slot', 'not private', 'cannot be read', 'added already'])
def _():
    td = begun()
    m = Memory(4 * PAGE)
    is_(td.region(m.at, 0x90000000, 1)[0], -EINVAL)
    is_(td.attributes(0x102000, PAGE, 0), 0)
    is_(td.region(m.at, 0x100000, 4), (-EINVAL, (m.at + 2 * PAGE, 0x102000, 2)))
    is_(td.region(BAD, 0x103000, 1)[0], -EFAULT)
    is_(td.region(m.at, 0x100000, 1)[0], -EIO)
    is_(td.attributes(0x102000, PAGE), 0)
    is_(td.region(m.at, 0x102000, 2), (0, (m.at + 2 * PAGE, 0x104000, 0)))


@case('INIT_MEM_REGION: a signal', 'tdx', script='signal TDX_INIT_MEM_REGION 1 page=2')
def _():
    td = begun()
    m = Memory(4 * PAGE)
    ret, (source, gpa, pages) = td.region(m.at, 0x100000, 4)
    is_((ret, gpa, pages), (-EINTR, 0x102000, 2))
    is_(td.region(source, gpa, pages)[0], 0)


SIGNAL = 'signal TDX_INIT_MEM_REGION 1 page=2 sig=10'


@case('INIT_MEM_REGION: a real signal', 'tdx', script=SIGNAL, said='"blocked": false')
def _():
    came = []
    signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
    td = begun()
    is_(td.region(Memory(4 * PAGE).at, 0x100000, 4)[0], -EINTR)
    is_(came, [1])


@case('INIT_MEM_REGION: a signal that is blocked', 'tdx', script=SIGNAL, said='"blocked": true')
def _():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    td = begun()
    is_(td.region(Memory(4 * PAGE).at, 0x100000, 4)[0], 0)
    is_(signal.sigpending(), {signal.SIGUSR1})


@case('INIT_MEM_REGION: chunks', 'tdx,chunk=3')
def _():
    td = begun()
    is_(td.region(Memory(4 * PAGE).at, 0x100000, 4)[0], -EAGAIN)


@case('FINALIZE_VM', 'tdx', script='fail TDX_FINALIZE_VM 2 EBUSY', broken='FINALIZE_VM before INIT_VM')
def _():
    is_(Td().finalize(), -EINVAL)
    td = begun()
    is_(td.finalize(), -EBUSY)
    is_(command(td.fd, FINALIZE_VM, 1, 1)[0], 0)
    is_(td.finalize(), -EINVAL)


@case('KVM_PRE_FAULT_MEMORY only after FINALIZE_VM', 'tdx', broken='before the launch is over')
def _():
    td = begun()
    range_ = bytearray(struct.pack('<8Q', 0x100000, PAGE, *[0] * 6))
    is_(td.vcpus[0].call(kvm.PRE_FAULT, range_), -EOPNOTSUPP)
    is_(td.finalize(), 0)
    is_(td.vcpus[0].call(kvm.PRE_FAULT, range_), 0)


@case('KVM_RUN before FINALIZE_VM', 'tdx', broken='KVM_RUN before')
def _():
    td = begun()
    is_(td.vcpus[0].run(), -EINVAL)


@case('the guest powers off when nothing is scripted', 'tdx')
def _():
    vcpu = launched().vcpus[0]
    is_(vcpu.run(), 0)
    is_(vcpu.reason, 24)


# Exits

@case('MapGPA', 'tdx', script='run 1 psc shared gpa=0x102000 pages=2', broken='is answered 9')
def _():
    td = launched()
    vcpu = td.vcpus[0]
    is_(vcpu.run(), 0)
    is_([vcpu.get(o) for o in (32, 40, 48, 56, 96)], [12, 0x102000, 2, 0, 1])
    vcpu.put(88, 9)
    is_(vcpu.run(), -EINVAL)


@case('GetQuote', 'tdx', script='run 1 quote gpa=0x102000 size=8192; run 2 quote gpa=0x104000 size=4096',
      broken=['not shared memory', '9000 bytes'], said='"out_len": 9000')
def _():
    td = launched()
    vcpu = td.vcpus[0]
    is_(td.attributes(0x102000, 2 * PAGE, 0), 0)
    is_(vcpu.run(), 0)
    is_(vcpu.reason, 40)
    is_([vcpu.get(o) for o in (32, 40, 48, 56, 64)], [0, 0x10002, 0x8000000000000003, 0x102000, 8192])
    is_(struct.unpack_from('<QQII', td.shared.map, 0x2000), (1, 0, 1024, 0))
    struct.pack_into('<I', td.shared.map, 0x2014, 9000)
    vcpu.put(48, 0)
    is_(vcpu.run(), 0)
    vcpu.put(48, 0)
    is_(vcpu.run(), 0)


@case('GetTdVmCallInfo and SetupEventNotify', 'tdx', script='run 1 info; run 2 notify vector=64',
      broken='is answered 0x7')
def _():
    vcpu = launched().vcpus[0]
    is_(vcpu.run(), 0)
    is_([vcpu.get(o) for o in (40, 48, 56, 64)], [0x10000, 0, 1, 0])
    is_(vcpu.run(), 0)
    is_([vcpu.get(o) for o in (40, 48, 56)], [0x10004, 0x8000000000000003, 64])
    vcpu.put(48, 7)
    is_(vcpu.run(), 0)


@case('TDX_FATAL', 'tdx', script='run 1 fatal code=0x42 text', broken='came to its end')
def _():
    vcpu = launched().vcpus[0]
    is_(vcpu.run(), 0)
    is_(struct.unpack_from('<II', vcpu.run_.map, 32), (7, 16))
    registers = struct.unpack_from('<16Q', vcpu.run_.map, 40)
    is_(registers[12], 0x42)
    is_(struct.pack('<2Q', *registers[14:16]), b"the guest's last")
    is_(vcpu.run(), 0)


@case('private memory that was not accepted', 'tdx', script='run 1 unaccepted')
def _():
    is_(launched().vcpus[0].run(), -EIO)


# MRTD

def mrtd(vector):
    regions = [(int(r['gpa'], 16), r['pages'], r['measure']) for r in vector['regions']]
    spans = sorted({(gpa, len(pages)) for gpa, pages, _ in regions})
    td = begun(memory=spans)
    for gpa, pages, measured in regions:
        content = b''.join(bytes(PAGE) if p == 'zeros' else kvm.pattern(int(p.split()[1])) for p in pages)
        is_(td.region(Memory(len(content), content).at, gpa, len(pages), int(measured))[0], 0)
    is_(td.finalize(), 0)
    is_(tdxcalls.measurement(), vector['mrtd'])


for v in kvm.vectors('tdx-mrtd.json')['vectors']:
    if 'single-pass' in v['order']:
        case(f'MRTD: {v["name"]}', 'tdx')(lambda v=v: mrtd(v))


@case('MRTD: the sections of a firmware', 'tdx')
def _():
    vector = kvm.vectors('tdx-mrtd.json')['firmware']
    with open(f'{kvm.VECTORS}/{vector["name"]}', 'rb') as f:
        image = f.read()
    sections = [[int(x, 0) if isinstance(x, str) else x for x in s] for s in vector['sections'] if not s[5] & 2]
    td = begun(memory=sorted((gpa, size // PAGE) for _, _, gpa, size, _, _ in sections))
    for offset, raw, gpa, size, _, attributes in sections:
        source = Memory(size, image[offset:offset + raw])
        is_(td.region(source.at, gpa, size // PAGE, attributes & 1)[0], 0)
    is_(td.finalize(), 0)
    is_(tdxcalls.measurement(), vector['mrtd'])


kvm.run()
