# SPDX-License-Identifier: MIT
"""VFIO's and iommufd's calls, made by hand (see kvm.py). Numbers are those of Linux's headers."""
import os
import select
import struct

import kvm
from kvm import Memory, ioctl, is_

CREATE_DEVICE, SET_DEVICE_ATTR = 0xc00caee0, 0x4018aee1
GET_API_VERSION, CHECK_EXTENSION, SET_IOMMU = 0x3b64, 0x3b65, 0x3b66
GROUP_GET_STATUS, SET_CONTAINER, GET_DEVICE_FD = 0x3b67, 0x3b68, 0x3b6a
GET_INFO, REGION_INFO, IRQ_INFO, SET_IRQS, RESET = 0x3b6b, 0x3b6c, 0x3b6d, 0x3b6e, 0x3b6f
HOT_RESET_INFO, HOT_RESET, TYPE1_INFO, MAP_DMA, UNMAP_DMA = 0x3b70, 0x3b71, 0x3b70, 0x3b71, 0x3b72
FEATURE, BIND, ATTACH, DETACH, PRECOPY_INFO = 0x3b75, 0x3b76, 0x3b77, 0x3b78, 0x3b79
DESTROY, IOAS_ALLOC, IOVA_RANGES, IOAS_MAP, IOAS_UNMAP = 0x3b80, 0x3b81, 0x3b84, 0x3b85, 0x3b86
HWPT_ALLOC, HW_INFO = 0x3b89, 0x3b8a
EDU, NVME, MTTY = '0000:01:00.0', '0000:02:00.0', '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001'
CONFIG = 7
INTX, MSI, MSIX = 0, 1, 2
NONE, EVENTFD, MASK, UNMASK, TRIGGER = 1, 4, 8, 16, 32
ERROR, STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P = range(8)


def told(vm, fd, attr=1):
    """KVM is told of a file (1), or to forget it (2)."""
    if not hasattr(vm, 'vfio'):
        buf = bytearray(struct.pack('<III', 4, 0, 0))
        is_(vm.call(CREATE_DEVICE, buf), 0)
        vm.vfio = struct.unpack('<III', buf)[1]
    word = Memory(data=struct.pack('<i', fd))
    return ioctl(vm.vfio, SET_DEVICE_ATTR, struct.pack('<IIQQ', 0, 1, attr, word.at))


class Device:
    """An open device, bound or not."""

    def __init__(self, fd):
        assert fd >= 0, os.strerror(-fd)
        self.fd = fd

    def read(self, region, offset, size=4):
        return int.from_bytes(os.pread(self.fd, size, region << 40 | offset), 'little')

    def write(self, region, offset, value, size=4):
        return os.pwrite(self.fd, value.to_bytes(size, 'little'), region << 40 | offset)

    def region(self, index, argsz=32):
        """size, flags, cap_offset"""
        buf = bytearray(struct.pack('<IIIIQQ', argsz, 0, index, 0, 0, 0) + bytes(max(argsz - 32, 0)))
        ret = ioctl(self.fd, REGION_INFO, buf)
        _, flags, _, cap, size, _ = struct.unpack_from('<IIIIQQ', buf)
        return (size, flags, cap) if ret == 0 else ret

    def irq(self, index):
        buf = bytearray(struct.pack('<IIII', 16, 0, index, 0))
        ret = ioctl(self.fd, IRQ_INFO, buf)
        return struct.unpack('<IIII', buf)[3] if ret == 0 else ret

    def set_irqs(self, index, flags, start, fds):
        count = len(fds) if isinstance(fds, (list, tuple)) else fds
        data = struct.pack(f'<{count}i', *fds) if flags & EVENTFD else b''
        return ioctl(self.fd, SET_IRQS, struct.pack('<IIIII', 20 + len(data), flags, index, start, count) + data)

    def feature(self, flags, data=b''):
        buf = bytearray(struct.pack('<II', 8 + len(data), flags) + data)
        ret = ioctl(self.fd, FEATURE, buf)
        return ret, bytes(buf[8:])

    def state(self, to=None):
        """Sets it: (0 or -errno, data_fd); or asks for it."""
        if to is None:
            return struct.unpack('<Ii', self.feature(1 << 16 | 2, bytes(8))[1])[0]
        ret, data = self.feature(1 << 17 | 2, struct.pack('<Ii', to, -1))
        return ret, struct.unpack('<Ii', data)[1]

    def reset(self):
        return ioctl(self.fd, RESET)


