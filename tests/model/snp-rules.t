#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The model of SEV-SNP: a case for each row of its rules, by calls made by hand."""
import ctypes
import os
import struct
from errno import (EAGAIN, EBADF, EBUSY, EEXIST, EFAULT, EINTR, EINVAL, EIO, ENODEV, ENOSPC, ENOTTY, ENXIO, EOPNOTSUPP,
                   EPERM)

import kvm
import snpcalls
from kvm import BAD, Memory, case, is_, libc
from p384 import id_auth
from snpcalls import C103, FINISH, INIT2, START, UPDATE, Snp, begun, launched

PAGE = 4096
EHWPOISON = 133


# What the host offers

@case('VM types, caps and device attributes', 'snp')
def _():
    vm = Snp()
    assert kvm.ioctl(vm.kvm, kvm.CHECK_EXTENSION, 235) & 1 << 4
    is_(vm.cap(233), 8)
    is_(vm.cap(244), 1)
    is_(vm.cap(201), 1 << 12)
    is_(vm.cap(74), 0)
    is_(vm.cap(81), 0)
    is_(kvm.ioctl(vm.kvm, kvm.CHECK_EXTENSION, 81), 1)
    for attr, want in (0, 0x220), (1, 0x1fbffff), (2, 1):
        value = Memory()
        is_(kvm.ioctl(vm.kvm, kvm.HAS_DEVICE_ATTR, struct.pack('<IIQQ', 0, 1, attr, 0)), 0)
        is_(kvm.ioctl(vm.kvm, kvm.GET_DEVICE_ATTR, struct.pack('<IIQQ', 0, 1, attr, value.at)), 0)
        is_(struct.unpack_from('<Q', value.map)[0], want)
    is_(kvm.ioctl(vm.kvm, kvm.HAS_DEVICE_ATTR, struct.pack('<IIQQ', 0, 1, 3, 0)), -ENXIO)
    is_(kvm.ioctl(vm.kvm, kvm.HAS_DEVICE_ATTR, struct.pack('<IIQQ', 0, 2, 0, 0)), -ENXIO)
    is_(kvm.ioctl(vm.kvm, kvm.GET_DEVICE_ATTR, struct.pack('<IIQQ', 0, 1, 0, BAD)), -EFAULT)


@case('Secure AVIC is in the mask where the host has it', 'snp,savic')
def _():
    is_(Snp().init(1 << 16), 0)


@case('a host without it', 'snp,sev=off,dev=off')
def _():
    vm = kvm.Vm(4, expect=False)
    is_(vm.fd, -EINVAL)
    is_(kvm.ioctl(vm.kvm, kvm.CHECK_EXTENSION, 235), 1)
    assert not os.path.exists('/dev/sev')


@case('an ordinary VM has no launch', 'snp', broken='on an ordinary VM')
def _():
    vm = kvm.Vm(0)
    data = Memory()
    for id_, want in (INIT2, -EINVAL), (START, -ENOTTY), (UPDATE, -EINVAL), (FINISH, -ENOTTY):
        is_(vm.call(kvm.ENCRYPT_OP, bytearray(struct.pack('<IIQII', id_, 0, data.at, 0, 0))), want)


@case('the argument: none, unreadable, unknown; what is written back', 'snp', broken=['unknown', 'after INIT2'])
def _():
    vm = Snp()
    is_(vm.call(kvm.ENCRYPT_OP, 0), 0)
    is_(vm.call(kvm.ENCRYPT_OP, BAD), -EFAULT)
    is_(vm.command(999), -EINVAL)
    is_(vm.error, 0x5a5a)
    is_(vm.init(), 0)
    is_(vm.error, 0)
    is_(vm.init(), -EPERM)
    is_(vm.command(3), -EPERM)


# INIT2

@case('INIT2: data, flags, features, GHCB version', 'snp', broken=['not readable', 'flags', 'GHCB'])
def _():
    vm = Snp()
    is_(vm.command(INIT2, BAD), -EFAULT)
    is_(vm.init(flags=1), -EINVAL)
    is_(vm.init(features=1), -EINVAL)
    is_(vm.init(features=1 << 16), -EINVAL)
    is_(vm.init(ghcb=1), -EINVAL)
    is_(vm.init(ghcb=3), -EINVAL)
    is_(vm.init(features=0x220, ghcb=2), 0)


@case('INIT2: no ASID is left', 'snp,asids=0')
def _():
    is_(Snp().init(), -EBUSY)


@case('INIT2 after a vcpu: the VM is lost', 'snp', broken=['after a vcpu', 'before INIT2'])
def _():
    vm = Snp()
    assert vm.vcpu() >= 0
    is_(vm.init(), -EINVAL)
    is_(vm.init(), -EINVAL)
    is_(vm.vcpus[0].run(), -EINVAL)


