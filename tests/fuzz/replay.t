#!/bin/bash
# SPDX-License-Identifier: MIT
# replay.t TARGET...: each over its corpus: nothing crashes, hangs, leaks or breaks a rule. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
programs=${FUZZ_PROGRAMS:-build/asan/replay}
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
export ASAN_OPTIONS=handle_abort=1:${ASAN_OPTIONS:-} UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS:-}
n=0

for name; do
	n=$((n + 1))
	# shellcheck disable=SC2086 # what runs programs of another architecture, in words
	if ${FUZZ_RUN:-} "$programs/fuzz-$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
		echo "ok $n - $name: $(tail -n 1 "$log" | tr -d '#')"
	else
		echo "not ok $n - $name"
		grep -a '^# ' "$log" | tail -n 1
		grep -av '^# ' "$log" | tail -n 50 | tr -cd '[:print:]\n' | sed 's/^/#   /'
	fi
done
echo "1..$n"
