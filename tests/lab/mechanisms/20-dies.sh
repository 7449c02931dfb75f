# SPDX-License-Identifier: MIT
# L1 dies, the first one.
# shellcheck shell=dash

if [ "$LAB_TAP_COUNT" = 0 ]; then
	ok "this L1 still lives"
	printf 'half a line'
	sleep 1 # what was said goes out by a process of its own
	echo c >/proc/sysrq-trigger
fi
ok "another L1 runs the case that was interrupted"
