#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The model over the host's KVM: a few instructions of a guest run in its private and in its shared memory."""
import os
import struct
import sys

import kvm
from kvm import Memory, case, is_
from snpcalls import Snp
import snpcalls
import tdxcalls

PAGE = 4096
TOP = 0xfffff000


def top_page(code):
    """A page that ends at 4 GiB: the reset vector jumps to its beginning."""
    page = bytearray(PAGE)
    page[:len(code)] = code
    page[0xff0:0xff3] = b'\xe9' + struct.pack('<h', -0xff3)
    return Memory(data=page)


# mov al, [0x2000]; out 0x80, al; mov al, [0x3000]; out 0x81, al; hlt, in real mode
CODE = bytes.fromhex('a00020e680a00030e681f4')


def out(vcpu, port):
    """The byte that the guest writes to the port."""
    is_(vcpu.run(), 0)
    is_(vcpu.reason, 2)
    is_(struct.unpack_from('<H', vcpu.run_.map, 34)[0], port)
    return vcpu.run_.map[vcpu.get(40)]


@case('SNP: private pages are the guest_memfd, shared ones userspace_addr', 'snp,kvm=host', script='run 2 psc shared gpa=0x3000')
def _():
    vm = Snp()
    is_(vm.enable(kvm.CAP_EXIT_HYPERCALL, 1 << 12), 0)
    is_(vm.init(), 0)
    shared, _ = vm.memory(0, 0, 16 * PAGE)
    vm.memory(1, TOP, PAGE)
    vm.vcpu()
    is_(vm.start(), 0)
    is_(vm.update(TOP, top_page(CODE).at, PAGE), 0)
    is_(vm.update(0x2000, Memory(2 * PAGE, b'A' * PAGE + b'B' * PAGE).at, 2 * PAGE), 0)
    shared[0x2000], shared[0x3000] = ord('a'), ord('b')
    is_(vm.finish(), 0)
    vcpu = vm.vcpus[0]
    is_(vcpu.call(kvm.GET_REGS, bytearray(144)), -22)
    is_(out(vcpu, 0x80), ord('A'))
    is_(vcpu.run(), 0)
    is_(vcpu.reason, 3)
    is_(vm.attributes(0x3000, PAGE, 0), 0)
    is_(out(vcpu, 0x81), ord('b'))


@case("SNP: the CPU's leaves, and that of memory encryption", 'snp,kvm=host')
def _():
    vm = Snp()

    def leaves(room):
        buf = Memory(4 * PAGE, struct.pack('<II', room, 0))
        ret = kvm.ioctl(vm.kvm, kvm.SUPPORTED_CPUID, buf)
        n = struct.unpack_from('<I', buf.map)[0]
        return ret, {e[0]: e[3:] for e in (struct.unpack_from('<7I', buf.map, 8 + 40 * i) for i in range(n))}
    is_(leaves(1)[0], -7)
    ret, all_ = leaves(255)
    is_(ret, 0)
    is_(all_[0x8000001f][1] & 63, 51)
    assert all_[0x80000000][0] >= 0x8000001f and 0 in all_ and 1 in all_


@case('SNP: a C-bit in CR3', 'snp,kvm=host')
def _():
    vm = Snp()
    is_(vm.init(), 0)
    vm.vcpu()
    vcpu = vm.vcpus[0]
    is_(vcpu.cpuid([(0, 0, 0, 0x10, 0, 0, 0), (1, 0, 0, 0xa00f11, 0, 0, 0x178bfbff), (0x80000000, 0, 0, 0x8000001f, 0, 0, 0),
                    (0x80000001, 0, 0, 0, 0, 1, 0x2fd3fbff), (0x80000008, 0, 0, 0x3030, 0, 0, 0),
                    (0x8000001f, 0, 0, 0x1a, 0x173, 0, 0)]), 0)
    data = kvm.segment(limit=0xffffffff, selector=24, g=1, db=1)
    code = kvm.segment(limit=0xffffffff, selector=16, type=11, l=1, g=1)
    is_(vcpu.call(kvm.SET_SREGS, kvm.sregs(code, data, data, data, data, data, kvm.segment(type=11, s=0),
                                           kvm.segment(type=2, s=0, unusable=1), cr0=0x80000031, cr3=1 << 51 | 0x9000,
                                           cr4=0x20, efer=0xd00)), 0)


# mov al, [0x2000]; out 0x80, al; mov al, cl; out 0x81, al; mov eax, esi; out 0x82, al; hlt, in flat 32-bit mode
CODE32 = bytes.fromhex('a000200000e68088c8e68189f0e682f4')


@case('TDX: every vcpu starts flat, with its index and the value of INIT_VCPU', 'tdx,kvm=host')
def _():
    td = tdxcalls.begun(vcpus=2, memory=((0, 16), (TOP, 1)))
    page = bytearray(top_page(CODE32)[:])
    page[0xff0:0xff5] = b'\xe9' + struct.pack('<i', -0xff5)
    is_(td.region(Memory(data=page).at, TOP, 1)[0], 0)
    is_(td.region(Memory(data=b'T' * PAGE).at, 0x2000, 1)[0], 0)
    is_(td.finalize(), 0)
    for i in 1, 0:
        is_(out(td.vcpus[i], 0x80), ord('T'))
        is_(out(td.vcpus[i], 0x81), 0)
        is_(out(td.vcpus[i], 0x82), i)


if not os.access('/dev/kvm', os.R_OK | os.W_OK):
    print('1..0 # SKIP no access to /dev/kvm')
    sys.exit(0)
kvm.run()
