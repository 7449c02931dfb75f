#!/bin/bash
# SPDX-License-Identifier: MIT
# What the runner of KVM's unit tests takes for QEMU, on x86-64: its options become lkvm's, lkvm's status QEMU's.
#     QEMU=.../unit-tests-qemu.sh ./run_tests.sh
# LKVM names the program, LKVM_OPTIONS gives more options. A test that needs what is not here is skipped (status 77).
# docs/testdev.md explains it.
set -u
lkvm=${LKVM:-lkvm}

skip() {
	echo "SKIP: $1 is not lkvm's" >&2
	exit 77
}

# The devices: those that every test is given are a part of --testdev, pci-testdev is left out.
device() {
	case ${1%%,*} in
	'?' | help) printf 'name "%s", bus ISA\n' pc-testdev isa-debug-exit && exit ;;
	pc-testdev | isa-debug-exit) ;;
	*) skip "-device $1" ;;
	esac
}

# Of a machine's properties the kind of the interrupt controllers matters.
machine() {
	case $1 in
	*accel=tcg*) skip "-machine $1" ;;
	*kernel_irqchip=split*) options+=(--irqchip split) ;;
	*kernel_irqchip=off*) skip "-machine $1" ;;
	esac
}

# The words of --cpu are QEMU's; on and off are + and -. What lkvm does not know by its name is not here.
cpu() {
	local words=${1#*,} word model=host
	case ${1%%,*} in
	max | host) ;;
	*) skip "-cpu $1" ;;
	esac
	[ "$words" != "$1" ] || words=
	for word in ${words//,/ }; do
		case $word in
		host-phys-bits | host-phys-bits=* | enforce | check | migratable=*) ;;
		*=on) model+=,+${word%=*} ;;
		*=off) model+=,-${word%=*} ;;
		*) model+=,$word ;;
		esac
	done
	[ "$model" = host ] || "$lkvm" run --dry-run --cpu "$model" -k "$0" >/dev/null 2>&1 || skip "-cpu $1"
	options+=(--cpu "$model")
}

kernel=
options=(--testdev --nodefaults --loglevel warning --mem 128)
while [ $# -gt 0 ]; do
	word=${1#-}
	case ${word#-} in
	help | h | version) echo 'QEMU emulator version 0.0.0 (lkvm with --testdev)' && exit ;;
	nodefaults | no-reboot | enable-kvm) shift && continue ;;
	vnc | display | serial | monitor) ;;
	accel) [ "${2-}" = kvm ] || skip "-accel ${2-}" ;;
	device) device "${2-}" ;;
	machine | M) machine "${2-}" ;;
	cpu) cpu "${2-}" ;;
	kernel) kernel=${2-} ;;
	initrd) options+=(--initrd "${2-}") ;;
	append) options+=(--params "${2-}") ;;
	m) options+=(--mem "${2-}") ;;
	smp) n=${2-} && n=${n#cpus=} && options+=(--cpus "${n%%,*}") && cpus=1 ;;
	*) skip "$1" ;;
	esac
	shift
	[ $# = 0 ] || shift
done
[ -n "${cpus-}" ] || options+=(--cpus 1)
# By this line the runner knows that all else was understood.
[ -f "$kernel" ] || { echo "could not open kernel '$kernel'" >&2 && exit 1; }

# The runner ends what takes too long by a signal, which is for lkvm.
# shellcheck disable=SC2086 # options, in words
"$lkvm" run "${options[@]}" --kernel "$kernel" ${LKVM_OPTIONS:-} &
pid=$!
ended=
trap 'ended=1; kill "$pid" 2>/dev/null' TERM INT HUP
wait "$pid"
status=$?
[ -z "$ended" ] || { wait "$pid" 2>/dev/null; exit 143; }
# isa-debug-exit makes that of the value that a test ends with.
exit $(((status << 1 | 1) & 255))
