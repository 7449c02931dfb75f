#!/bin/bash
# SPDX-License-Identifier: MIT
# What a control group allows decides what a guest is given that was given nothing, and what is warned of. TAP.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

group_name=lkvm-test-$$ base=/sys/fs/cgroup
# Where a group of each kind is made, and how its limits are written: version 1, or version 2.
if [ -d $base/memory ]; then
	groups=("$base/memory/$group_name" "$base/cpu/$group_name")
	set_memory() { echo "$1" >"$base/memory/$group_name/memory.limit_in_bytes"; }
	set_cpu() { echo 100000 >"$base/cpu/$group_name/cpu.cfs_period_us" && echo "$1" >"$base/cpu/$group_name/cpu.cfs_quota_us"; }
else
	groups=("$base/$group_name")
	set_memory() { echo "$1" >"$base/$group_name/memory.max"; }
	set_cpu() { echo "$1 100000" >"$base/$group_name/cpu.max"; }
fi
leave() {
	for group in "${groups[@]}"; do
		rmdir "$group"/in "$group" 2>/dev/null
	done
	rm -rf "$dir"
}
trap leave EXIT

# within ARGUMENT...: what a run inside of a group of the group would be.
within() {
	# shellcheck disable=SC2016
	bash -c 'for group in '"${groups[*]}"'; do echo $$ >$group/in/cgroup.procs || exit 99; done; exec "$@"' bash \
		"$lkvm" run --loglevel warning --dry-run -k "$guests/hello.flat" --kernel-format flat "$@" >out 2>err </dev/null
}
value() { grep -qx "$1: $2" out || { echo "# no '$1: $2'" && return 1; }; }
quota() {
	set_cpu 100000 && within && value cpus 1 && value mem 256M && quiet &&
		within -c 3 && value cpus 3
}
memory() {
	set_memory 64M && within && value mem 51M && quiet && within -m 64 && value mem 64M && quiet &&
		within -m 65 && value mem 65M && [ "$(wc -l <err)" = 1 ] &&
		says err 'warning: --mem 65M: is more than the 64M that this control group may use' "$group_name"
}
affinity() {
	taskset -c "$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')" "$lkvm" run --dry-run --loglevel warning \
		-k "$guests/hello.flat" --kernel-format flat >out 2>err && value cpus 1
}

echo 1..3
if command -v taskset >/dev/null; then point 'CPUs by affinity' affinity; else skip 'CPUs by affinity' 'needs taskset'; fi
if mkdir "${groups[@]}" 2>/dev/null && set_memory 1G 2>/dev/null && set_cpu 100000 2>/dev/null &&
	mkdir "${groups[@]/%//in}"; then
	point 'CPUs by the quota of a group above' quota
	point 'memory by the limit of a group above' memory
else
	for what in CPUs memory; do skip "$what by a control group" 'needs root and control groups that may be made'; done
fi
