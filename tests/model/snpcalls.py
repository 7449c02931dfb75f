# SPDX-License-Identifier: MIT
"""The commands of an SNP launch, as a VMM makes them (Linux 7.3, arch/x86/include/uapi/asm/kvm.h)."""
import os
import struct

import kvm
from kvm import Memory, is_

INIT2, START, UPDATE, FINISH, C103 = 22, 100, 101, 102, 103
NORMAL, VMSA, ZERO, UNMEASURED, SECRETS, CPUID = 1, 2, 3, 4, 5, 6
POLICY = 0x30000


class Snp(kvm.Vm):
    def __init__(self, dev=True):
        super().__init__(4)
        self.sev = os.open('/dev/sev', os.O_RDWR) if dev else -1
        self.error = None  # the firmware's code of the last command
        self.update_left = None

    def command(self, id_, data=0, sev=None):
        cmd = bytearray(struct.pack('<IIQII', id_, 0, data, 0x5a5a, self.sev if sev is None else sev & 0xffffffff))
        ret = self.call(kvm.ENCRYPT_OP, cmd)
        self.error = struct.unpack_from('<I', cmd, 16)[0]
        return ret

    def init(self, features=0, flags=0, ghcb=0):
        data = Memory(data=struct.pack('<QIH', features, flags, ghcb))
        return self.command(INIT2, data.at)

    def start(self, policy=POLICY, flags=0, sev=None):
        data = Memory(data=struct.pack('<Q16sH', policy, b'', flags))
        return self.command(START, data.at, sev)

    def update(self, gpa, source, size, type_=NORMAL, flags=0, sev=None):
        """One call; what is left of it is in update_left: (gpa, source, size)"""
        data = Memory(data=struct.pack('<QQQBBH', gpa // 4096, source, size, type_, 0, flags))
        ret = self.command(UPDATE, data.at, sev)
        gfn, source, size = struct.unpack_from('<QQQ', data.map)
        self.update_left = (gfn * 4096, source, size)
        return ret

    def update_all(self, gpa, source, size, type_=NORMAL):
        """How many calls it took."""
        calls = 0
        while size:
            is_(self.update(gpa, source, size, type_), 0)
            gpa, source, size = self.update_left
            calls += 1
        return calls

    def finish(self, flags=0, block=None, auth=None, enabled=None, host=b'', author=0, sev=None):
        block_at = block if isinstance(block, int) else Memory(data=block).at if block else 0
        auth_at = auth if isinstance(auth, int) else Memory(data=auth).at if auth else 0
        if enabled is None:
            enabled = block is not None
        data = Memory(data=struct.pack('<QQBBB32s3xH', block_at, auth_at, enabled, author, 0, host, flags))
        return self.command(FINISH, data.at, sev)


def launched(features=0, vcpus=1, **more):
    """A VM that was launched with a page at 1 MiB."""
    vm = begun(features, vcpus, **more)
    is_(vm.update(0x100000, Memory(data=kvm.pattern(1)).at, 4096), 0)
    is_(vm.finish(), 0)
    return vm


def begun(features=0, vcpus=1, certs=False, pages=16, hypercalls=True, policy=POLICY):
    vm = Snp()
    if hypercalls:
        is_(vm.enable(kvm.CAP_EXIT_HYPERCALL, 1 << 12), 0)
    is_(vm.init(features), 0)
    if certs:
        is_(vm.command(C103), 0)
    vm.shared, vm.gmem_fd = vm.memory(0, 0x100000, pages * 4096)
    for i in range(vcpus):
        assert vm.vcpu(i) >= 0
    is_(vm.start(policy), 0)
    return vm


def measurement():
    return [line['measurement'] for line in kvm.log() if 'measurement' in line][-1]
