# SPDX-License-Identifier: MIT
# Consoles and the entropy device.
# shellcheck shell=dash

# devices NAME TRANSPORT KERNEL [LKVM ARGUMENT...]: a guest that writes 300 lines to its console and takes bytes
devices() {
	title="$1 console, $2"
	transport=$2
	console_name=$1
	kernel=$3
	shift 3
	vm "console-$console_name" "$kernel" lab.test=devices --rng --virtio-transport "$transport" "$@"
	booted "$title: a guest with an entropy device"
	check "$title: 300 lines arrive whole" [ "$(lines_of '^line [0-9]{4} of the console test$')" = 300 ]
	check_says "$title: the guest's source of entropy is virtio" "LAB-L2 rng-name virtio_rng"
	check_fact "$title: it gives bytes" rng-bytes 2048
	check_fact "$title: no 16 of them repeat" rng-differs 128
}

console=hvc0 devices virtio pci "$LAB_KERNEL" --console virtio
check_fact "its console is hvc0" console hvc0
devices serial mmio "$LAB_STABLE_KERNEL"
