# SPDX-License-Identifier: MIT
# Suspend to RAM by SBI's SUSP: the real-time clock's alarm wakes the guest, and so does a key.
# shellcheck shell=dash
only_on riscv64

# The second time it sleeps until a key is typed.
wake_up() {
	wait_for says 'LAB-L2 sleeping for a key'
	# Not before it sleeps: what it has read by then wakes nobody.
	wait_for asleep
	printf 'k'
}
asleep() {
	lkvm list | grep -q ' vm .*suspended'
}
keys=wake_up cpus=2 vm suspend "$LAB_KERNEL" lab.test=suspend --name vm
booted "a guest that suspends itself to RAM wakes up, and powers off"
check_fact "its kernel can" deep yes
check_fact "the alarm of its clock woke it" woken-by-alarm 0
check_fact "a key woke it" woken-by-key 0
check_fact "its kernel came back twice" resumes 2
check_fact "and has its two CPUs" cpus 2
check_fact "it has not a word of complaint" complaints 0
