#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The model's digests of SNP launches, and the VMSA that it builds, against the known answers of tests/vectors."""
import struct

import kvm
import snpcalls
from kvm import Memory, case, is_
from snpcalls import Snp

PAGE = 4096


def vm_of(features, memory=(), vcpus=0):
    vm = Snp()
    is_(vm.init(features & ~1), 0)
    for slot, (gpa, size) in enumerate(memory):
        vm.memory(slot, gpa, size)
    for i in range(vcpus):
        assert vm.vcpu(i) >= 0
    is_(vm.start(), 0)
    return vm


def contents(page):
    c = page.get('content') or {}
    if 'pattern' in c:
        return kvm.pattern(c['pattern'])
    return bytes(PAGE)


def chain(vector):
    gpas = sorted({int(p['gpa'], 16) for p in vector['pages'] if p['type'] != snpcalls.VMSA})
    vm = vm_of(1, [(gpa, PAGE) for gpa in gpas])
    for page in vector['pages']:
        is_(vm.update(int(page['gpa'], 16), Memory(data=contents(page)).at, PAGE, page['type']), 0)
    is_(vm.finish(), 0)
    is_(snpcalls.measurement(), vector['ld'])


for v in kvm.vectors('snp-pages.json')['vectors']:
    if all(p['type'] != snpcalls.VMSA for p in v['pages']):
        case(f'pages: {v["name"]}', 'snp,cpuid=accept')(lambda v=v: chain(v))


NAMES = 'cs ds es fs gs ss tr ldtr'.split()


def set_state(vcpu, state):
    segments = [kvm.segment(**state['segments'][n]) for n in NAMES]
    number = {k: int(state[k], 0) if isinstance(state[k], str) else state[k] for k in
              ('efer', 'cr0', 'cr3', 'cr4', 'pat', 'xcr0')}
    if number['cr3'] >> 52 or number['cr3'] & 1 << 51:
        is_(vcpu.cpuid([(0x80000008, 0, 0, 0x3034, 0, 0, 0), (0x8000001f, 0, 0, 0x1a, 0x173, 0, 0)]), 0)
    is_(vcpu.call(kvm.SET_SREGS, kvm.sregs(
        *segments, gdt=(state['gdt']['base'], state['gdt']['limit']), idt=(state['idt']['base'], state['idt']['limit']),
        cr0=number['cr0'], cr3=number['cr3'], cr4=number['cr4'], efer=number['efer'])), 0)
    is_(vcpu.regs(**state['regs']), 0)
    is_(vcpu.msrs((0x277, number['pat'])), 1)
    is_(vcpu.call(kvm.SET_XCRS, struct.pack('<IIIIQ', 1, 0, 0, 0, number['xcr0']) + bytes(368)), 0)


def vmsa(vector, vcpus):
    vm = vm_of(int(vector['sev_features'], 16), vcpus=vcpus)
    for vcpu in vm.vcpus:
        if 'untouched' not in vector['name']:
            set_state(vcpu, vector['kvm_state'])
    is_(vm.finish(), 0)
    is_([x['sha384'] for x in kvm.log() if 'vmsa' in x], [vector['sha384']] * vcpus)
    is_(snpcalls.measurement(), vector['ld_1_vcpu' if vcpus == 1 else 'ld_2_vcpus'])


VMSAS = {v['name']: v for v in kvm.vectors('snp-vmsa.json')['vectors']}
for v in VMSAS.values():
    if v['kvm_state']:
        case(f'VMSA: {v["name"]}', 'snp,savic')(lambda v=v: vmsa(v, 1))
        case(f'VMSA: {v["name"]}, two vcpus', 'snp,savic')(lambda v=v: vmsa(v, 2))


def qemu_state(vcpu, rdx=0xa00f11, eip=0xfffffff0):
    """What QEMU sets: accessed bits everywhere, CS from the reset block, RDX the CPU's signature."""
    data = kvm.segment(type=3)
    cs = kvm.segment(base=eip & 0xffff0000, selector=0xf000 if eip == 0xfffffff0 else 0, type=11)
    is_(vcpu.call(kvm.SET_SREGS, kvm.sregs(cs, data, data, data, data, data, kvm.segment(type=11, s=0),
                                           kvm.segment(type=2, s=0))), 0)
    is_(vcpu.regs(rip=eip & 0xffff, rdx=rdx), 0)


