# SPDX-License-Identifier: MIT
# --aia: KVM's interrupt controller emulated and in the guest interrupt files of the CPU, which are three here.
# shellcheck shell=dash
only_on riscv64
if [ -z "$LAB_MSIX" ]; then
	skip "--aia" "this host has none"
	exit 0
fi

for aia in emul hwaccel; do
	lkvm_says "aia-$aia" selftest --aia $aia -c 2 --timeout "$LAB_LIMIT"
	check "--aia $aia: every check passes" [ "$status" = 0 ]
done
# The fourth and the fifth find none, and one of them says so.
refused "--aia hwaccel for more vcpus than there are files" 103 "no free guest interrupt file" -k "/lab/kernels/$LAB_KERNEL/vmlinuz" -c 5 --aia hwaccel
