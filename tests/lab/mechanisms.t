#!/bin/bash
# SPDX-License-Identifier: MIT
# What the lab does when a guest or L1 itself breaks, and what prove shows of a failure: cases of its own with a program
# that plays lkvm, in two boots of L1. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
out=build/lab/mechanisms
mkdir -p "$out"
n=0

check() {	# check TITLE COMMAND...
	local title=$1
	shift
	n=$((n + 1))
	if "$@" >/dev/null 2>&1; then
		echo "ok $n - $title"
	else
		echo "not ok $n - $title"
		echo "# what it printed: $out/stdout and $out/stderr"
	fi
}

lacks() {
	! grep -q "$@"
}

tests/lab/lab test --out "$out" --cases tests/lab/mechanisms --lkvm tests/lab/mechanisms/lkvm \
	>"$out/stdout" 2>"$out/stderr" </dev/null
status=$?

check 'a guest that ended by a triple fault runs again' grep -q '^ok 1 - .* runs again' "$out/stdout"
check 'that is said' grep -q '^# again: guest breaks-once ended with status 101' "$out/stdout"
check 'its first log is kept in L1' grep -q '^ok 2 ' "$out/stdout"
check 'and comes back' grep -qx first "$out/logs/breaks-once.1.log"
check 'one that was to end so runs once' grep -q '^ok 3 ' "$out/stdout"
check 'there is no second log of it' [ ! -e "$out/logs/breaks-wanted.1.log" ]
check 'L1 dies' grep -q 'Kernel panic' "$out/logs/l1-console.1.log"
check 'another one runs the rest' grep -q '^# again: booting L1 once more for dies fails' "$out/stdout"
check 'the numbers continue those of the first' grep -q '^ok 5 - another L1 runs the case' "$out/stdout"
check 'a line that L1 could not end does not spoil the next' grep -qx 'half a line' "$out/stdout"
check 'the plan counts all' grep -qx '1\.\.14' "$out/stdout"
check "L1's devices have the names that test runners expect" [ "$(grep -cE '^ok (8|9|10|11) ' "$out/stdout")" = 4 ]
check 'a case finds nothing of the one before' [ "$(grep -cE '^ok (12|13|14) ' "$out/stdout")" = 3 ]
check 'it is said how long each guest took' grep -qE '^# guest breaks-once: [0-9]+\.[0-9] s, [0-9]+\.[0-9] s of them idle$' "$out/stdout"
check 'and each case, with its guests' grep -qE '^ +[0-9]+\.[0-9] +[0-9]+\.[0-9] +3 repeat$' "$out/logs/times"
check 'those of both machines' [ "$(grep -cE '^.{20} (repeat|dies|fails|dev|leaves|finds)$' "$out/logs/times")" -ge 6 ]
check 'a failure is the status' [ $status = 1 ]
check 'a failure goes to standard error, where prove shows it' grep -q '^not ok 6 - this is to fail' "$out/stderr"
check 'with its diagnostics' grep -q '^# | ' "$out/stderr"
check 'and so does what ran again' grep -q '^# again: booting L1' "$out/stderr"
check 'what succeeded does not' lacks '^ok' "$out/stderr"
echo "1..$n"