@case('VMSA: what QEMU sets', 'snp')
def _():
    vm = vm_of(1, vcpus=1)
    qemu_state(vm.vcpus[0], rdx=0x800f12)  # EPYC-v4
    is_(vm.finish(), 0)
    is_(snpcalls.measurement(), VMSAS['qemu-bsp-0x1']['ld_1_vcpu'])


def firmware(vector):
    with open(kvm.VECTORS + '/tiny-fw.bin', 'rb') as f:
        image = Memory(2 * PAGE, f.read())
    vm = vm_of(vector['args']['features'], [(0x1000, 6 * PAGE), (0xffffe000, 2 * PAGE)], vector['args']['vcpus'])
    for i, vcpu in enumerate(vm.vcpus):
        qemu_state(vcpu, eip=0xfffff004 if i else 0xfffffff0)
    is_(vm.update(0xffffe000, image.at, 2 * PAGE), 0)
    for type_, gpa, _ in vector['steps'][2:]:
        if type_ != snpcalls.VMSA:
            is_(vm.update(int(gpa, 16), Memory().at, PAGE, type_), 0)
    is_(vm.finish(), 0)
    is_(snpcalls.measurement(), vector['ld'])


for v in kvm.vectors('snp-firmware.json')['vectors']:
    if 'vmm' not in v['args'] and 'kernel' not in v['args']:
        case(f'firmware: {v["name"]}', 'snp,cpuid=accept')(lambda v=v: firmware(v))


# What KVM makes of registers on the way in and out

def digest(prepare, quirk=None):
    vm = Snp()
    is_(vm.init(), 0)
    if quirk is not None:
        is_(vm.enable(kvm.CAP_DISABLE_QUIRKS2, quirk), 0)
    vm.vcpu()
    prepare(vm.vcpus[0])
    is_(vm.start(), 0)
    is_(vm.finish(), 0)
    return snpcalls.measurement()


def round_trip(vcpu):
    sregs = bytearray(312)
    is_(vcpu.call(kvm.GET_SREGS, sregs), 0)
    is_(vcpu.call(kvm.SET_SREGS, sregs), 0)
    regs = bytearray(144)
    is_(vcpu.call(kvm.GET_REGS, regs), 0)
    is_(vcpu.call(kvm.SET_REGS, regs), 0)


@case('GET and SET of what was there changes four segments', 'snp')
def _():
    want = VMSAS['kvm-roundtrip-rdx-milan']['ld_1_vcpu']

    def change(vcpu):
        round_trip(vcpu)
        regs = bytearray(144)
        vcpu.call(kvm.GET_REGS, regs)
        struct.pack_into('<Q', regs, 3 * 8, 0xa00f11)
        vcpu.call(kvm.SET_REGS, regs)
    is_(digest(change), want)


@case('what is measured, and what is not', 'snp')
def _():
    plain = digest(lambda vcpu: None)
    assert digest(round_trip) != plain
    for index in (0x277, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0x174, 0x175, 0x176, 0x1d9, 0x48,
                  0xda0):
        assert digest(lambda vcpu, i=index: is_(vcpu.msrs((i, 0x1234)), 1)) != plain, hex(index)
    for index in 0x1a0, 0x2ff, 0xc0000103, 0x10:
        is_(digest(lambda vcpu, i=index: is_(vcpu.msrs((i, 0x1234)), 1)), plain)
    assert digest(lambda vcpu: vcpu.call(kvm.SET_XCRS, struct.pack('<IIIIQ', 1, 0, 0, 0, 3) + bytes(368))) != plain
    assert digest(lambda vcpu: None, quirk=2) != plain
    is_(digest(lambda vcpu: None, quirk=1), plain)


@case('the FPU is measured', 'snp')
def _():
    plain = digest(lambda vcpu: None)

    def change(offset, value, components=7):
        def set_xsave(vcpu):
            area = bytearray(4096)
            vcpu.call(kvm.GET_XSAVE, area)
            area[512] = components
            area[offset] = value
            is_(vcpu.call(kvm.SET_XSAVE, area), 0)
        return digest(set_xsave)
    is_(change(0, 0x7f), plain)
    digests = {change(o, 0x55) for o in (0, 2, 4, 6, 8, 16, 24, 32, 40, 160, 576)}
    assert plain not in digests and len(digests) == 11
    is_(change(1000, 0x55), plain)
    # What the area does not name is not taken.
    is_([change(o, 0x55, components=c) for o, c in ((0, 6), (160, 5), (576, 3), (24, 0))], [plain] * 4)


kvm.run()
