#!/bin/bash
# SPDX-License-Identifier: MIT
# The bench's programs and guests: that they run, what they count, and that they fail aloud. No figure is judged.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

bench=$(realpath "$guests/../bench")
build=${bench%/*}
[ -x "$bench/measure" ] && [ -e "$bench/guest.pvh" ] || { echo 'Bail out! run make bench-files first' && exit 1; }

# The disk's guest: writes zeros to whole blocks of 4 KiB, keeps 32 requests under way, says how many it made.
disk() {
	head -c 1M /dev/zero | tr '\0' '\377' >disk.img
	run 0 -k "$bench/guest.pvh" -m 64 -c 1 --nodefaults "$@" -d disk.img -p 'disk requests=100 depth=32 write' &&
		quiet && grep -qE '^@disk 100 [1-9][0-9]* [1-9][0-9]*.?$' out && python3 - <<-'EOF2' &&
			data = open("disk.img", "rb").read()
			zero = sum(data[i:i + 4096] == bytes(4096) for i in range(0, len(data), 4096))
			assert len(data) == 1 << 20 and zero >= 32 and data.count(0) == zero * 4096, zero
		EOF2
		cp disk.img before.img &&
		run 0 -k "$bench/guest.pvh" -m 64 -c 1 --nodefaults "$@" -d disk.img,ro -p 'disk requests=100 depth=1' &&
		says out '@disk 100 ' && cmp disk.img before.img
}
# One that stays says when it begins, and what it took, and waits; of two queues each has its half.
disk_stays() {
	head -c 1M /dev/zero >disk.img
	"$lkvm" run -k "$bench/guest.pvh" -m 64 -c 1 --nodefaults -d disk.img,queues=2 --virtio-transport mmio \
		-p 'disk requests=100 depth=4 queues=2 stay' >out 2>err </dev/null &
	local pid=$! ok=1
	for ((i = 0; i < 6000; i++)); do
		grep -q '^@disk 100 ' out && break
		kill -0 $pid 2>/dev/null || break
		sleep 0.1
	done
	kill -0 $pid && says out @go '@disk 100 ' && ok=0
	kill -9 $pid
	wait $pid 2>/dev/null
	return $ok
}
# 64 KiB at a time, one after the other: after half as many as the disk has, half of it is overwritten.
disk_sequential() {
	head -c 1M /dev/zero | tr '\0' '\377' >disk.img
	run 0 -k "$bench/guest.pvh" -m 64 -c 1 --nodefaults -d disk.img \
		-p 'disk requests=8 depth=4 bytes=65536 sequential write' && says out '@disk 8 ' &&
		cmp <(head -c 512K /dev/zero) <(head -c 512K disk.img) &&
		cmp <(head -c 512K /dev/zero | tr '\0' '\377') <(tail -c 512K disk.img)
}
disk_failures() {
	run 1 -k "$bench/guest.pvh" -m 64 -c 1 --nodefaults -p disk && says out '@failed there is no virtio disk' &&
		run 1 -k "$bench/guest.pvh" -m 64 -c 1 --nodefaults -d disk.img,ro -p 'disk write' &&
		says out '@failed a request failed' &&
		run 1 -k "$bench/guest.pvh" -m 64 -c 1 --nodefaults -d disk.img -p 'disk depth=33' &&
		says out '@failed depth is 1 to 32' &&
		run 1 -k "$bench/guest.pvh" -m 64 -c 1 --nodefaults -p net && says out '@failed there is no virtio network card'
}

# Every entry of the tiny guests, in lkvm and in the floor.
tiny() {
	local image irqchip
	for image in end.pvh end.bzimage; do
		run 0 -k "$bench/$image" -m 64 -c 1 --nodefaults && [ ! -s out ] && quiet || return 1
	done
	for image in wait.pvh wait.bzimage; do
		limited "$lkvm" run -k "$bench/$image" -m 64 -c 1 --nodefaults --halt end >out 2>err </dev/null
		says out @up || return 1
	done
	for irqchip in full nopit split; do
		limited "$bench/floor" "$bench/end.pvh" $irqchip >out 2>&1 </dev/null && [ ! -s out ] || return 1
	done
	limited "$bench/floor" "$guests/hello.pvh" >out </dev/null && says out 'hello from pvh' 'ram 65151 KiB'
}

# measured STATUS ARGUMENT...: of the program; keeps out and err.
measured() {
	local want=$1
	shift
	limited "$bench/measure" "$@" >out 2>err || return 1
	python3 -c '
import json, sys
f = json.load(open("out"))
assert f["status"] == int(sys.argv[1]) and 0 < f["cpu_ns"] and 0 < f["wall_ns"], f' "$want"
}
measures() {
	measured 3 -- sh -c 'echo unseen; exit 3' &&
		measured 0 -- "$lkvm" run -k "$bench/end.pvh" -m 64 -c 1 --nodefaults &&
		measured 0 --at 1 --smaps smaps -- "$bench/floor" "$guests/hello.pvh" && grep -q '^Pss:' smaps &&
		measured 0 --at 20 -- "$bench/floor.static" "$guests/hello.pvh"
}
measure_failures() {
	! limited "$bench/measure" --at 1 -- true >out 2>err && says err 'measure: true: it ended before that KVM_RUN' &&
		[ ! -s out ] && ! limited "$bench/measure" -- ./nothing >out 2>err &&
		says err 'measure: ./nothing: No such file or directory' && ! limited "$bench/measure" true 2>err && says err usage
}

# All tables, of lkvm beside itself: as one from before, and by the words that it shares with kvmtool.
tables() {
	limited python3 -B "$here/../../bench/bench.py" --build "$build" --quick --no-qemu --before "$lkvm" --kvmtool "$lkvm" \
		start many disk net >out 2>err </dev/null || { sed 's/^/# /' err && return 1; }
	says out 'dynamically linked ' 'CPU to the first guest instruction, ms ' 'system calls' 'further vcpus' 'of 16 disks' \
		'2 VMs at once' 'disk, page cache ' '128 KiB sequential, depth 32, write, MiB/s ' \
		'depth 32, write, CPU us' 'depth 32, write, waits' 'disk, O_DIRECT, 4 queues' || return 1
	grep -q 'disk, qcow2, clusters that are new' out || says err 'no qcow2' || return 1
	# The machine may have no FUSE or no network for us; then it says so.
	grep -q 'us of latency' out || says err 'no disk with latency' || return 1
	grep -q 'receive, 64 bytes, frames/s' out || { says err 'no network' && return; }
	says out 'send, 1514 bytes of 2 pairs, frames/s' 'receive, 65000 bytes, CPU us'
}
tables_usage() {
	! limited python3 -B "$here/../../bench/bench.py" --build "$build" nothing 2>err && says err 'no subject nothing' &&
		! limited python3 -B "$here/../../bench/bench.py" --build "$dir" 2>err && says err 'is not there'
}

point 'requests of the disk, by messages' disk
point 'requests of the disk, by a line' disk --virtio-transport mmio
point 'requests one after the other' disk_sequential
point 'a guest that stays, and two queues' disk_stays
point 'the guest says why it cannot' disk_failures
point 'the tiny guests, and the floor' tiny
point 'what a program takes' measures
point 'what is no measurement is told' measure_failures
point 'the tables' tables
point 'wrong usage' tables_usage
echo "1..$n"
