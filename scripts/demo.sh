#!/bin/sh
# SPDX-License-Identifier: MIT
# The first command of the README: installs what is missing, builds lkvm, fetches a Debian kernel and boots it under
# lkvm to its own userspace, with its console here. Where /dev/kvm cannot do that, it happens inside the lab.
set -eu

cd "$(dirname "$0")/.."

kernel=6.12-cloud
kernel_folder=build/lab/x86-64/kernels/$kernel
demo=build/demo
# Linux reaches userspace in a second or two on real hardware; a KVM that has not by then will not do.
host_limit=30
report=

milliseconds() {
	date +%s%3N
}

# part NAME COMMAND...: runs a part of the demo and keeps how long it took.
part() {
	part_name=$1
	shift
	part_start=$(milliseconds)
	if "$@"; then part_status=0; else part_status=$?; fi
	part_took=$(($(milliseconds) - part_start))
	report="$report
  $part_name: $((part_took / 1000)).$((part_took / 100 % 10)) s"
	return $part_status
}

say() {
	printf '\n== %s\n' "$*"
}

build() {
	make -s -j"$(nproc)"
}

build_static() {
	make -s -j"$(nproc)" static
}

fetch_kernel() {
	tests/lab/lab make --no-qemu --kernel "$kernel" && tests/lab/lab initrd "$kernel" "$demo/initrd"
}

make_lab() {
	tests/lab/lab make --kernel "$kernel"
}

# The guest says so itself when it is in userspace: that, not a flag of the CPU, tells whether this KVM runs Linux.
reached_userspace() {
	grep -q LAB-L2-UP "$demo/console.log"
}

boot_on_host() {
	timeout -k 5 "$host_limit" build/lkvm run -k "$kernel_folder/vmlinuz" -i "$demo/initrd" -m 512 -c 1 \
		-p "console=ttyS0 panic=-1 lab.test=demo" 2>&1 | tee "$demo/console.log"
	reached_userspace
}

boot_in_lab() {
	tests/lab/lab run -- lkvm run -k "/lab/kernels/$kernel/vmlinuz" -i "/lab/kernels/$kernel/initrd" -m 512 \
		-c 1 -p "console=ttyS0 quiet nokaslr mitigations=off panic=-1 lab.test=demo" 2>&1 | tee "$demo/console.log"
	reached_userspace
}

if [ "$(uname -m)" != x86_64 ]; then
	echo "demo: machine '$(uname -m)': the demo boots an x86-64 kernel only: see README.md for others" >&2
	exit 1
fi

say "installing what is missing"
part "install" scripts/install-deps.sh build lab
say "building"
part "build" build
say "fetching Debian's kernel $kernel and busybox"
mkdir -p "$demo"
part "kernel" fetch_kernel

where="this machine's /dev/kvm"
if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
	reason="/dev/kvm is not there, or not yours to use"
else
	say "booting on /dev/kvm"
	reason=
	if ! part "boot on /dev/kvm" boot_on_host; then
		reason="the guest did not reach userspace on this machine's /dev/kvm"
	fi
fi

if [ -n "$reason" ]; then
	say "$reason: doing the same inside the lab, a QEMU machine with a KVM of its own"
	where="the KVM of the lab"
	part "static build" build_static
	part "lab" make_lab
	if ! part "boot in the lab (with its host)" boot_in_lab; then
		echo "demo: the guest did not reach userspace: its console: $demo/console.log" >&2
		exit 1
	fi
fi

say "done: Debian's kernel booted under lkvm on $where.$report"
