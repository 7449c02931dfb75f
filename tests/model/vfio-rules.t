#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of VFIO and iommufd that the model knows, and the devices that can be played."""
import errno
import os
import struct

import kvm
from kvm import PAGE, Memory, Vm, case, is_
# pylint: disable=unused-wildcard-import,wildcard-import
from vfiocalls import *

PLAIN = 'plain,vfio=edu+nvme+virtio+mtty+liar'
RESERVED = 0xfee00000


@case('a cdev, bound and attached', PLAIN)
def _():
    vm = Vm(0)
    device, iommufd = cdev(EDU, vm), Iommufd()
    is_(bind(device, iommufd.fd)[0], 0)
    is_(attach(device, iommufd.ioas()), 0)
    is_(device.region(0)[:2], (1 << 20, 3))
    is_(told(vm, device.fd, 2), 0)
    os.close(device.fd)


@case('KVM is told after BIND', PLAIN, broken='VFIO_DEVICE_BIND_IOMMUFD: before KVM is told')
def _():
    vm = Vm(0)
    device = cdev()
    is_(bind(device, Iommufd().fd)[0], 0)
    is_(told(vm, device.fd), 0)


@case('KVM is told twice, and of what is no device', PLAIN, broken=(' twice', 'is no group and no cdev'))
def _():
    vm = Vm(0)
    device = cdev(EDU, vm)
    is_(told(vm, device.fd), -errno.EEXIST)
    is_(told(vm, 0), -errno.EINVAL)


@case('KVM still knows the device when it is closed', PLAIN, broken='closed before KVM has forgotten it')
def _():
    os.close(cdev(EDU, Vm(0)).fd)


@case('a call before BIND', PLAIN, broken=('VFIO_DEVICE_GET_REGION_INFO: before', 'accessed before'))
def _():
    device = cdev()
    is_(device.region(0), -errno.EINVAL)
    is_(errno_of(device.read, CONFIG, 0), -errno.EINVAL)


@case('BIND twice', PLAIN, broken='a second time')
def _():
    device = attached()
    is_(bind(device, device.iommufd.fd)[0], -errno.EINVAL)


@case('BIND to what is no iommufd', PLAIN, broken='is no iommufd')
def _():
    is_(bind(cdev(), 0)[0], -errno.EBADF)


@case('a device that another process has', PLAIN + ',busy=edu', said='"refused": "0000:01:00.0 is in use')
def _():
    is_(bind(cdev(), Iommufd().fd)[0], -errno.EBUSY)


@case('the same device opened twice', PLAIN)
def _():
    device = cdev()
    is_(errno_of(cdev), -errno.EBUSY)
    os.close(device.fd)
    cdev()


@case('maps that overlap, are not of pages, or of nothing', PLAIN, broken=(
    'is mapped already', 'not of whole pages', 'no memory at', 'neither'))
def _():
    device, ram = attached(), Memory(4 * PAGE)
    fd, ioas = device.iommufd, device.ioas
    is_(fd.map(ioas, 0x10000, 2 * PAGE, ram.at), 0)
    is_(fd.map(ioas, 0x11000, PAGE, ram.at), -errno.EEXIST)
    is_(fd.map(ioas, 0x20000, 100, ram.at), -errno.EINVAL)
    is_(fd.map(ioas, 0x20000, PAGE, kvm.BAD), -errno.EFAULT)
    is_(fd.map(ioas, 0x20000, PAGE, ram.at, 1), -errno.EINVAL)
    is_(fd.unmap(ioas, 0x10000, 2 * PAGE), 0)
    is_(fd.map(ioas, 0x11000, PAGE, ram.at), 0)


@case('a part of a map is unmapped, and what is not mapped', PLAIN, broken='a mapping is cut', said='nothing is mapped at 0x40000')
def _():
    device, ram = attached(), Memory(4 * PAGE)
    fd, ioas = device.iommufd, device.ioas
    is_(fd.map(ioas, 0x10000, 2 * PAGE, ram.at), 0)
    is_(fd.unmap(ioas, 0x10000, PAGE), -errno.ENOENT)
    is_(fd.unmap(ioas, 0x40000, PAGE), -errno.ENOENT)
    is_(fd.unmap(ioas, 0, 2**64 - 1), 0)


