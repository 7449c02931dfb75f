#!/bin/bash
# SPDX-License-Identifier: MIT
# The model's rules of arm64 one by one, by plain calls (tests/model/t/arm64), and lkvm on an ordinary host of it.
. "$(dirname "$0")/arm64.sh"
rows=$build/model/t/arm64-rows

# A case whose name begins with `broken` breaks a rule, and its status says so; what it found otherwise it prints.
row() {
	local want=0 status
	case $1 in broken-*) want=99 ;; esac
	under "$2" "$3" -- "$rows" "$1"
	status=$?
	[ $status = $want ] && ! grep '^#' out && return 0
	echo "# status $status, not $want"
	cat out err
	return 1
}

mapfile -t cases < <("${runner[@]}" "$rows" --list)
# Those and the ones below.
echo "1..$((${#cases[@]} + 2))"
for line in "${cases[@]}"; do
	read -r name model script <<<"$line"
	point "$name" row "$name" "$model" "$script"
done

ordinary() {
	launch 0 "$1" -- -c 2 || return 1
	says log '"exit": "power-off"' '"broken": 0'
}
point 'lkvm runs an ordinary machine' ordinary arm64

reboots() {
	launch 0 arm64 'run 1 reset' -- || return 1
	says log '"exit": "reset"' '"exit": "power-off"' '"broken": 0'
}
point 'lkvm resets an ordinary machine' reboots