@case('INIT2 fails as the script says', 'snp', script='fail SNP_INIT2 1 EBUSY')
def _():
    vm = Snp()
    is_(vm.init(), -EBUSY)
    is_(vm.init(), 0)


# ENABLE_REQ_CERTS and what else 103 may be

@case('103 enables certificates, before vcpus', 'snp', broken=['ENABLE_REQ_CERTS before', 'has no data'])
def _():
    vm = Snp()
    is_(vm.command(C103), -EINVAL)
    is_(vm.init(), 0)
    is_(vm.command(C103), 0)
    is_(vm.command(C103), 0)
    is_(vm.command(C103, Memory().at), 0)
    vm.vcpu()
    is_(vm.command(C103), -EINVAL)


@case('103 is unknown without certificates', 'snp,nocerts')
def _():
    vm = Snp()
    is_(vm.init(), 0)
    is_(vm.command(C103), -EINVAL)
    is_(kvm.ioctl(vm.kvm, kvm.HAS_DEVICE_ATTR, struct.pack('<IIQQ', 0, 1, 2, 0)), -ENXIO)


@case('103 sets the rate of requests under the series', 'snp,throttle=v5', broken=['before INIT2', 'data is not that'])
def _():
    vm = Snp()

    def rate(interval, burst):
        return vm.command(C103, Memory(data=struct.pack('<II', interval, burst)).at)
    is_(rate(1000, 1), -ENOTTY)
    is_(vm.init(), 0)
    is_(vm.command(C103), -EFAULT)
    is_(rate(3, 1), -EINVAL)
    is_(rate(0, 1), -EINVAL)
    is_(rate(1000, 0), -EINVAL)
    is_(rate(1000, 0x80000000), -EINVAL)
    vm.vcpu()
    is_(rate(4, 1), 0)
    is_(rate(2000, 2), 0)
    is_(kvm.ioctl(vm.kvm, kvm.HAS_DEVICE_ATTR, struct.pack('<IIQQ', 0, 1, 2, 0)), -ENXIO)


# The clock

@case('KVM_SET_TSC_KHZ', 'snp', broken='Secure TSC')
def _():
    vm = Snp()
    is_(vm.init(0x200), 0)
    is_(vm.call(kvm.SET_TSC_KHZ, 2000000), -EINVAL)
    is_(vm.call(kvm.SET_TSC_KHZ, 1500000), 0)
    vm.vcpu()
    is_(vm.call(kvm.SET_TSC_KHZ, 1500000), -EINVAL)
    is_(vm.vcpus[0].call(kvm.SET_TSC_KHZ, 1500000), -EINVAL)


@case('KVM_SET_TSC_KHZ of a vcpu without Secure TSC', 'snp')
def _():
    is_(begun().vcpus[0].call(kvm.SET_TSC_KHZ, 1500000), 0)


# LAUNCH_START

@case('START: order of its checks', 'snp', broken=['before INIT2', 'not readable', 'flags', 'not /dev/sev', 'begun'])
def _():
    vm = Snp()
    is_(vm.start(), -ENOTTY)
    is_(vm.init(), 0)
    is_(vm.command(START, BAD), -EFAULT)
    is_(vm.start(policy=1 << 18, flags=1), -EINVAL)
    is_(vm.start(flags=1), -EINVAL)
    is_(vm.start(policy=0x30000 | 1 << 18), -EINVAL)
    is_(vm.start(policy=0x10000), -EINVAL)
    is_(vm.start(sev=0), -ENOTTY)
    is_(vm.start(sev=-1), -ENOTTY)
    is_(vm.start(), 0)
    is_(vm.start(), -EINVAL)


@case('START again after the firmware refused', 'snp', script='fail SNP_LAUNCH_START 1 EIO fw=0x17')
def _():
    vm = Snp()
    is_(vm.init(), 0)
    is_(vm.start(), -EIO)
    is_(vm.error, 0x17)
    is_(vm.start(), 0)


@case('START: no context is made', 'snp', script='fail SNP_LAUNCH_START 1 ENOTTY fw=0x17')
def _():
    vm = Snp()
    is_(vm.init(), 0)
    is_(vm.start(), -ENOTTY)
    is_(vm.error, 0x17)


def policies(*pairs):
    for policy, want in pairs:
        vm = Snp()
        is_(vm.init(), 0)
        is_(vm.start(0x20000 | policy), want)
        is_(vm.error, 7 if want else 0)


