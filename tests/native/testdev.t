#!/bin/bash
# SPDX-License-Identifier: MIT
# --testdev: what KVM's unit tests expect of their machine, by a guest that uses it as they do, and by their runner's way
# to start them.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
qemu=$here/../../scripts/unit-tests-qemu.sh
qemu=$(realpath "$qemu")
export LKVM=$lkvm
image=$guests/testdev.multiboot

# used CHIP CPUS: each part; a status of the guest's own.
used() {
	run 5 -k "$image" --nodefaults -m 64 -c "$2" --testdev --irqchip "$1" -p exit=5 && quiet &&
		says out "cpus $2 of $2, ram 64 MiB" 'testdev: 0 wrong'
}
# The same images are started by other protocols too; devices with ports of their own are beside it.
beside() {
	guest 0 testdev --testdev && quiet && says out 'testdev: 0 wrong' &&
		truncate -s 64K disk && guest 0 testdev --testdev -d disk --virtio-transport pci-legacy --rng &&
		says out 'testdev: 0 wrong'
}
pics() { run 0 -k "$image" --nodefaults -m 64 -c 1 --testdev -p pic && quiet && says out 'pic: 3 by vector 0x73'; }
# A reboot puts everything back, the 8259s too.
again() {
	run 0 -k "$image" --nodefaults -m 64 -c 1 --testdev -p 'pic reboot' && quiet &&
		says out 'after a reboot: scratch 0, pic: 3 by vector 0x73'
}
bare() {
	run 0 -k "$image" --nodefaults -m 64 -c 1 -p bare && says out 'bare: all ones' &&
		[ "$(wc -l <err)" = 1 ] && says err 'use --testdev'
}
# No firmware, no Linux: nothing is said of what they ask.
bare_flat() { guest 0 testdev -p bare && quiet && says out 'bare: all ones'; }
storm() { run 0 -k "$image" --nodefaults -m 64 -c 4 --testdev --irqchip "$1" -p storm && says out 'storm: 4 cpus'; }

# faults N: those that KVM counts of a guest that flushes a page and writes there N times.
faults() {
	local pid fixed
	"$lkvm" run --name flusher --nodefaults -m 64 -c 1 -k "$image" --testdev -p "flushes=$1 wait" >out 2>err </dev/null &
	pid=$!
	wait_for grep -q waiting out || return 1
	fixed=$("$lkvm" stat --kvm --cpu 0 flusher | sed -nE 's/^ *pf_fixed +([0-9]+)$/\1/p')
	kill $pid
	wait $pid
	echo "${fixed:-0}"
}
flushed() {
	local before after
	before=$(faults 0) && after=$(faults 1000) || return 1
	echo "# $before faults, then $after"
	[ "$after" -ge $((before + 1000)) ]
}

# qemu STATUS OPTION...: as x86/run of the tests calls it.
qemu() {
	local want=$1
	shift
	limited "$qemu" --no-reboot -nodefaults -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 \
		-vnc none -serial stdio -machine accel=kvm -kernel "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] && return 0
	echo "# status $status, not $want"
	sed 's/^/# /' err
	return 1
}
probed() {
	"$qemu" --help | grep -q QEMU && "$qemu" -device '?' | grep -qF '"pc-testdev"' &&
		qemu 1 _NO_FILE_4Uhere_ -smp 1 && says err 'could not open kernel' _NO_FILE_4Uhere_
}
statuses() {
	echo 'TEST=1' >variables
	qemu 1 "$image" -smp 2 -cpu max -append 'a b' -initrd variables && [ ! -s err ] && says out 'cpus 2 of 2, ram 128 MiB' &&
		qemu 1 "$image" -smp 1 -cpu max,phys-bits=36,host-phys-bits,kvmclock=off && says out 'testdev: 0 wrong' &&
		qemu 3 "$image" -smp 1 -m 96 -append exit=1 && says out 'cpus 1 of 1, ram 96 MiB' &&
		qemu 35 "$guests/hello.multiboot" -append 'one two exit=17' -initrd variables &&
		says out "hello.multiboot one two exit=17'" 'initrd 7 bytes'
}
skipped() {
	qemu 77 "$image" -cpu qemu64,-svm && says err 'SKIP: -cpu qemu64,-svm' &&
		qemu 77 "$image" -cpu max,+nonsense && says err 'SKIP: -cpu max,+nonsense' &&
		qemu 77 "$image" -device pci-testdev && qemu 77 "$image" -global x=y && [ ! -s out ]
}
split() {
	LKVM_OPTIONS='--loglevel debug' qemu 1 "$image" -machine q35,kernel_irqchip=split &&
		says err 'interrupt controllers: split'
}
# The runner's timeout: lkvm goes with it.
ended() {
	local pid child
	"$qemu" -kernel "$image" -append wait >out 2>err </dev/null &
	pid=$!
	wait_for grep -q waiting out || return 1
	child=$(pgrep -P $pid)
	kill $pid
	wait $pid
	[ $? = 143 ] && ! kill -0 "$child" 2>/dev/null
}

for chip in full split; do
	for cpus in 1 2; do
		point "each part, $cpus CPUs, $chip irqchip" used $chip $cpus
	done
done
point 'beside other devices, and by other ways to start' beside
point '8259s as a BIOS leaves them' pics
point 'a reboot' again
point 'without it a multiboot image that asks gets its user a line' bare
point 'but nobody else' bare_flat
for chip in full split; do
	point "four CPUs use and misuse all of it, $chip irqchip" storm $chip
done
if [ "$(faults 0)" = 0 ]; then
	skip 'a page that is flushed is faulted in anew' 'this KVM counts no faults of pages'
else
	point 'a page that is flushed is faulted in anew' flushed
fi
point 'the runner finds its QEMU' probed
point 'statuses, words and the environment' statuses
point 'what is not here is skipped' skipped
point 'the split irqchip by its name there' split
point 'the end of the runner is the end of lkvm' ended
echo "1..$n"
