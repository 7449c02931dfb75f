#!/bin/bash
# SPDX-License-Identifier: MIT
# Every way in which a guest ends has a status of its own and one line that says what happened.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

statuses() {
	local status
	for status in 0 1 3 99 255; do
		guest $status exit -p "exit=$status" && quiet || return 1
	done
}
# Without the device nothing that a guest writes is a status.
no_debug_exit() {
	guest 0 exit -p poweroff --debug-exit off && quiet &&
		guest 100 exit -p 'write=7 panic' --debug-exit off && says out 'no debug exit'
}
power_off() { guest 0 exit -p poweroff && says out 'sleep control at port 600' && quiet; }
resets() {
	local transport
	guest 0 exit -p reset --no-reboot && says out 'reset register' && [ "$(grep -c boot out)" = 1 ] &&
		guest 0 exit -p kbd --no-reboot && [ "$(grep -c boot out)" = 1 ] || return 1
	for transport in pci mmio; do
		guest 0 exit -p cf9 --no-reboot --virtio-transport $transport && [ "$(grep -c boot out)" = 1 ] || return 1
	done
}
reset_says() {
	limited "$lkvm" run -k "$guests/exit.flat" --kernel-format flat -m 32 -c 1 -p reset --no-reboot \
		>out 2>err </dev/null && says err 'the guest asked for a reset'
}
reset_vector() { guest 0 exit -c 2 -p vector --no-reboot && [ "$(grep -c boot out)" = 1 ]; }
triple_fault() { guest 101 exit -p triple && [ "$(wc -l <err)" = 1 ] && says err 'triple fault'; }
triple_fault_dump() {
	guest 101 exit -p triple --loglevel debug && says err 'rip 00000000' 'cr3 00000000' 'idt '
}
# With --loglevel debug a signal shows where each vcpu was: the way to see where a guest hangs.
signal_dump() {
	: >out # what an earlier guest said would end the wait before lkvm is there
	"$lkvm" run -k "$guests/exit.flat" --kernel-format flat --nodefaults -m 32 -c 2 -p 'hang poweroff' \
		--loglevel debug >out 2>err </dev/null &
	local pid=$!
	wait_for grep -q boot out
	kill -TERM $pid
	wait $pid
	[ $? = 143 ] && says err 'vcpu 0:' 'vcpu 1:' 'rip '
}
panic() { guest 100 exit -p panic && [ "$(wc -l <err)" = 1 ] && says err 'panicked'; }
# An instruction that KVM cannot emulate is the end of the kernel that runs it, not of a program's.
emulation() {
	guest 102 user -p kernel && says err 'an instruction that KVM cannot emulate' 'rip 00000000' '<f3> 0f b8' &&
		guest 99 user && says out 'to user mode' 'exception 6,' && ! grep -q 'internal error' err
}
# Nothing can wake a vcpu that halted with interrupts off; one that was never started waits for such a vcpu.
halts() {
	local cpus
	for cpus in 1 2; do
		guest 105 exit -p halt -c $cpus --halt end && [ "$(wc -l <err)" = 1 ] && says err 'halted for good' || return 1
	done
}
halts_and_waits() {
	: >err # what an earlier guest's lkvm said would end the wait before this one is there
	"$lkvm" run -k "$guests/exit.flat" --kernel-format flat --nodefaults -m 32 -c 1 -p halt --loglevel warning \
		>out 2>err </dev/null &
	local pid=$!
	wait_for grep -q 'halted for good' err
	kill -TERM $pid
	wait $pid
	[ $? = 143 ] && [ "$(wc -l <err)" = 1 ] && says err 'halted for good' '--halt end'
}
idles() { guest 7 exit -p idle -c 2 --halt end && quiet; }
# An exception that the guest handles is the guest's own business.
handled() { guest 99 exit -p ud && says out 'exception 6' && quiet; }
internal_error() { says err 'KVM internal error' 'rip 00000000' 'cr3 00000000' '<cc>' && [ ! -s dump ]; }

boot_mark() {
	guest 0 exit -p 'mark exit=0' --loglevel info &&
		grep -qE 'boot mark 7: [0-9]+\.[0-9] ms after start' err
}

echo 1..17
point 'the guest chooses its exit status' statuses
point 'it does not with --debug-exit off' no_debug_exit
point 'power-off by ACPI is status 0' power_off
point 'a reset by ACPI, keyboard controller and chipset, with --no-reboot' resets
point 'the reset is said' reset_says
point 'a jump to the reset vector resets' reset_vector
point 'a triple fault is status 101 and one line' triple_fault
point 'its registers on request' triple_fault_dump
point 'a signal shows the registers of all vcpus on request' signal_dump
point 'a panic is status 100 and one line' panic
point 'an instruction that KVM cannot emulate, in the kernel and in user space' emulation
point 'a guest that halts for good, with --halt end' halts
point 'it is said, and waited for, without' halts_and_waits
point 'a guest that sleeps is left alone' idles
point 'an exception that the guest handles' handled
point 'a boot mark is printed with its time' boot_mark
# Most KVMs run int3: then the guest prints exception 3.
limited "$lkvm" run -k "$guests/exit.flat" --kernel-format flat -m 32 -c 1 -p int3 --nodefaults \
	--loglevel warning >out 2>err </dev/null
case $? in
102) point 'an internal error of KVM is status 102, with registers and instruction bytes' internal_error ;;
99) skip 'an internal error of KVM' 'this KVM executes int3' ;;
*) point 'an internal error of KVM' false ;;
esac
