# SPDX-License-Identifier: MIT
# A Linux that runs is asked through lkvm's control socket: paused, resumed, given SysRq keys and an NMI, asked for memory,
# looked into, and powered off.
# shellcheck shell=dash

handed_over() {
	lkvm balloon vm | grep -q 'has handed over 64M'
}

ask_machine() {
	wait_for says 'LAB-L2 control ready'
	lkvm list >/run/list
	printf '\r'
	wait_for says 'LAB-L2 before'
	lkvm pause vm && lkvm list >/run/list-paused
	# The line waits until the guest goes on; its clock does not.
	printf '\r'
	sleep 3
	says 'LAB-L2 after' || touch /run/was-paused
	lkvm resume vm
	wait_for says 'LAB-L2 after'
	lkvm balloon vm 64M && wait_for handed_over && touch /run/inflated
	lkvm stat vm >/run/stat
	lkvm debug -s h vm && wait_for says 'sysrq: HELP' && touch /run/helped
	lkvm debug -m 0 vm 2>/run/nmi
	lkvm debug -d vm >/run/registers
	lkvm stop vm --timeout 600
	echo $? >/run/stopped
}

clock_went_on() {
	before=$(fact before)
	after=$(fact after)
	[ $((after - before)) -ge 3 ]
}

keys=ask_machine vm control "$LAB_FULL_KERNEL" "lab.test=control lab.button=${LAB_POWER_BUTTON%% *}" --name vm --balloon
booted "a machine that is asked to stop powers off"
if [ "$LAB_POWER_BUTTON" = none ]; then
	check "lkvm stop has ended it, for there is no power button" [ "$(cat /run/stopped)" = 0 ]
else
	check "lkvm stop says that it did" [ "$(cat /run/stopped)" = 0 ]
	check_fact "its kernel saw the power button" button-key "1 116 1 0"
fi
check "lkvm list has it" grep -q ' vm .*running' /run/list
check "and says when it is paused" grep -q ' vm .*paused' /run/list-paused
check "it stands still meanwhile" [ -e /run/was-paused ]
check "its clock goes on" clock_went_on
check_says_not "and nothing in it complains" 'soft lockup|rcu.*stall'
check "it hands memory over" [ -e /run/inflated ]
check "its statistics are fresh" grep -q 'available memory' /run/stat
check "a SysRq key reaches its kernel" [ -e /run/helped ]
if [ "$LAB_ARCH" = x86-64 ]; then
	check_says "so does an NMI" 'NMI received for unknown reason'
	check "its registers are printed, with the stack" grep -q '^  stack ' /run/registers
else
	check "this architecture has no NMI" grep -q 'no non-maskable interrupt' /run/nmi
	check "its registers are printed" grep -q '^  pc ' /run/registers
fi
check "its socket is gone" [ ! -e /run/lkvm/vm.sock ]
rm -f /run/list /run/list-paused /run/was-paused /run/inflated /run/stat /run/helped /run/nmi /run/registers /run/stopped
