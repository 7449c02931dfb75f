# SPDX-License-Identifier: MIT
"""The commands of a TDX launch, as a VMM makes them (Linux 7.3, arch/x86/include/uapi/asm/kvm.h)."""
import struct

import kvm
from kvm import Memory, is_

CAPABILITIES, INIT_VM, INIT_VCPU, INIT_MEM_REGION, FINALIZE_VM, GET_CPUID = range(6)
SEPT_VE_DISABLE = 1 << 28
SIZE_LEAF = (0x80000008, 0, 0, 48 << 16, 0, 0, 0)
X2APIC = [(1, 0, 0, 0x806f8, 0, 1 << 21, 0)]


def command(fd, id_, data=0, flags=0, hw_error=0):
    """What it returns, and hw_error as it came back (hw_error also when it did not)."""
    cmd = bytearray(struct.pack('<IIQQ', id_, flags, data, hw_error))
    ret = kvm.ioctl(fd, kvm.ENCRYPT_OP, cmd)
    return ret, struct.unpack_from('<Q', cmd, 16)[0]


class Td(kvm.Vm):
    def __init__(self, split=True):
        super().__init__(5)
        self.hw_error = None
        if split:
            is_(self.enable(kvm.CAP_SPLIT_IRQCHIP, 24), 0)
            is_(self.enable(kvm.CAP_EXIT_HYPERCALL, 1 << 12), 0)

    def capabilities(self, nent, flags=0):
        data = Memory(3 * kvm.PAGE)
        struct.pack_into('<II', data.map, 2048, nent, 0)
        ret, _ = command(self.fd, CAPABILITIES, data.at, flags)
        return ret, data

    def init(self, leaves=(SIZE_LEAF,), attributes=SEPT_VE_DISABLE, xfam=0xe7, flags=0, reserved=0, padding=0, nent=None):
        cpuid = bytearray(kvm.cpuid2(leaves))
        struct.pack_into('<II', cpuid, 0, len(leaves) if nent is None else nent, padding)
        body = struct.pack('<QQ', attributes, xfam) + bytes(144) + struct.pack('<12Q', *[reserved] * 12) + bytes(cpuid)
        ret, self.hw_error = command(self.fd, INIT_VM, Memory(4 * kvm.PAGE, body).at, flags)
        return ret

    def init_vcpu(self, i, rcx=0x9000, flags=0, cpuid=tuple(X2APIC)):
        if cpuid:
            is_(self.vcpus[i].cpuid(cpuid), 0)
        return command(self.vcpus[i].fd, INIT_VCPU, rcx, flags)[0]

    def region(self, source, gpa, pages, flags=1, vcpu=0):
        """The call, and the struct as it came back."""
        data = Memory(data=struct.pack('<QQQ', source, gpa, pages))
        ret = command(self.vcpus[vcpu].fd, INIT_MEM_REGION, data.at, flags)[0]
        return ret, struct.unpack_from('<QQQ', data.map)

    def finalize(self):
        return command(self.fd, FINALIZE_VM)[0]


def begun(vcpus=1, memory=((0x100000, 16),)):
    td = Td()
    is_(td.init(), 0)
    for slot, (gpa, pages) in enumerate(memory):
        td.shared, _ = td.memory(slot, gpa, pages * kvm.PAGE)
    for i in range(vcpus):
        assert td.vcpu(i) >= 0
        is_(td.init_vcpu(i), 0)
    return td


def launched(**more):
    td = begun(**more)
    is_(td.finalize(), 0)
    return td


def measurement():
    return [line['measurement'] for line in kvm.log() if 'measurement' in line][-1]
