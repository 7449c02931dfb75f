# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# TAP for the native tests. Sourced.
n=0

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# point NAME COMMAND...: one test.
point() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@"; then echo "ok $n - $name"; else echo "not ok $n - $name"; fi
}
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