class Iommufd:
    def __init__(self):
        self.fd = os.open('/dev/iommu', os.O_RDWR)

    def ioas(self):
        buf = bytearray(struct.pack('<III', 12, 0, 0))
        is_(ioctl(self.fd, IOAS_ALLOC, buf), 0)
        return struct.unpack('<III', buf)[2]

    def map(self, ioas, iova, size, va, flags=7):
        return ioctl(self.fd, IOAS_MAP, struct.pack('<IIIIQQQ', 40, flags, ioas, 0, va, size, iova))

    def unmap(self, ioas, iova, size):
        return ioctl(self.fd, IOAS_UNMAP, struct.pack('<IIQQ', 24, ioas, iova, size))

    def ranges(self, ioas, room=8):
        out = Memory()
        buf = bytearray(struct.pack('<IIIIQQ', 32, ioas, room, 0, out.at, 0))
        ret = ioctl(self.fd, IOVA_RANGES, buf)
        n = struct.unpack_from('<IIII', buf)[2]
        return ret, [struct.unpack_from('<QQ', out.map, 16 * i) for i in range(min(n, room))]

    def destroy(self, number):
        return ioctl(self.fd, DESTROY, struct.pack('<II', 8, number))

    def hwpt(self, dev, ioas, flags=0):
        buf = bytearray(struct.pack('<8IQII', 48, flags, dev, ioas, 0, 0, 0, 0, 0, 0, 0))
        ret = ioctl(self.fd, HWPT_ALLOC, buf)
        return ret, struct.unpack_from('<8I', buf)[4]


def bind(device, iommufd):
    """(0 or -errno, the device's number)"""
    buf = bytearray(struct.pack('<IIiI', 16, 0, iommufd, 0))
    return ioctl(device.fd, BIND, buf), struct.unpack('<IIiI', buf)[3]


def attach(device, pt, pasid=None):
    return ioctl(device.fd, ATTACH, struct.pack('<IIII', 16, pasid is not None, pt, pasid or 0))


def cdev(id_=EDU, vm=None):
    """Opened by its cdev, not bound."""
    bus = 'mdev' if len(id_) > 20 else 'pci'
    name = os.listdir(f'/sys/bus/{bus}/devices/{id_}/vfio-dev')[0]
    device = Device(os.open('/dev/vfio/devices/' + name, os.O_RDWR))
    if vm:
        is_(told(vm, device.fd), 0)
    return device


def attached(id_=EDU):
    """Bound and attached to an empty IOAS, without KVM."""
    device, iommufd = cdev(id_), Iommufd()
    device.iommufd = iommufd
    ret, device.id = bind(device, iommufd.fd)
    is_(ret, 0)
    device.ioas = iommufd.ioas()
    is_(attach(device, device.ioas), 0)
    return device


def group_of(id_=EDU, bus='pci'):
    number = os.path.basename(os.readlink(f'/sys/bus/{bus}/devices/{id_}/iommu_group'))
    return os.open('/dev/vfio/' + number, os.O_RDWR)


class Container:
    def __init__(self):
        self.fd = os.open('/dev/vfio/vfio', os.O_RDWR)

    def add(self, group):
        return ioctl(group, SET_CONTAINER, struct.pack('<i', self.fd))

    def set(self, type_=3):
        return ioctl(self.fd, SET_IOMMU, type_)

    def map(self, iova, size, va, flags=3):
        return ioctl(self.fd, MAP_DMA, struct.pack('<IIQQQ', 32, flags, va, iova, size))

    def unmap(self, iova, size, flags=0):
        return ioctl(self.fd, UNMAP_DMA, struct.pack('<IIQQ', 24, flags, iova, size))


def device_fd(group, name=EDU):
    return ioctl(group, GET_DEVICE_FD, name.encode() + b'\0')


def in_container(id_=EDU):
    """(the device, its container, its group), by the older way, without KVM."""
    container, group = Container(), group_of(id_)
    is_(container.add(group), 0)
    is_(container.set(), 0)
    return Device(device_fd(group, id_)), container, group


def eventfd():
    return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


def fired(fd):
    """How often, since the last question."""
    return int.from_bytes(os.read(fd, 8), 'little') if select.select([fd], [], [], 0)[0] else 0


def errno_of(fn, *args):
    try:
        fn(*args)
    except OSError as e:
        return -e.errno
    return 0


__all__ = [name for name in globals() if not name.startswith('_') and name not in ('kvm', 'os', 'select', 'struct')]
