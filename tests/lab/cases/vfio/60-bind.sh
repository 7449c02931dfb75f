# SPDX-License-Identifier: MIT
# lkvm gives a device to VFIO, and back to the driver that the kernel finds for it.
# shellcheck shell=dash

# shellcheck source=/dev/null
. /lab/cases/lib
modprobe e1000e

to_driver 03:00.0 e1000e
lkvm_says vfio-bind vfio bind 03:00.0
check "bind: done" [ "${status:?}" = 0 ]
check "bind: the card is VFIO's" [ "$(driver_of 03:00.0)" = vfio-pci ]
check "bind: with its group's file" [ -c "/dev/vfio/$(group_of 03:00.0)" ]
lkvm_says vfio-unbind vfio unbind 03:00.0
check "unbind: done" [ "$status" = 0 ]
check "unbind: the card is its driver's" [ "$(driver_of 03:00.0)" = e1000e ]
lkvm_says vfio-bind-bridge vfio bind 00:04.0
check "bridge: refused" [ "$status" = 1 ]
check_says "bridge: the reason is told" bridge
