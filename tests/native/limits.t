#!/bin/bash
# SPDX-License-Identifier: MIT
# Few file descriptors, threads, address space: lkvm works, or says before the guest starts what it lacks and which
# limit that is; no guest waits for an interrupt or a disk that never comes. TAP.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

truncate -s 1M one two

# descriptors COUNT ARGUMENT...: two disks whose guest waits for interrupts. 0: it worked, quietly; 1: refused; 2: it
# worked, with a warning.
descriptors() {
	local count=$1 status
	shift
	(
		ulimit -n "$count"
		timeout -k 5 "$LIMIT" "$lkvm" run --loglevel warning -k "$guests/blk.flat" --kernel-format flat --nodefaults \
			-m 32 -c 1 -d one -d two -p read "$@" >out 2>err </dev/null
	)
	status=$?
	case $status in
	0) says out 'interrupts came' || return 3 ;;
	1) says err 'Too many open files' 'ulimit -n' && [ ! -s out ] && return 1 || return 3 ;;
	*) echo "# ulimit -n $count: status $status" && return 3 ;;
	esac
	[ ! -s err ] && return 0
	says err 'ulimit -n' && return 2
	return 3
}

# From where nothing works to where all is there.
every_limit() {
	local count slower=0 refused=0
	for count in {4..200}; do
		descriptors "$count" "$@"
		case $? in
		0) break ;;
		1) refused=$((refused + 1)) ;;
		2) slower=$((slower + 1)) ;;
		*) return 1 ;;
		esac
	done
	echo "# works with $count descriptors, without some interrupts' at $slower limits, refused at $refused"
	[ "$count" -lt 200 ] && [ "$refused" -gt 0 ]
}

# A soft limit is only what one begins with.
soft_limit() {
	(
		ulimit -Sn 12
		[ "$(ulimit -Hn)" -ge 200 ] || exit 0
		LIMIT=300 guest 0 blk -d one -d two -p read && quiet
	)
}

# refused_for LIMIT: the last run (its status is $1) ended before the guest started, and named LIMIT.
refused_for() {
	[ "$1" = 1 ] && [ "$(wc -l <err)" = 1 ] && [ ! -s out ] && says err "$2" && return
	echo "# status $1"
	return 1
}

small=(run --loglevel warning -k "$guests/blk.flat" --kernel-format flat --nodefaults -m 32 -c 2 -d one -d two -p read)
address_space() {
	local kib status refused=0
	for ((kib = 24576; kib < 4194304; kib += 2048)); do
		(ulimit -v $kib && timeout -k 5 "$LIMIT" "$lkvm" "${small[@]}" >out 2>err </dev/null)
		status=$?
		[ $status = 0 ] && break
		refused_for $status 'ulimit -v' || return
		refused=$((refused + 1))
	done
	echo "# works with $kib KiB, refused at $refused limits"
	[ $status = 0 ] && [ $refused -gt 5 ] && says out 'interrupts came'
}

group=/sys/fs/cgroup/pids/lkvm-test-$$
[ -d /sys/fs/cgroup/pids ] || group=/sys/fs/cgroup/lkvm-test-$$
trap 'rmdir "$group" 2>/dev/null; rm -rf "$dir"' EXIT
# How many threads the same machine has while its guest waits for a key, without KVM's own in this process.
count_threads() {
	local pid
	mkfifo key && exec 8<>key
	"$lkvm" "${small[@]}" -p "read wait" <key >held 2>&1 8<&- &
	pid=$!
	while kill -0 $pid && ! grep -qs checksum held; do sleep 0.1; done
	nr=$(grep -Lx 'kvm-.*' /proc/$pid/task/*/comm | wc -l)
	echo >&8
	wait $pid
}
# with_threads COUNT: the same machine where no more may be.
with_threads() {
	echo "$1" >"$group/pids.max"
	# A sanitizer looks for leaks with a thread of its own.
	# shellcheck disable=SC2016
	ASAN_OPTIONS=detect_leaks=0 timeout -k 5 "$LIMIT" \
		bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" "$lkvm" "${small[@]}" \
		>out 2>err </dev/null
}
# One less, and so on. From there on it is KVM that may lack one of its own: refused, or its status, until all fit.
threads() {
	local nr max status
	count_threads && [ "$nr" -gt 4 ] || return
	for ((max = 1; max < nr; max++)); do
		with_threads $max
		refused_for $? 'pids.max' || return
	done
	for ((; max < nr + 8; max++)); do
		with_threads $max
		status=$?
		[ $status != 0 ] || break
		if [ $status = 102 ]; then status=1; fi
		refused_for $status 'pids.max' || return
	done
	echo "# works with $max threads; lkvm has $nr"
	[ $status = 0 ] && says out 'interrupts came'
}

echo 1..6
point 'at every limit of descriptors it works or is refused (PCI)' every_limit
point 'the same with the split irqchip' every_limit --irqchip split
point 'the same on virtio-mmio' every_limit --virtio-transport mmio
point 'a low soft limit of descriptors is raised' soft_limit
# AddressSanitizer takes terabytes of it.
if (ulimit -v 4194304 && "$lkvm" version >/dev/null 2>&1); then
	point 'at every limit of address space it works or is refused' address_space
else
	skip 'at every limit of address space it works or is refused' 'this binary needs more than 4 GiB'
fi
if mkdir "$group" 2>/dev/null && [ -w "$group/pids.max" ]; then
	point 'at every limit of threads it is refused' threads
else
	skip 'at every limit of threads it is refused' 'needs root and control groups that may be made'
fi