@case('reserved addresses: told, and refused', PLAIN, broken='holds reserved addresses')
def _():
    device, ram = attached(), Memory(4 * PAGE)
    is_(device.iommufd.ranges(device.ioas), (0, [(0, RESERVED - 1), (RESERVED + 0x100000, 2**39 - 1)]))
    is_(device.iommufd.ranges(device.ioas, 1)[0], -errno.EMSGSIZE)
    is_(device.iommufd.map(device.ioas, RESERVED - PAGE, 2 * PAGE, ram.at), -errno.EINVAL)
    is_(device.iommufd.map(device.ioas, 2**39 - PAGE, 2 * PAGE, ram.at), -errno.EINVAL)


@case('reserved addresses are mapped before a device is attached', PLAIN, broken='reserved addresses are mapped')
def _():
    device, iommufd, ram = cdev(), Iommufd(), Memory()
    ioas = iommufd.ioas()
    is_(iommufd.ranges(ioas), (0, [(0, 2**64 - 1)]))
    is_(iommufd.map(ioas, RESERVED, PAGE, ram.at), 0)
    is_(bind(device, iommufd.fd)[0], 0)
    is_(attach(device, ioas), -errno.EADDRINUSE)


@case('an mdev has no reserved addresses', PLAIN)
def _():
    device, ram = attached(MTTY), Memory()
    is_(device.iommufd.map(device.ioas, RESERVED, PAGE, ram.at), 0)


@case('more memory than may be locked', PLAIN + ',memlock=0x2000', said='more than may be locked')
def _():
    device, ram = attached(), Memory(4 * PAGE)
    is_(device.iommufd.map(device.ioas, 0, 2 * PAGE, ram.at), 0)
    is_(device.iommufd.map(device.ioas, 0x10000, PAGE, ram.at), -errno.ENOMEM)


@case('a map that is too large for one', PLAIN + ',max-map=0x2000', broken='in one piece')
def _():
    device, ram = attached(), Memory(4 * PAGE)
    is_(device.iommufd.map(device.ioas, 0, 2 * PAGE, ram.at), 0)
    is_(device.iommufd.map(device.ioas, 0x10000, 3 * PAGE, ram.at), -errno.EINVAL)


@case('iommufd does not pin a BAR', PLAIN, said='a BAR has no pages')
def _():
    device = attached()
    bar = mapped(device, 2, 1 << 16)
    assert bar != NOWHERE
    is_(device.iommufd.map(device.ioas, 0x10000, PAGE, bar), -errno.EFAULT)


NOWHERE = 2**64 - 1


def mapped(device, region, size):
    kvm.libc.mmap64.restype = kvm.ctypes.c_void_p
    return kvm.libc.mmap64(None, kvm.ctypes.c_size_t(size), 3, 1, device.fd, kvm.ctypes.c_int64(region << 40))


@case('an IOAS in use is not destroyed', PLAIN, broken='is in use')
def _():
    device = attached()
    is_(device.iommufd.destroy(device.ioas), -errno.EBUSY)
    is_(kvm.ioctl(device.fd, DETACH, struct.pack('<III', 12, 0, 0)), 0)
    is_(device.iommufd.destroy(device.ioas), 0)


@case('PASIDs: of a page table made for them', PLAIN + ',pasid=4', broken=('PASID 16', 'PASID 3'))
def _():
    device = attached()
    info = bytearray(struct.pack('<IIIIQIIQ', 40, 0, device.id, 0, 0, 0, 0, 0))
    is_(kvm.ioctl(device.iommufd.fd, HW_INFO, info), 0)
    is_(info[28], 4)
    ret, hwpt = device.iommufd.hwpt(device.id, device.ioas, 8)
    is_(ret, 0)
    is_(attach(device, hwpt), 0)
    is_(attach(device, hwpt, 3), 0)
    is_(attach(device, hwpt, 16), -errno.EINVAL)
    is_(attach(device, device.ioas, 3), -errno.EINVAL)


@case('PASIDs: not beside page tables that are not made for them', PLAIN + ',pasid=4', broken='PASID 3 beside')
def _():
    device = attached()
    ret, hwpt = device.iommufd.hwpt(device.id, device.ioas, 8)
    is_(ret, 0)
    is_(attach(device, hwpt, 3), -errno.EINVAL)
    is_(attach(device, hwpt), 0)
    is_(attach(device, hwpt, 3), 0)


