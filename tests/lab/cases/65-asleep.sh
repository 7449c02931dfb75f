# SPDX-License-Identifier: MIT
# A guest that sleeps and that no key will wake, since there is none: it ends as any other does. A pause stays one.
# shellcheck shell=dash
only_on riscv64

asleep() {
	lkvm list | grep -q ' vm .*suspended'
}
is_paused() {
	lkvm list | grep -q ' vm .*paused'
}
# The key wakes the guest, which does not go on before the pause is over.
wake_in_pause() {
	wait_for asleep
	lkvm pause vm
	printf 'k'
	sleep 1
	is_paused && ! says 'LAB-L2 woken' && touch /run/was-paused
	lkvm resume vm
}
keys=wake_in_pause vm asleep-paused "$LAB_KERNEL" lab.test=asleep --name vm
booted "a guest that sleeps is paused, woken and resumed"
check "it stays paused until then" [ -e /run/was-paused ]
check_fact "and goes on" woken 0
rm -f /run/was-paused

stop_asleep() {
	until asleep || [ -e /run/over ]; do
		sleep 0.2
	done
	lkvm stop vm --timeout 1
	echo $? >/run/stopped
}
stop_asleep &
vm asleep-stopped "$LAB_KERNEL" lab.test=asleep --name vm
touch /run/over
wait $!
booted "lkvm stop ends a guest that sleeps"
check "and says that it did" [ "$(cat /run/stopped)" = 0 ]
rm -f /run/over /run/stopped

end_asleep() {
	until asleep || [ -e /run/over ]; do
		sleep 0.2
	done
	killall lkvm
}
end_asleep &
wanted=143 vm asleep-ended "$LAB_KERNEL" lab.test=asleep --name vm
touch /run/over
wait $!
booted "a signal ends a guest that sleeps"
rm -f /run/over