@case('POLICY_FAILURE: SMT, version, XTS, RAPL, hiding', 'snp')
def _():
    policies((0, -EIO), (0x10000, 0), (0x10000 | 0x137, 0), (0x10000 | 0x138, -EIO), (0x10000 | 0x200, -EIO),
             (0x10000 | 1 << 22, -EIO), (0x10000 | 1 << 23, -EIO), (0x10000 | 1 << 24, -EIO), (0x90000, 0),
             (0x10000 | 1 << 20, 0))


@case('the host can keep these', 'snp,smt=off,xts=on,rapl=off,hiding=on,abi=1.58')
def _():
    policies((0, 0), (1 << 22, 0), (1 << 23, 0), (1 << 24, 0), (1 << 25, 0))


@case('CXL and two sockets', 'snp,cxl=on,sockets=2')
def _():
    policies((0x10000, -EIO), (0x10000 | 1 << 21, 0), (0x10000 | 1 << 21 | 1 << 20, -EIO))


@case('a policy bit that the firmware lacks', 'snp', said='this host has 0x1fbffff')
def _():
    vm = Snp()
    is_(vm.init(), 0)
    is_(vm.start(0x30000 | 1 << 25), -EINVAL)


# LAUNCH_UPDATE

@case('UPDATE before START', 'snp', broken='before LAUNCH_START')
def _():
    vm = Snp()
    is_(vm.update(0x100000, Memory().at, PAGE), -EINVAL)
    is_(vm.init(), 0)
    is_(vm.update(0x100000, Memory().at, PAGE), -EINVAL)


@case('UPDATE: order of its checks', 'snp', broken=['not readable', 'length', 'source 0x', 'in no slot'])
def _():
    vm = begun()
    m = Memory(2 * PAGE)
    is_(vm.command(UPDATE, BAD), -EFAULT)
    is_(vm.update(0x100000, m.at, 0), -EINVAL)
    is_(vm.update(0x100000, m.at, 100), -EINVAL)
    is_(vm.update(0x100000, m.at, PAGE, flags=1), -EINVAL)
    for type_ in 0, 2, 7:
        is_(vm.update(0x100000, m.at, PAGE, type_), -EINVAL)
    for type_ in 1, 4, 5, 6:
        is_(vm.update(0x100000, 0, PAGE, type_), -EINVAL)
        is_(vm.update(0x100000, m.at + 8, PAGE, type_), -EINVAL)
    is_(vm.update(0x90000000, m.at, PAGE), -EINVAL)
    is_(vm.update(0x100000, 0, PAGE, snpcalls.ZERO), 0)


@case('UPDATE: a slot without guest_memfd', 'snp', broken='in no slot')
def _():
    vm = begun()
    m = Memory()
    is_(vm.slot(5, 0x40000000, PAGE, m.at), 0)
    is_(vm.attributes(0x40000000, PAGE), 0)
    is_(vm.update(0x40000000, m.at, PAGE), -EINVAL)


@case('UPDATE: any error of the first page is EIO', 'snp',
      broken=['cannot be read', 'cannot be written', 'not private', 'already', 'not /dev/sev'])
def _():
    vm = begun()
    m = Memory(data=kvm.pattern(1))
    is_(vm.update(0x100000, BAD, PAGE), -EIO)
    is_(vm.error, 0)
    is_(vm.update_left, (0x100000, BAD, PAGE))
    read_only = Memory(data=bytes([1]), prot=1)
    is_(vm.update(0x100000, read_only.at, PAGE, snpcalls.CPUID), -EIO)
    is_(vm.attributes(0x101000, PAGE, 0), 0)
    is_(vm.update(0x101000, m.at, PAGE), -EIO)
    is_(vm.update(0x102000, m.at, PAGE, sev=0), -EIO)
    is_(vm.update(0x100000, m.at, PAGE), 0)
    is_(vm.update(0x100000, m.at, PAGE), -EIO)


@case('UPDATE: a later page that fails is progress', 'snp', broken=['not private'])
def _():
    vm = begun()
    m = Memory(4 * PAGE)
    is_(vm.attributes(0x102000, PAGE, 0), 0)
    is_(vm.update(0x100000, m.at, 4 * PAGE), 0)
    is_(vm.update_left, (0x102000, m.at + 2 * PAGE, 2 * PAGE))
    is_(vm.update(0x102000, m.at, PAGE), -EIO)


@case('UPDATE of zero pages does not advance the source', 'snp,chunk=3')
def _():
    vm = begun()
    is_(vm.update(0x100000, 0x7000, 16 * PAGE, snpcalls.ZERO), 0)
    is_(vm.update_left, (0x103000, 0x7000, 13 * PAGE))