@case('PASIDs: of an IOMMU without', PLAIN, said='no PASIDs')
def _():
    device = attached()
    is_(attach(device, device.ioas, 3), -errno.EOPNOTSUPP)


@case('the older way: container, group, device', PLAIN)
def _():
    device, container, group = in_container()
    is_(device.region(0)[0], 1 << 20)
    ram = Memory(2 * PAGE)
    is_(container.map(0, 2 * PAGE, ram.at), 0)
    is_(container.unmap(0, 2 * PAGE), 0)
    for fd in device.fd, group, container.fd:
        os.close(fd)
    in_container()


@case('the older way: in another order', PLAIN, broken=(
    'VFIO_SET_IOMMU: before', 'before VFIO_GROUP_SET_CONTAINER', 'before VFIO_SET_IOMMU', 'a second time'))
def _():
    container, group = Container(), group_of()
    is_(container.set(), -errno.EINVAL)
    is_(device_fd(group), -errno.EINVAL)
    is_(container.add(group), 0)
    is_(device_fd(group), -errno.EINVAL)
    is_(container.map(0, PAGE, Memory().at), -errno.EINVAL)
    is_(container.set(), 0)
    is_(container.set(), -errno.EINVAL)


@case('the older way: KVM is told before the device is had', PLAIN, broken='VFIO_GROUP_GET_DEVICE_FD: before KVM is told')
def _():
    vm, container, group, other = Vm(0), Container(), group_of(), group_of(NVME)
    is_(container.add(group), 0)
    is_(container.add(other), 0)
    is_(container.set(), 0)
    is_(told(vm, group), 0)
    device = device_fd(group)
    assert device >= 0
    assert device_fd(other, NVME) >= 0


@case('the older way: what cuts a map, and limits', PLAIN + ',dma-avail=1', broken='a mapping is cut', said='no more than 1')
def _():
    _, container, _ = in_container()
    ram = Memory(4 * PAGE)
    is_(container.map(0, 2 * PAGE, ram.at), 0)
    is_(container.map(0x10000, PAGE, ram.at), -errno.ENOSPC)
    is_(container.unmap(0, PAGE), -errno.EINVAL)
    info = bytearray(struct.pack('<I', 256) + bytes(252))
    is_(kvm.ioctl(container.fd, TYPE1_INFO, info), 0)
    at = struct.unpack_from('<I', info, 16)[0]
    is_(struct.unpack_from('<HHIIIQQQQ', info, at)[0:1] + struct.unpack_from('<QQ', info, at + 16), (1, 0, RESERVED - 1))


@case('a group with a device of the host', PLAIN + ',together,host=nvme', broken='is not viable')
def _():
    group = group_of()
    status = bytearray(struct.pack('<II', 8, 0))
    is_(kvm.ioctl(group, GROUP_GET_STATUS, status), 0)
    is_(status[4] & 1, 0)
    is_(Container().add(group), -errno.EINVAL)


@case('a group with a device without a driver', PLAIN + ',together,loose=nvme')
def _():
    is_(Container().add(group_of()), 0)


@case('a group that is open', PLAIN)
def _():
    group_of()
    is_(errno_of(group_of), -errno.EBUSY)


@case('interrupts: counts', PLAIN)
def _():
    device = attached()
    is_([device.irq(i) for i in range(5)], [1, 4, 8, 1, 1])
    is_(attached(NVME).irq(MSIX), 16)


@case('interrupts: more than there are, and of two kinds', PLAIN, broken=('9 from 0, where 8 are', 'while another is on'))
def _():
    device, fd = attached(), eventfd()
    is_(device.set_irqs(MSIX, EVENTFD | TRIGGER, 0, [fd] * 9), -errno.EINVAL)
    is_(device.set_irqs(MSIX, EVENTFD | TRIGGER, 0, [fd] * 2), 0)
    is_(device.set_irqs(INTX, EVENTFD | TRIGGER, 0, [fd]), -errno.EINVAL)
    is_(device.set_irqs(MSIX, EVENTFD | TRIGGER, 2, [fd]), 0)
    is_(device.set_irqs(MSIX, NONE | TRIGGER, 0, 0), 0)
    is_(device.set_irqs(MSIX, NONE | TRIGGER, 0, 0), -errno.EINVAL)
    is_(device.set_irqs(INTX, EVENTFD | TRIGGER, 0, [fd]), 0)


