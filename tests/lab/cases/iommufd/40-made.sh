# SPDX-License-Identifier: MIT
# lkvm makes a mediated device, and removes it.
# shellcheck shell=dash

uuid=12345678-1234-1234-1234-000000000003

lkvm_says vfio-mdev-create vfio mdev create mtty mtty-2 --uuid $uuid
check "create: done" [ "${status:?}" = 0 ]
check "create: the device is there" [ -e /sys/bus/mdev/devices/$uuid ]
lkvm_says vfio-mdev-list vfio mdev list
check_says "list: it has the device" $uuid
lkvm_says vfio-state vfio state $uuid
check_says "state: what it can do of migration" 'migration +STOP_COPY, P2P, PRE_COPY'
lkvm_says vfio-mdev-remove vfio mdev remove $uuid
check "remove: done" [ "$status" = 0 ]
check "remove: the device is gone" [ ! -e /sys/bus/mdev/devices/$uuid ]
