# SPDX-License-Identifier: MIT
# Each kind of device in one guest, where an emulated processor is too slow for a guest for each: once after a reboot, by MMIO
# and with two CPUs, and once by PCI. What one kind has beside that is for the other cases, which TEST_ALL runs there too.
# shellcheck shell=dash
only_on riscv64

mkdir -p /run/once /run/share
mount -t tmpfs tmpfs /run/once
cd /run/once || exit 1
echo hello >/run/share/from-host
make_pattern given.img 1

serve() {
	rm -f /run/share/from-guest copy.img memory.img
	truncate -s 1M copy.img
	truncate -s 1M memory.img
	serve_file given.img
}

# at_once TRANSPORT KERNEL "WORDS" [LKVM ARGUMENT...]
at_once() {
	title="$1, Linux $2"
	transport=$1
	kernel=$2
	words=$3
	shift 3
	tunctl -t lab0 >/dev/null
	ip addr add 10.77.0.1/24 dev lab0
	ip link set lab0 up
	prepare=serve vm "once-$transport" "$kernel" "lab.test=at-once $words" --virtio-transport "$transport" --console virtio \
		-d given.img,ro -d copy.img -d memory.img -n mode=tap,tapif=lab0 --rng --balloon --9p /run/share,share "$@"
	booted "$title: a guest with a device of each kind"
	check_fact "$title: the log has no complaint about the machine, no BUG, no WARNING" complaints 0
	check_fact "$title: the serial port is driven by interrupts" serial-interrupts yes
	check_says "$title: the real-time clock can be read" "LAB-L2 rtc [0-9]{10}"
	check_fact "$title: every device is one of VIRTIO 1.0" legacy 0
	check "$title: the disk that it wrote is what it read" cmp given.img copy.img
	check_fact "$title: 1 MiB by TCP reach it whole" received "$(sum_of given.img)"
	check "$title: and come back whole" cmp given.img returned
	check_fact "$title: the entropy device gives bytes" rng-bytes 512
	check_fact "$title: the balloon has its driver" balloon virtio_balloon
	check_fact "$title: it reads what the host wrote" reads hello
	check "$title: the host reads what it wrote" grep -qx from-guest /run/share/from-guest
	check "$title: 100 lines on the virtio console arrive whole" [ "$(lines_of '^line [0-9]{4} of the legacy test$')" = 100 ]
	stop_serving
	tunctl -d lab0 >/dev/null
}

cpus=2 at_once mmio "$LAB_STABLE_KERNEL" lab.twice=/dev/vdc
check_says "two CPUs are up" "LAB-L2-UP .* cpus=2$"
check "it booted twice" [ "$(lines_of ^LAB-L2-UP)" = 2 ]
check_fact "what the first boot wrote to a disk was there in the second" boot second

at_once pci "$LAB_KERNEL" ""
check_fact "PCI devices interrupt by MSI-X, where the host's KVM takes messages" msix "$LAB_MSIX"
cd /out && umount -l /run/once
rm -rf /run/share