@case('interrupts: a kernel that makes no more vectors later', PLAIN + ',noresize', broken='2 vectors are on, not 3')
def _():
    device, fd = attached(), eventfd()
    is_(device.set_irqs(MSIX, EVENTFD | TRIGGER, 0, [fd] * 2), 0)
    is_(device.set_irqs(MSIX, EVENTFD | TRIGGER, 2, [fd]), -errno.EINVAL)


@case('interrupts: messages have no masks', PLAIN, broken='has no masks')
def _():
    device = attached()
    is_(device.set_irqs(MSIX, NONE | MASK, 0, 1), -errno.ENOTTY)


def on(device):
    device.write(CONFIG, 4, 7, 2)
    return device


@case('edu: registers, when memory is on', PLAIN, said='is read while it is off')
def _():
    device = attached()
    is_(errno_of(device.read, 0, 0), -errno.EIO)
    on(device)
    is_(device.read(0, 0), 0x010000ed)
    device.write(0, 4, 0x12345678)
    is_(device.read(0, 4), 0xedcba987)


@case('edu: DMA through what is mapped', PLAIN, said='"dma-fault": "0000:01:00.0", "iova": 1048576')
def _():
    device, ram = on(attached()), Memory(2 * PAGE)
    is_(device.iommufd.map(device.ioas, 0x10000, PAGE, ram.at), 0)
    is_(device.iommufd.map(device.ioas, 0x11000, PAGE, ram.at + PAGE), 0)
    ram[0xf00:0x1100] = bytes(i & 0xff for i in range(0x200))
    dma(device, 0x10f00, 0x40000, 0x200, 1)
    dma(device, 0x40000, 0x11800, 0x200, 3)
    is_(ram[0x1800:0x1a00], ram[0xf00:0x1100])
    dma(device, 0x40000, 0x100000, 4, 3)


def dma(device, source, target, count, command):
    device.write(0, 0x80, source, 8)
    device.write(0, 0x88, target, 8)
    device.write(0, 0x90, count, 8)
    device.write(0, 0x98, command)


@case('edu: no DMA without bus mastering, nor to what is only read', PLAIN, said='"dma-fault"')
def _():
    device, ram = attached(), Memory(2 * PAGE, b'x' * 16)
    ram[PAGE:PAGE + 16] = b'x' * 16
    device.write(CONFIG, 4, 3, 2)
    is_(device.iommufd.map(device.ioas, 0, PAGE, ram.at), 0)
    is_(device.iommufd.map(device.ioas, PAGE, PAGE, ram.at + PAGE, 5), 0)
    dma(device, 0x40000, 0, 16, 3)
    is_(ram[:16], b'x' * 16)
    on(device)
    dma(device, 0x40000, PAGE, 16, 3)
    is_(ram[PAGE:PAGE + 16], b'x' * 16)
    dma(device, 0x40000, 0, 16, 3)
    is_(ram[:16], bytes(16))
    is_(sum('dma-fault' in line for line in kvm.log()), 2)


@case('edu: messages of both kinds', PLAIN)
def _():
    device, fds = on(attached()), [eventfd() for _ in range(4)]
    for kind in MSI, MSIX:
        is_(device.set_irqs(kind, EVENTFD | TRIGGER, 0, fds), 0)
        device.write(0, 0x68, 2)
        device.write(0, 0x60, 1)
        is_([fired(fd) for fd in fds], [0, 0, 1, 0])
        is_(device.set_irqs(kind, NONE | TRIGGER, 0, 0), 0)
        device.write(0, 0x60, 1)
        is_([fired(fd) for fd in fds], [0, 0, 0, 0])


@case('edu: a message that nobody gets waits in the device', PLAIN)
def _():
    device, fd = on(attached()), eventfd()
    is_(device.set_irqs(MSIX, EVENTFD | TRIGGER, 0, [-1]), 0)
    device.write(0, 0x68, 2)
    device.write(0, 0x60, 1)
    is_(device.set_irqs(MSIX, EVENTFD | TRIGGER, 2, [fd]), 0)
    is_([fired(fd), fired(fd)], [1, 0])
    is_(device.set_irqs(MSIX, EVENTFD | TRIGGER, 2, [-1]), 0)
    device.write(0, 0x60, 1)
    is_(device.set_irqs(MSIX, NONE | TRIGGER, 0, 0), 0)
    is_(device.set_irqs(MSIX, EVENTFD | TRIGGER, 0, [-1, -1, fd]), 0)
    is_(fired(fd), 0)