@case('UPDATE is clipped to its slot', 'snp')
def _():
    vm = begun(pages=2)
    vm.memory(1, 0x102000, 2 * PAGE)
    m = Memory(4 * PAGE)
    is_(vm.update(0x101000, m.at, 3 * PAGE), 0)
    is_(vm.update_left, (0x102000, m.at + PAGE, 2 * PAGE))


@case('chunk= cuts, and the digest is the same', 'snp,chunk=3')
def _():
    vm = begun()
    is_(vm.update_all(0x100000, Memory(8 * PAGE).at, 8 * PAGE), 3)


@case('a signal in the middle is progress', 'snp', script='signal SNP_LAUNCH_UPDATE 1 page=5')
def _():
    vm = begun()
    m = Memory(8 * PAGE)
    is_(vm.update(0x100000, m.at, 8 * PAGE), 0)
    is_(vm.update_left, (0x105000, m.at + 5 * PAGE, 3 * PAGE))
    is_(vm.update(*vm.update_left), 0)


@case('a signal before the first page is EIO', 'snp', script='signal SNP_LAUNCH_UPDATE 1')
def _():
    vm = begun()
    is_(vm.update(0x100000, Memory().at, PAGE), -EIO)
    is_(vm.error, 0)


@case('the firmware refuses a page', 'snp', script='fail SNP_LAUNCH_UPDATE 2 EIO fw=0x1a')
def _():
    vm = begun()
    m = Memory()
    is_(vm.update(0x100000, m.at, PAGE), 0)
    is_(vm.update(0x101000, m.at, PAGE), -EIO)
    is_(vm.error, 0x1a)
    is_(vm.update(0x101000, m.at, PAGE), 0)


# The CPUID page

def cpuid_page(*entries):
    return Memory(data=struct.pack('<IIQ', len(entries), 0, 0) + b''.join(
        struct.pack('<IIQQIIIIQ', *e, 0) for e in entries))


@case('CPUID page: what KVM invents is corrected', 'snp')
def _():
    vm = begun()
    m = cpuid_page((1, 0, 0, 0, 0, 0, 1 << 24 | 1, 0), (0xd, 0, 1, 0, 7, 0x340, 0x340, 0))
    is_(vm.update(0x100000, m.at, PAGE, snpcalls.CPUID), -EIO)
    is_(vm.error, 0x16)
    is_(struct.unpack_from('<I', m.map, 16 + 32)[0], 1)
    is_(struct.unpack_from('<I', m.map, 16 + 48 + 28)[0], 0x240)
    is_(vm.update(0x100000, m.at, PAGE, snpcalls.CPUID), 0)


@case('CPUID page: refused once, then taken as corrected', 'snp,cpuid=reject-once')
def _():
    vm = begun()
    m = cpuid_page((0, 0, 0, 0, 1, 2, 3, 4))
    old = m[:]
    is_(vm.update(0x100000, m.at, PAGE, snpcalls.CPUID), -EIO)
    is_(vm.error, 0x16)
    assert m[:] != old
    corrected = m[:]
    is_(vm.update(0x100000, Memory(data=old).at, PAGE, snpcalls.CPUID), -EIO)
    is_(vm.update(0x100000, Memory(data=corrected).at, PAGE, snpcalls.CPUID), 0)


@case('CPUID page: refused for ever', 'snp,cpuid=reject')
def _():
    vm = begun()
    m = cpuid_page((0, 0, 0, 0, 1, 2, 3, 4))
    for _ in range(3):
        is_(vm.update(0x100000, m.at, PAGE, snpcalls.CPUID), -EIO)


@case('CPUID page: a number of entries that no guest takes', 'snp', broken='the CPUID page has')
def _():
    vm = begun()
    is_(vm.update(0x100000, Memory().at, PAGE, snpcalls.CPUID), -EIO)


# LAUNCH_FINISH

@case('FINISH: order of its checks', 'snp', broken=['before INIT2', 'before LAUNCH_START', 'not readable', 'flags'])
def _():
    vm = Snp()
    is_(vm.finish(), -ENOTTY)
    is_(vm.init(), 0)
    is_(vm.finish(), -EINVAL)
    is_(vm.start(), 0)
    is_(vm.command(FINISH, BAD), -EFAULT)
    is_(vm.finish(flags=1), -EINVAL)
    is_(vm.finish(), 0)


@case('FINISH without a vcpu measures none', 'snp', said='"measurement": "' + '0' * 96)
def _():
    vm = begun(vcpus=0)
    is_(vm.finish(), 0)


@case('FINISH twice', 'snp', broken='the launch is over already')
def _():
    vm = begun(vcpus=0)
    is_(vm.finish(), 0)
    is_(vm.finish(), -EIO)
    is_(vm.error, 2)


