# SPDX-License-Identifier: MIT
# A mediated device, the kernel's sample of a serial card: a guest speaks through it, and its state moves to another one.
# shellcheck shell=dash

# shellcheck source=/dev/null
. /lab/cases/lib

parent=/sys/devices/virtual/mtty/mtty/mdev_supported_types/mtty-2
first=12345678-1234-1234-1234-000000000001
second=12345678-1234-1234-1234-000000000002

try_serial() {	# try_serial NAME DEVICE: a guest with it
	mem=${vfio_mem:?} vm "vfio-$1" "$LAB_VFIO_KERNEL" "lab.test=vfio lab.vfio=serial lab.driver=serial" --vfio "$2"
	booted "$1: a guest with a serial card"
	check_fact "$1: its port sends back what it is sent" first "there and back"
	check_fact "$1: interrupts come by INTx" interrupts "intx "
}

echo $first >$parent/create
try_serial serial "$first,state-out=/run/serial.state"
check_fact "serial: the card is new" kept 00
check "serial: its state is saved" [ -s /run/serial.state ]
echo 1 >/sys/bus/mdev/devices/$first/remove

echo $second >$parent/create
try_serial moved "$second,state-in=/run/serial.state"
check_fact "moved: another card has the state of the first" kept 5a
echo 1 >/sys/bus/mdev/devices/$second/remove
