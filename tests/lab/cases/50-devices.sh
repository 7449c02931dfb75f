# SPDX-License-Identifier: MIT
# The entropy device and the virtio console.
# shellcheck shell=dash

for transport in pci mmio; do
	vm "rng-$transport" "$LAB_STABLE_KERNEL" lab.test=rng --rng --virtio-transport $transport
	booted "$transport: a guest with an entropy device"
	check_says "$transport: the guest's source of entropy is virtio" "LAB-L2 rng-name virtio_rng"
	check_fact "$transport: it gives bytes" rng-bytes 2048
	check_fact "$transport: no 16 of them repeat" rng-differs 128
done

console=hvc0 vm console-virtio "$LAB_KERNEL" lab.test=console --console virtio
booted "a guest on a virtio console"
check_fact "its console is hvc0" console hvc0
check "300 lines arrive whole" [ "$(lines_of '^line [0-9]{4} of the console test$')" = 300 ]

vm console-serial "$LAB_KERNEL" lab.test=console
check "300 lines arrive whole by the serial port" [ "$(lines_of '^line [0-9]{4} of the console test$')" = 300 ]