@case('FINISH that fails after the VMSAs is final', 'snp', broken=['no id block', 'again after it failed'])
def _():
    vm = begun()
    is_(vm.finish(enabled=True), -EINVAL)
    is_(vm.finish(), -EINVAL)


@case('FINISH: the id block is read before the id auth', 'snp', broken=['the id block is not readable'])
def _():
    is_(begun().finish(block=BAD, auth=0), -EFAULT)


@case('FINISH: the id auth', 'snp', broken=['no id auth', 'id auth is not readable'])
def _():
    is_(begun().finish(block=bytes(96), auth=0), -EINVAL)
    is_(begun().finish(block=bytes(96), auth=BAD), -EFAULT)


@case('FINISH needs the descriptor of START', 'snp', broken="START's descriptor is closed")
def _():
    vm = begun()
    os.close(vm.sev)
    other = os.open('/dev/null', os.O_RDONLY)
    is_(other, vm.sev)
    vm.sev = 199
    os.dup2(os.open('/dev/null', os.O_RDONLY), 199)
    vm.sev = os.open('/dev/sev', os.O_RDWR)
    is_(vm.finish(), -EBADF)


@case('FINISH with another descriptor', 'snp', broken='descriptor 0 is not /dev/sev')
def _():
    vm = begun()
    is_(vm.finish(sev=0), -EBADF)
    is_(vm.finish(), 0)


@case('FINISH of a vcpu that is debugged', 'snp', broken='is being debugged')
def _():
    vm = begun()
    is_(vm.vcpus[0].call(kvm.SET_DEBUGREGS, struct.pack('<16Q', 0, 0, 0, 0, 0xffff0ff0, 0x401, *[0] * 10)), 0)
    is_(vm.finish(), -EINVAL)
    vm = begun()
    is_(vm.vcpus[0].call(kvm.SET_GUEST_DEBUG, struct.pack('<II8Q', 1, 0, *[0] * 8)), 0)
    is_(vm.finish(), -EINVAL)


def block(ld, policy=snpcalls.POLICY, version=1):
    return struct.pack('<48s16s16sIIQ', ld, b'', b'', version, 0, policy)


def digest():
    """That of launched()."""
    launched()
    return bytes.fromhex(snpcalls.measurement())


def ended(want, fw, **more):
    vm = begun()
    is_(vm.update(0x100000, Memory(data=kvm.pattern(1)).at, PAGE), 0)
    is_(vm.finish(**more), want)
    is_(vm.error, fw)
    return vm


