# SPDX-License-Identifier: MIT
# PCI devices without messages (pci=nomsi): disks, cards, console and entropy device share the four lines of the host bridge.
# shellcheck shell=dash

mkdir -p /run/lines
mount -t tmpfs tmpfs /run/lines
cd /run/lines || exit 1

lines() {	# lines NAME [LKVM ARGUMENT...]
	lines_name=$1
	shift
	make_pattern given.img 4
	truncate -s 4M copy1.img
	truncate -s 4M copy2.img
	truncate -s 4M copy3.img
	tunctl -t lab0 >/dev/null
	ip addr add 10.77.0.1/24 dev lab0
	ip link set lab0 up
	console=hvc0 vm "lines-$lines_name" "$LAB_KERNEL" "lab.test=lines pci=nomsi" --console virtio \
		-d given.img,ro -d copy1.img -d copy2.img -d copy3.img -n mode=tap,tapif=lab0 --rng "$@"
	booted "$lines_name: a guest whose devices have lines, on a virtio console"
	check_fact "$lines_name: no device has a message" messages 0
	check "$lines_name: several have one line" [ "$(fact most-on-a-line)" -gt 1 ]
	check_fact "$lines_name: it pings the host while disks are copied" pinged yes
	check_fact "$lines_name: the entropy device gives bytes" rng-bytes 512
	for copy in 1 2 3; do
		check "$lines_name: copy $copy is whole" cmp given.img copy$copy.img
	done
	check_says_not "$lines_name: no line was given up" "nobody cared|Disabling IRQ"
	tunctl -d lab0 >/dev/null
}

lines default
case $LAB_ARCH in
x86-64)
	lines full --irqchip full
	;;
esac
cd /out && umount -l /run/lines