@case('edu: a line, masked until it is unmasked', PLAIN)
def _():
    device, fd, unmask = on(attached()), eventfd(), eventfd()
    is_(device.set_irqs(INTX, EVENTFD | TRIGGER, 0, [fd]), 0)
    is_(device.set_irqs(INTX, EVENTFD | UNMASK, 0, [unmask]), 0)
    device.write(0, 0x60, 1)
    device.write(0, 0x60, 2)
    is_(fired(fd), 1)
    is_(device.set_irqs(INTX, NONE | UNMASK, 0, 1), 0)
    is_(fired(fd), 1)
    device.write(0, 0x64, 3)
    device.write(0, 0x60, 1)
    is_(fired(fd), 0)
    os.eventfd_write(unmask, 1)
    is_(device.read(0, 0x24), 1)
    is_(fired(fd), 1)
    device.write(0, 0x64, 1)
    os.eventfd_write(unmask, 1)
    device.write(CONFIG, 4, 0x407, 2)
    device.write(0, 0x60, 1)
    is_(fired(fd), 0)


@case('edu: a reset, by the call and by the guest', PLAIN)
def _():
    device = on(attached())
    device.write(CONFIG, 0x10, 0xffffffff)
    is_(device.read(CONFIG, 0x10), 0xfff00000)
    for reset in device.reset, lambda: device.write(CONFIG, 0x88, 0x8000, 2) * 0:
        device.write(0, 4, 1)
        is_(reset(), 0)
        is_(device.read(0, 4), 0)
    is_(sum('reset' in line for line in kvm.log()), 2)


def hot_reset_info(device, room=256):
    """(0 or -errno, flags, how many, what is said of each)"""
    buf = bytearray(struct.pack('<III', room, 0, 0) + bytes(room - 12))
    ret = kvm.ioctl(device.fd, HOT_RESET_INFO, buf)
    _, flags, n = struct.unpack_from('<III', buf)
    return ret, flags, n, [struct.unpack_from('<I', buf, 12 + 8 * i)[0] for i in range(n if ret == 0 else 0)]


@case('a reset of the bus: devices of its group need no iommufd', PLAIN + ',together')
def _():
    device, other = attached(), cdev(NVME)
    is_(hot_reset_info(device), (0, 3, 4, [device.id, 0, 0, 0]))
    is_(hot_reset_info(device, 20)[0], -errno.ENOSPC)
    is_(kvm.ioctl(device.fd, HOT_RESET, struct.pack('<III', 12, 0, 0)), 0)
    is_(bind(other, device.iommufd.fd)[0], 0)
    is_(hot_reset_info(device)[3].count(0), 2)
    is_(kvm.ioctl(device.fd, HOT_RESET, struct.pack('<III', 12, 0, 0)), 0)
    is_(sum('reset' in line for line in kvm.log()), 8)


@case('a reset of the bus, by groups', PLAIN, broken='0 groups')
def _():
    device, _, group = in_container()
    is_(hot_reset_info(device), (0, 0, 1, [16]))
    is_(kvm.ioctl(device.fd, HOT_RESET, struct.pack('<III', 12, 0, 0)), -errno.EINVAL)
    is_(kvm.ioctl(device.fd, HOT_RESET, struct.pack('<IIIi', 16, 0, 1, group)), 0)


@case('BIND of a device beside one of the host', PLAIN + ',together,host=nvme', said='the host has a device of group 16')
def _():
    is_(bind(cdev(), Iommufd().fd)[0], -errno.EBUSY)


@case('few address bits', PLAIN + ',aperture=24')
def _():
    device = attached()
    is_(device.iommufd.ranges(device.ioas), (0, [(0, 0xffffff)]))


@case('mmap of what cannot be mapped', PLAIN, broken='mmap of region 0')
def _():
    device = attached()
    is_(mapped(device, 0, PAGE), NOWHERE)


@case('nvme: a register beside the MSI-X table', PLAIN)
def _():
    device, fd = on(attached(NVME)), eventfd()
    size, flags, cap = device.region(0, 64)
    is_((size, flags, cap), (1 << 14, 15, 32))
    is_(device.region(0, 32)[2], 0)
    is_(device.set_irqs(MSIX, EVENTFD | TRIGGER, 0, [-1, fd]), 0)
    device.write(0, 0x3800, 1)
    is_(fired(fd), 1)


