#!/bin/bash
# SPDX-License-Identifier: MIT
# What this host does not let lkvm open: one line with the reason that is true here, and the remedy that helps. TAP.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

rules=/sys/fs/cgroup/devices/lkvm-test-$$
loop=
leave() {
	rmdir "$rules" 2>/dev/null
	if [ -n "$loop" ]; then
		delpart "$loop" 1 2>/dev/null
		losetup -d "$loop"
	fi
	rm -rf "$dir" /dev/lkvm-test-part
}
trap leave EXIT

# refused DEVICE TEXT ARGUMENT...: lkvm in a cgroup that may not use DEVICE ("c 10:232").
refused() {
	local device=$1 text=$2 status
	shift 2
	echo "$device rwm" >"$rules/devices.deny"
	timeout -k 5 "$LIMIT" bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$rules" "$lkvm" "$@" >out 2>err </dev/null
	status=$?
	echo "$device rwm" >"$rules/devices.allow"
	[ $status = 1 ] && cat out >>err && says err "$text" 'the device rules of this container'
}
small=(run --loglevel warning -k "$guests/hello.flat" --kernel-format flat --nodefaults -m 32 -c 1)
one_line() { [ "$(wc -l <err)" = 1 ] && return 0 || ! sed 's/^/# not one line: /' err; }
kvm() { refused 'c 10:232' '--device /dev/kvm' "${small[@]}" && one_line; }
tun() { refused 'c 10:200' '--device /dev/net/tun' "${small[@]}" -n mode=tap && one_line; }
host() { refused 'c 10:232' '--device /dev/kvm' host; }
# Numbers of block device $1 as the rules want them.
numbers() { echo "b $((0x$(stat -c %t "$1"))):$((0x$(stat -c %T "$1")))"; }
disk() {
	refused "$(numbers "$loop")" "--device $loop" "${small[@]}" -d "$loop" && one_line && ! grep -q ',ro' err
}
write_protected() {
	guest 1 blk -d "$loop" -p 'write flush' && one_line &&
		says err "--disk $loop: cannot open: Read-only file system; add ',ro' if reading it is enough" &&
		guest 0 blk -d "$loop,ro" -p read
}
partition() {
	local numbers
	IFS=: read -r -a numbers <"/sys/class/block/${loop#/dev/}p1/dev"
	mknod /dev/lkvm-test-part b "${numbers[@]}" && guest 1 blk -d /dev/lkvm-test-part && one_line &&
		says err "lkvm-test-part: cannot open: Read-only file system" && guest 0 blk -d /dev/lkvm-test-part,ro -p read
}
empty_device() {
	local free
	free=$(losetup -f) && guest 1 blk -d "$free" && one_line && says err 'is empty; does the device have a medium' &&
		! grep -q truncate err
}
immutable() {
	chattr +i image
	guest 1 blk -d image && one_line && says err "it is immutable: chattr -i; add ',ro'" && guest 0 blk -d image,ro -p read
	local status=$?
	chattr -i image
	return $status
}
missing() {
	ln -s nowhere link
	guest 1 blk -d /dev/no-such-disk && says err 'In a container, pass it in' && ! grep -q truncate err &&
		guest 1 blk -d link && says err 'symbolic link to a file that is not there'
}
others_file() {
	chmod 755 . && chmod 644 image && cp "$lkvm" lkvm && chmod 600 kernel &&
		setpriv --reuid=65534 --regid=65534 --clear-groups ./lkvm run -k kernel --kernel-format flat \
			>out 2>err </dev/null
	[ $? = 1 ] && says err 'kernel: Permission denied; it belongs to user 0 and its mode is 0600'
}

truncate -s 1M image kernel
echo 1..10
if mkdir "$rules" 2>/dev/null && [ -w "$rules/devices.deny" ]; then
	point 'device rules: KVM' kvm
	point 'device rules: tap' tun
	point 'device rules: lkvm host' host
else
	for name in KVM tap 'lkvm host'; do skip "device rules: $name" 'needs root and the devices cgroup of version 1'; done
fi
if [ "$(id -u)" = 0 ] && truncate -s 8M protected &&
	loop=$(losetup -r -f --show protected 2>/dev/null); then
	if [ -d "$rules" ]; then
		point 'device rules: a block device' disk
	else
		skip 'device rules: a block device' 'needs the devices cgroup of version 1'
	fi
	point 'a write-protected block device' write_protected
	if addpart "$loop" 1 2048 4096 2>/dev/null && [ -d "/sys/class/block/${loop#/dev/}p1" ]; then
		point 'a partition of it' partition
	else
		skip 'a partition of it' 'needs addpart, and a kernel with partitions'
	fi
	point 'a block device without a medium' empty_device
else
	for name in 'device rules' 'write-protected' 'a partition' 'empty'; do
		skip "a block device: $name" 'needs root and loop devices'
	done
fi
if chattr +i image 2>/dev/null; then
	chattr -i image
	point 'an immutable file' immutable
else
	skip 'an immutable file' 'needs root and a file system with attributes'
fi
point 'what is not there' missing
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	point "somebody else's file" others_file
else
	skip "somebody else's file" 'needs root and setpriv'
fi
