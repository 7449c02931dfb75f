# SPDX-License-Identifier: MIT
# A host with pKVM (kvm-arm.mode=protected): guests whose memory it cannot read. Debian's kernels do not know how to share
# memory (CONFIG_ARM_PKVM_GUEST), so virtio is tested only with a kernel that the runner brings: --file Image:/job/pkvm/vmlinuz
# shellcheck shell=dash

check "the host is in protected mode" [ -n "$(dmesg | grep 'Protected .*mode initialized')" ]
lkvm_says host host
check_says "lkvm host says so" "^ +pkvm +yes"

cpus=2 vm plain "$LAB_KERNEL" lab.test=none --protected --irqchip gicv3
booted "a protected guest without virtio boots and powers off"
check_says "both of its CPUs are up" "LAB-L2-UP .* cpus=2$"
vm unprotected "$LAB_KERNEL" lab.test=devices --rng
booted "a guest that is not protected runs here as well"
check_fact "its virtio device works" rng-bytes 2048

# Such a driver's rings lie in memory that the host must not touch: the guest waits for ever, lkvm lives on.
make_pattern /run/a.img 16
until='does not share' wanted=143 vm unshared "$LAB_KERNEL" lab.test=disks --protected -d /run/a.img
booted "a driver that does not share its rings does not end lkvm"
check_says "lkvm says what is wrong" "does not share"

until=LAB-L2-UP wanted=143 vm dump "$LAB_KERNEL" lab.test=shell --protected --loglevel debug
check_says "a dump of the registers leaves the guest's code alone" "code [0-9a-f]+: the guest's own"

# lkvm as a user who may lock 8 MiB (which is what most may).
chmod 666 /dev/kvm
echo nobody:x:65534:65534::/:/bin/sh >/etc/passwd
echo nogroup:x:65534: >/etc/group
log=/out/logs/limit.log
(
	ulimit -l 8192
	start-stop-daemon -S -c nobody:nogroup -x /usr/bin/lkvm -- run --protected -m 256 -c 1 \
		-k "/lab/kernels/$LAB_KERNEL/vmlinuz"
) >$log 2>&1 </dev/null
status=$?
check "too little memory may be locked: refused" [ $status = 1 ]
check_says "and the remedy is told" "ulimit -l 262144"

kernel=../../job/pkvm
if ! [ -e /job/pkvm/vmlinuz ]; then
	skip "virtio over shared memory" "no kernel with CONFIG_ARM_PKVM_GUEST was given"
	exit 0
fi
initrd_here=/lab/kernels/$LAB_KERNEL/initrd
part_of() {	# part_of FILE FROM COUNT: the checksum of that part, in MiB
	dd if="$1" bs=1M skip="$2" count="$3" 2>/dev/null | sum_of
}
for transport in pci mmio; do
	make_pattern /run/a.img 16
	first_half=$(part_of /run/a.img 0 8)
	initrd=$initrd_here cpus=2 vm "disk-$transport" $kernel lab.test=disks --protected -d /run/a.img --virtio-transport $transport
	booted "$transport: a protected guest with a disk"
	check_fact "$transport: it reads what the image holds" disk-read "$first_half"
	check "$transport: the image holds what it wrote" [ "$(part_of /run/a.img 8 8)" = "$first_half" ]

	initrd=$initrd_here vm "rng-$transport" $kernel lab.test=devices --protected --rng --virtio-transport $transport
	booted "$transport: a protected guest with virtio-rng"
	check_fact "$transport: it gives bytes" rng-bytes 2048
	check_fact "$transport: no 16 of them repeat" rng-differs 128
done

# One card is enough; the other end answers what l2/network asks first.
tunctl -t lab0 >/dev/null
ip addr add 10.77.0.1/24 dev lab0
ip link set lab0 up
tunctl -t lab1 >/dev/null
ip addr add 10.77.1.1/24 dev lab1
ip link set lab1 up
mkfifo /run/never
make_pattern /run/given 4
sum=$(sum_of /run/given)
serve() {
	rm -f /run/returned
	nc -l -p 7001 -e dd if=/run/given bs=1M 2>/dev/null &
	nc -l -p 7002 >/run/returned <>/run/never &
	(while :; do echo pinged | nc -l -p 7003; done) >/dev/null 2>&1 &
	answer=$!
}
initrd=$initrd_here prepare=serve vm network $kernel "lab.test=network lab.net=10.77" --protected \
	-n mode=tap,tapif=lab0 -n mode=tap,tapif=lab1
kill "$answer"
killall nc 2>/dev/null
booted "a protected guest on two taps"
check_fact "it pings the host" ping-both yes
check_fact "a file reaches it whole by TCP" received "$sum"
check "and comes back whole" [ "$(sum_of /run/returned)" = "$sum" ]

console=hvc0 initrd=$initrd_here vm console $kernel lab.test=devices --protected --rng --console virtio
booted "a protected guest on a virtio console"
check "every line of it comes" [ "$(lines_of '^line .* of the console test$')" = 300 ]

empty_disk() {
	rm -f /run/boots.img
	truncate -s 1M /run/boots.img
}
prepare=empty_disk initrd=$initrd_here vm reboot $kernel lab.test=two-boots --protected -d /run/boots.img
booted "a protected guest that reboots starts again, and powers off"
check "it booted twice" [ "$(lines_of ^LAB-L2-UP)" = 2 ]
check_fact "what the first boot wrote to the disk was there in the second" boot second

lkvm_says dtb run --protected --dump-dtb /run/p.dtb -k "/lab/kernels/$LAB_KERNEL/vmlinuz"
check "the device tree has the pool" grep -q restricted-dma-pool /run/p.dtb