@case('liar: capabilities in a circle, a table beyond its BAR', PLAIN)
def _():
    device = attached('0000:04:00.0')
    seen, at = [], device.read(CONFIG, 0x34, 1)
    while at and at not in seen:
        seen.append(at)
        at = device.read(CONFIG, at + 1, 1)
    is_((seen, at), ([0x40, 0x70], 0x40))
    is_(device.region(0)[0], 0x3000)


@case('virtio: capabilities of its vendor', PLAIN)
def _():
    device = attached('0000:03:00.0')
    found, at = [], device.read(CONFIG, 0x34, 1)
    while at:
        if device.read(CONFIG, at, 1) == 9:
            found.append(device.read(CONFIG, at + 3, 1))
        at = device.read(CONFIG, at + 1, 1)
    is_(sorted(found), [1, 2, 3, 4])


def all_of(fd):
    data = b''
    while piece := os.read(fd, 16):
        data += piece
    return data


def saved(device):
    """The device's state, without a copy before it is stopped; the device is stopped then."""
    ret, fd = device.state(STOP_COPY)
    is_(ret, 0)
    data = all_of(fd)
    is_(device.state(STOP), (0, -1))
    os.close(fd)
    return data


@case('migration: what is there, and where', PLAIN)
def _():
    device = attached(MTTY)
    is_(device.feature(1 << 16 | 1, bytes(8)), (0, struct.pack('<Q', 7)))
    is_(device.feature(1 << 16 | 1 << 18 | 2)[0], 0)
    is_(attached(EDU).feature(1 << 16 | 1, bytes(8))[0], -errno.ENOTTY)
    is_(device.state(), RUNNING)


@case('migration: saved and loaded', PLAIN)
def _():
    device = attached(MTTY)
    device.write(CONFIG, 4, 1, 2)
    device.write(0, 7, 0x5a, 1)
    data = saved(device)
    is_(device.reset(), 0)
    is_(device.state(), RUNNING)
    is_(device.read(0, 7, 1), 0)
    ret, fd = device.state(RESUMING)
    is_(ret, 0)
    os.write(fd, data)
    is_(device.state(RUNNING), (0, -1))
    is_(device.read(0, 7, 1), 0x5a)


@case('migration: a copy begun while the device runs', PLAIN)
def _():
    device = attached(MTTY)
    ret, fd = device.state(PRE_COPY)
    is_(ret, 0)
    info = bytearray(struct.pack('<IIQQ', 24, 0, 0, 0))
    is_(kvm.ioctl(fd, PRECOPY_INFO, info), 0)
    is_(struct.unpack('<IIQQ', info)[2], 8)
    is_(len(os.read(fd, 100)), 8)
    is_(errno_of(os.read, fd, 100), -errno.ENOMSG)
    is_(device.state(STOP_COPY), (0, -1))
    is_(len(all_of(fd)), 64)
    is_(device.state(STOP)[0], 0)


@case('migration: the state of another version', PLAIN + ',mig=old-magic', said='a state of another version')
def _():
    device = attached(MTTY)
    data = saved(device)
    ret, fd = device.state(RESUMING)
    is_(ret, 0)
    os.write(fd, data)
    is_(device.state(STOP)[0], -errno.EINVAL)
    is_(device.state(), ERROR)
    is_(device.state(RUNNING)[0], -errno.EINVAL)
    is_(device.reset(), 0)
    is_(device.state(), RUNNING)


@case('migration: a state that was cut', PLAIN, said='or cut')
def _():
    device = attached(MTTY)
    data = saved(device)
    os.write(device.state(RESUMING)[1], data[:-1])
    is_(device.state(RUNNING)[0], -errno.EINVAL)


@case('migration: a device that does not stop', PLAIN + ',mig=fail-stop')
def _():
    device = attached(MTTY)
    is_(device.state(STOP)[0], -errno.EIO)
    is_(device.state(), ERROR)


@case('migration: ways that there are not', PLAIN + ',mig=1', broken=('state 5', 'state 6', 'state 8'))
def _():
    device = attached(MTTY)
    for state in RUNNING_P2P, PRE_COPY, 8:
        is_(device.state(state)[0], -errno.EINVAL)
    is_(device.state(STOP)[0], 0)


