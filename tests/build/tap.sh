# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# TAP for the tests of builds. Sourced, with the name of a file in $log.
n=0

# point NAME COMMAND...: what it prints is shown when it fails.
point() {
	n=$((n + 1))
	if "${@:2}" >"${log:?}" 2>&1; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		tail -n 40 "$log" | sed 's/^/# /'
	fi
}

# skip NAME REASON
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
