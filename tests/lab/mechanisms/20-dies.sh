# SPDX-License-Identifier: MIT
# L1 dies, the first one.
# shellcheck shell=dash

if [ "$LAB_TAP_COUNT" = 0 ]; then
	ok "this L1 still lives"
	printf 'half a line'
	# What was said goes out by a process of its own, until that waits for more.
	read -r relay </run/relay
	until grep -q pipe_read "/proc/$relay/wchan"; do
		sleep 0.1
	done
	echo c >/proc/sysrq-trigger
fi
ok "another L1 runs the case that was interrupted"