@case('migration: a stream is read when its state is over', PLAIN, broken='its state is read in state 1')
def _():
    device = attached(MTTY)
    fd = device.state(STOP_COPY)[1]
    is_(device.state(STOP)[0], 0)
    is_(errno_of(os.read, fd, 16), -errno.EINVAL)


DEVICES, DRIVERS = '/sys/bus/pci/devices/', '/sys/bus/pci/drivers/'


def put(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        return errno_of(os.write, fd, text.encode())
    finally:
        os.close(fd)


def driver_of(id_=EDU):
    path = DEVICES + id_ + '/driver'
    return os.path.basename(os.readlink(path)) if os.path.lexists(path) else None


@case('sysfs: a driver is taken and given', PLAIN + ',host=edu')
def _():
    is_(driver_of(), 'edu-host')
    is_(os.path.exists(DEVICES + EDU + '/vfio-dev'), False)
    is_(put(DRIVERS + 'vfio-pci/bind', EDU), -errno.ENODEV)
    is_(put(DEVICES + EDU + '/driver_override', 'vfio-pci\n'), 0)
    is_(put(DRIVERS + 'vfio-pci/unbind', EDU), -errno.ENODEV)
    is_(put(DEVICES + EDU + '/driver/unbind', EDU + '\n'), 0)
    is_(driver_of(), None)
    is_(put('/sys/bus/pci/drivers_probe', EDU), 0)
    is_(driver_of(), 'vfio-pci')
    attached()
    is_(put(DRIVERS + 'vfio-pci/unbind', EDU), 0)
    is_(put(DEVICES + EDU + '/driver_override', '\n'), 0)
    is_(put('/sys/bus/pci/drivers_probe', EDU), 0)
    is_(driver_of(), 'edu-host')


@case('sysfs: a driver takes only what it knows, or what is to be its own', PLAIN + ',loose=edu')
def _():
    is_(put(DRIVERS + 'vfio-pci/bind', EDU), -errno.ENODEV)
    is_(put(DRIVERS + 'edu-host/bind', EDU), 0)
    is_(driver_of(), 'edu-host')


@case('sysfs: where a device is', PLAIN + ',together')
def _():
    is_(os.path.realpath(DEVICES + EDU), '/sys/devices/pci0000:00/0000:00:01.0/' + EDU)
    group = DEVICES + EDU + '/iommu_group'
    is_(os.path.basename(os.readlink(group)), '16')
    is_(sorted(os.listdir(group + '/devices'))[:2], [EDU, NVME])
    with open(DEVICES + EDU + '/config', 'rb') as f:
        is_(f.read(4), bytes.fromhex('3412e811'))
    with open(DEVICES + EDU + '/vendor', encoding='ascii') as f:
        is_(f.read(), '0x1234\n')


@case('sysfs: a host without an IOMMU, without iommufd, without cdevs', PLAIN + ',iommu=off,iommufd=off,cdev=off')
def _():
    is_(os.path.exists(DEVICES + EDU + '/iommu_group'), False)
    is_(os.path.exists(DEVICES + EDU + '/vfio-dev'), False)
    is_(errno_of(os.open, '/dev/iommu', os.O_RDWR), -errno.ENOENT)
    is_(errno_of(os.open, '/dev/vfio/16', os.O_RDWR), -errno.ENOENT)
    is_(put(DEVICES + EDU + '/driver_override', 'vfio-pci'), 0)
    is_(put(DRIVERS + 'vfio-pci/bind', EDU), -errno.EINVAL)
    group_of(MTTY, 'mdev')


@case('sysfs: an mdev is created and removed', PLAIN)
def _():
    type_ = '/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-mtty-1/'
    uuid = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1002'
    is_(put(type_ + 'create', 'mtty'), -errno.EINVAL)
    is_(put(type_ + 'create', uuid), 0)
    is_(put(type_ + 'create', uuid), -errno.EEXIST)
    with open(type_ + 'available_instances', encoding='ascii') as f:
        is_(f.read(), '2\n')
    attached(uuid)
    is_(put(f'/sys/bus/mdev/devices/{uuid}/remove', '1'), 0)
    is_(os.path.exists('/sys/bus/mdev/devices/' + uuid), False)
    is_(os.path.exists('/dev/vfio/devices/vfio21'), False)
    for i in '345':
        is_(put(type_ + 'create', uuid[:-1] + i), 0)
    is_(put(type_ + 'create', uuid), -errno.EUSERS)


kvm.run()
