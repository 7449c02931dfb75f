# SPDX-License-Identifier: MIT
# L1 dies, the first one.
# shellcheck shell=dash

if [ "$LAB_TAP_COUNT" = 0 ]; then
	ok "this L1 still lives"
	printf 'half a line'
	# What was said goes out by a process of its own, until that waits for more.
	relay=$(pgrep -f '^cat /run/output')
	until [ "$(cat "/proc/$relay/wchan")" = pipe_read ] || [ "$(cat "/proc/$relay/wchan")" = anon_pipe_read ]; do
		sleep 0.1
	done
	echo c >/proc/sysrq-trigger
fi
ok "another L1 runs the case that was interrupted"