def spoiled(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


@case('the id block: digest, policy, signature, algorithm', 'snp', broken='again after it failed')
def _():
    ld = digest()
    good, other, policy = block(ld), block(bytes(48)), block(ld, policy=0xb0000)
    ended(0, 0, block=good, auth=id_auth(good))
    ended(-EIO, 0xb, block=other, auth=id_auth(other))
    ended(-EIO, 7, block=policy, auth=id_auth(policy))
    ended(-EIO, 0xa, block=good, auth=id_auth(other))
    ended(-EIO, 0xa, block=good, auth=spoiled(id_auth(good), 0x50))
    ended(-EIO, 0x16, block=good, auth=spoiled(id_auth(good), 0))
    ended(-EIO, 0x16, block=good, auth=spoiled(id_auth(good), 0x240))
    old = block(ld, version=2)
    vm = ended(-EIO, 0x16, block=old, auth=id_auth(old))
    is_(vm.finish(), -EINVAL)


@case("the id block: an author's key", 'snp')
def _():
    good = block(digest())
    auth = id_auth(good, author=777)
    ended(0, 0, block=good, auth=auth, author=1)
    ended(-EIO, 0xa, block=good, auth=spoiled(auth, 0x690), author=1)
    ended(-EIO, 0x16, block=good, auth=spoiled(auth, 4), author=1)
    ended(0, 0, block=good, auth=spoiled(auth, 0x690), author=0)


@case('the firmware refuses FINISH', 'snp', script='fail SNP_LAUNCH_FINISH 1 EIO fw=0xa')
def _():
    ended(-EIO, 0xa)


@case('host data is told', 'snp', said='"host_data": "0102')
def _():
    is_(begun().finish(host=bytes([1, 2])), 0)


# After FINISH

@case('state of a protected vcpu', 'snp', strict=True, broken='of a protected vcpu')
def _():
    vcpu = launched().vcpus[0]
    for request in (kvm.GET_REGS, kvm.SET_REGS, kvm.GET_SREGS, kvm.SET_SREGS, kvm.GET_SREGS2, kvm.SET_SREGS2,
                    kvm.GET_XSAVE, kvm.SET_XSAVE, kvm.GET_XCRS, kvm.SET_XCRS, kvm.GET_FPU, kvm.SET_FPU,
                    kvm.GET_DEBUGREGS, kvm.SET_DEBUGREGS):
        is_(vcpu.call(request, bytearray(4096)), -EINVAL)
    is_(vcpu.call(kvm.GET_MP_STATE, bytearray(4)), 0)


@case('UPDATE after FINISH', 'snp', broken='after LAUNCH_FINISH')
def _():
    vm = launched()
    is_(vm.update(0x105000, Memory().at, PAGE), -EIO)
    is_(vm.error, 2)


@case('KVM_PRE_FAULT_MEMORY only after FINISH', 'snp', broken='before the launch is over')
def _():
    vm = begun()
    range_ = bytearray(struct.pack('<8Q', 0x100000, 2 * PAGE, *[0] * 6))
    is_(vm.vcpus[0].call(kvm.PRE_FAULT, range_), -EOPNOTSUPP)
    is_(vm.finish(), 0)
    is_(vm.vcpus[0].call(kvm.PRE_FAULT, range_), 0)
    is_(struct.unpack_from('<QQ', range_), (0x102000, 0))


@case('KVM_RUN between INIT2 and FINISH', 'snp', broken='before LAUNCH_FINISH')
def _():
    vcpu = begun().vcpus[0]
    is_(vcpu.run(), 0)
    is_(vcpu.reason, 9)


@case('the guest powers off when nothing is scripted', 'snp')
def _():
    vcpu = launched().vcpus[0]
    is_(vcpu.run(), 0)
    is_(vcpu.reason, 24)
    is_(vcpu.get(32) & 0xffffffff, 1)


# Memory

@case('guest_memfd: flags, size, mmap, fallocate', 'snp', broken=['flags', 'size', 'without MMAP', 'fallocate', 'mode'])
def _():
    vm = Snp()
    is_(vm.gmem(PAGE, kvm.INIT_SHARED), -EINVAL)
    is_(vm.gmem(PAGE, 4), -EINVAL)
    is_(vm.gmem(0), -EINVAL)
    is_(vm.gmem(100), -EINVAL)
    fd = vm.gmem(4 * PAGE)
    try:
        Memory(PAGE, fd=fd)
        assert False
    except OSError as e:
        is_(e.errno, ENODEV)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    is_(libc.fallocate(fd, 0, 0, PAGE), -1)
    is_(ctypes.get_errno(), EOPNOTSUPP)
    is_(libc.fallocate(fd, 3, 1, PAGE), -1)
    is_(libc.fallocate(fd, 3, 0, PAGE), 0)
    is_(libc.fallocate(fd, 1, 0, PAGE), 0)


@case('guest_memfd: what is reserved', 'snp', broken='reserved[3]')
def _():
    assert Snp().call(kvm.CREATE_GMEM, struct.pack('<8Q', PAGE, 0, 0, 0, 0, 1, 0, 0)) >= 0


@case('slots: flags, alignment, range of the file, descriptors', 'snp',
      broken=['flags', 'aligned', 'beyond', 'closed', 'no guest_memfd of this VM'])
def _():
    vm = Snp()
    m = Memory(4 * PAGE)
    fd = vm.gmem(4 * PAGE)
    is_(vm.slot(0, 0, PAGE, m.at, fd, flags=5), -EINVAL)
    is_(vm.slot(0, 0, PAGE, m.at, fd, flags=6), -EINVAL)
    is_(vm.slot(0, 1, PAGE, m.at, fd), -EINVAL)
    is_(vm.slot(0, 0, PAGE + 1, m.at, fd), -EINVAL)
    is_(vm.slot(0, 0, PAGE, m.at + 1, fd), -EINVAL)
    is_(vm.slot(0, 0, PAGE, m.at, fd, offset=1), -EINVAL)
    is_(vm.slot(0, 0, PAGE, m.at, fd, offset=4 * PAGE), -EINVAL)
    is_(vm.slot(0, 0, PAGE, m.at, fd, offset=-PAGE & 0xffffffffffffffff), -EINVAL)
    is_(vm.slot(0, 0, PAGE, m.at, 777), -EBADF)
    is_(vm.slot(0, 0, PAGE, m.at, vm.sev), -EINVAL)
    is_(vm.slot(0, 0, PAGE, m.at, Snp().gmem(PAGE)), -EINVAL)
    is_(vm.slot(0, 0, 4 * PAGE, m.at, fd), 0)


@case('slots: bound once, no overlap, no change, delete', 'snp',
      broken=['has that of the guest_memfd', 'overlaps', 'cannot be changed', 'there is none'])
def _():
    vm = Snp()
    m = Memory(4 * PAGE)
    fd = vm.gmem(4 * PAGE)
    is_(vm.slot(0, 0, 2 * PAGE, m.at, fd), 0)
    is_(vm.slot(1, 0x10000, 2 * PAGE, m.at, fd, offset=PAGE), -EEXIST)
    is_(vm.slot(1, PAGE, 2 * PAGE, m.at, fd, offset=2 * PAGE), -EEXIST)
    is_(vm.slot(0, 0x20000, 2 * PAGE, m.at, fd), -EINVAL)
    is_(vm.slot(2, 0, 0, 0), -EINVAL)
    is_(vm.slot(0, 0, 0, 0), 0)
    is_(vm.slot(1, 0x10000, 2 * PAGE, m.at, fd, offset=PAGE), 0)


@case('slots: no READONLY memory', 'snp', broken='no READONLY memory')
def _():
    is_(Snp().slot(0, 0, PAGE, Memory().at, flags=kvm.READONLY), -EINVAL)
    is_(kvm.Vm(0).slot(0, 0, PAGE, Memory().at, flags=kvm.READONLY), 0)


@case('attributes', 'snp', broken='KVM_SET_MEMORY_ATTRIBUTES')
def _():
    vm = Snp()
    is_(vm.attributes(0, PAGE, flags=1), -EINVAL)
    is_(vm.attributes(0, PAGE, 1), -EINVAL)
    is_(vm.attributes(0, 0), -EINVAL)
    is_(vm.attributes(0, 100), -EINVAL)
    is_(vm.attributes(0xfffffffffffff000, 2 * PAGE), -EINVAL)
    is_(vm.attributes(0x50000000, PAGE), 0)


@case('shared and private again: the page can be given once more', 'snp')
def _():
    vm = begun()
    m = Memory()
    is_(vm.update(0x100000, m.at, PAGE), 0)
    is_(vm.attributes(0x100000, PAGE, 0), 0)
    is_(vm.attributes(0x100000, PAGE), 0)
    is_(vm.update(0x100000, m.at, PAGE), 0)


@case('a guest_memfd with MMAP takes the shared pages too', 'snp', broken="not userspace_addr's")
def _():
    vm = Snp()
    fd = vm.gmem(PAGE, kvm.MMAP)
    is_(vm.slot(0, 0, PAGE, Memory(PAGE, fd=fd).at, fd), 0)


# Exits

@case('a page-state change', 'snp', script='run 1 psc shared gpa=0x102000 pages=2; run 2 psc private gpa=0x102000',
      broken='answered 0, but not made')
def _():
    vm = launched()
    vcpu = vm.vcpus[0]
    is_(vcpu.run(), 0)
    is_(vcpu.reason, 3)
    is_([vcpu.get(o) for o in (32, 40, 48, 56, 88)], [12, 0x102000, 2, 0, 0])
    is_(vm.attributes(0x102000, 2 * PAGE, 0), 0)
    is_(vcpu.run(), 0)
    is_([vcpu.get(o) for o in (40, 48, 56)], [0x102000, 1, 16])
    is_(vcpu.run(), 0)


@case('a page-state change: is memory given back?', 'snp', said='"kept": 0',
      script='run 1 psc shared gpa=0x100000 pages=2; run 2 psc shared gpa=0x102000 pages=2; run 3 psc private gpa=0x102000')
def _():
    vm = begun()
    is_(vm.update(0x100000, Memory(4 * PAGE).at, 4 * PAGE), 0)
    is_(vm.finish(), 0)
    vcpu = vm.vcpus[0]
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    is_(vcpu.run(), 0)
    is_(vm.attributes(0x100000, 2 * PAGE, 0), 0)
    is_(libc.fallocate(vm.gmem_fd, 3, 0, 2 * PAGE), 0)
    is_(vcpu.run(), 0)
    is_(vm.attributes(0x102000, 2 * PAGE, 0), 0)
    vm.shared[0x2000] = 1
    is_(vcpu.run(), 0)
    is_(vm.attributes(0x102000, PAGE), 0)
    is_(vcpu.run(), 0)
    is_([x['kept'] for x in kvm.log() if 'answer' in x], [0, 2, 1])


@case('a page-state change: the answers', 'snp', broken='is answered 5',
      script=''.join(f'run {i} psc shared gpa=0x102000;' for i in range(1, 4)))
def _():
    vcpu = launched().vcpus[0]
    is_(vcpu.run(), 0)
    for answer, want in (EINVAL, 0), (EAGAIN, 0), (5, -EINVAL):
        is_(vcpu.reason, 3)
        vcpu.put(88, answer)
        is_(vcpu.run(), want)


@case('a page-state change without the capability', 'snp', script='run 1 psc shared gpa=0x102000',
      broken='was not enabled')
def _():
    vm = begun(hypercalls=False)
    is_(vm.finish(), 0)
    is_(vm.vcpus[0].run(), 0)
    assert vm.vcpus[0].reason != 3


@case('KVM_CAP_EXIT_HYPERCALL has one bit', 'snp', broken='KVM_CAP_EXIT_HYPERCALL')
def _():
    is_(Snp().enable(kvm.CAP_EXIT_HYPERCALL, 1 << 12 | 1), -EINVAL)


@case('a memory fault is converted', 'snp', script='run 1 fault shared gpa=0x103000')
def _():
    vm = launched()
    vcpu = vm.vcpus[0]
    is_(vcpu.run(), -EFAULT)
    is_(vcpu.reason, 39)
    is_([vcpu.get(o) for o in (32, 40, 48)], [0, 0x103000, PAGE])
    is_(vm.attributes(0x103000, PAGE, 0), 0)
    is_(vcpu.run(), 0)
    is_(vcpu.reason, 24)


@case('a memory fault comes again', 'snp', script='run 1 fault shared gpa=0x103000', broken='third equal memory fault')
def _():
    vcpu = launched().vcpus[0]
    for _ in range(3):
        is_(vcpu.run(), -EFAULT)
    is_(vcpu.run(), 0)


@case('defective memory', 'snp', script='run 1 fault private gpa=0x100000 poison')
def _():
    vcpu = launched().vcpus[0]
    is_(vcpu.run(), -EHWPOISON)
    is_(vcpu.reason, 39)
    is_(vcpu.run(), 0)


@case('certificates are asked for', 'snp', script='run 1 certs gpa=0x102000 npages=1; run 2 certs npages=1',
      said='"certs": 1, "bytes": 64')
def _():
    vm = begun(certs=True)
    is_(vm.finish(), 0)
    vcpu = vm.vcpus[0]
    is_(vcpu.run(), 0)
    is_(vcpu.reason, 43)
    is_([vcpu.get(o) for o in (32, 40)], [0x102000, 1])
    is_(vm.attributes(0x102000, PAGE, 0), 0)
    vm.shared[0x2000:0x2000 + 24] = struct.pack('<16sII', b'guid', 48, 64)
    is_(vcpu.run(), 0)
    vcpu.put(48, ENOSPC)
    vcpu.put(40, 4)
    is_(vcpu.run(), 0)


@case('certificates: wrong answers', 'snp', script=';'.join(f'run {i} certs gpa=0x102000 npages=1' for i in (1, 2, 3, 4)),
      broken=['private memory', 'no more than there are', 'is answered 22', 'has no end'])
def _():
    vm = begun(certs=True)
    is_(vm.finish(), 0)
    vcpu = vm.vcpus[0]
    is_(vcpu.run(), 0)
    is_(vcpu.run(), 0)
    vcpu.put(48, ENOSPC)
    is_(vcpu.run(), 0)
    is_(vm.attributes(0x102000, PAGE, 0), 0)
    vm.shared[0x2000:0x3000] = struct.pack('<16sII', b'guid', 48, 64) * 170 + bytes(16)
    is_(vcpu.run(), 0)
    is_(vcpu.reason, 43)
    vcpu.put(48, EINVAL)
    is_(vcpu.run(), -EINVAL)


@case('certificates beyond their pages', 'snp', script='run 1 certs gpa=0x102000 npages=1', broken='certificate 0 lies at 0x30')
def _():
    vm = begun(certs=True)
    is_(vm.finish(), 0)
    vcpu = vm.vcpus[0]
    is_(vm.attributes(0x102000, PAGE, 0), 0)
    is_(vcpu.run(), 0)
    vm.shared[0x2000:0x2000 + 24] = struct.pack('<16sII', b'guid', 48, 4096)
    is_(vcpu.run(), 0)


@case('the guest ends itself', 'snp', script='run 1 term set=1 code=2', broken='after the guest asked for its end')
def _():
    vcpu = launched().vcpus[0]
    is_(vcpu.run(), 0)
    is_(vcpu.reason, 24)
    is_(struct.unpack_from('<II', vcpu.run_.map, 32), (6, 1))
    is_(vcpu.get(40), 0x21100)
    is_(vcpu.run(), 0)


@case('the guest ends itself by its GHCB', 'snp', script='run 1 term gpa=0x5000')
def _():
    vcpu = launched().vcpus[0]
    is_(vcpu.run(), 0)
    is_(vcpu.get(40), 0x5000)


kvm.run()
