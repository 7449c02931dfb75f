# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# TAP for the native tests. Sourced.
n=0
tap_folder=${TMPDIR:-/tmp}

# Seconds for anything: it ends what hangs, and is many times what the slowest machine needs (CONTRIBUTING.md).
LIMIT=${TEST_LIMIT:-600}

# limited COMMAND...: one that may hang.
limited() { timeout -k 5 "$LIMIT" "$@"; }

# wait_for COMMAND...: until it is true.
wait_for() {
	local end=$((SECONDS + LIMIT))
	until "$@" 2>/dev/null; do
		[ $SECONDS -lt $end ] || { echo "# never: $*" && return 1; }
		sleep 0.05
	done
}

# listens PATH: a program listens on the Unix socket that it bound by that name. Its file is there before.
listens() { grep -q " 00010000 .* $1\$" /proc/net/unix; }

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# point NAME COMMAND...: one test. What it says is shown when it fails, where prove does not swallow it.
point() {
	local name=$1 said
	said=$(mktemp -p "$tap_folder")
	shift
	n=$((n + 1))
	if "$@" >"$said"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		cat "$said" >&2
	fi
	rm -f "$said"
}
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
