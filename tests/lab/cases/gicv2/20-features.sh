# SPDX-License-Identifier: MIT
# Features of the CPU that the first L1 has not: vector lengths, memory tagging; and features switched off.
# shellcheck shell=dash

has() {	# has FEATURE: whether the last guest's CPU had it
	fact features | grep -qw "$1"
}

vm features "$LAB_KERNEL" lab.test=features
booted "a guest with all that the host has"
check_fact "its longest vectors are 512 bits" sve-bytes 64
check "it has memory tagging" has mte
check "it has pointer authentication" has paca

vm features-off "$LAB_KERNEL" lab.test=features --sve-max-vl 256 --disable-mte --cpu host,-pauth,-lse
booted "a guest with less"
check_fact "its longest vectors are 256 bits" sve-bytes 32
check "it has no memory tagging" eval '! has mte'
check "it has no pointer authentication" eval '! has paca'
check "it has no atomic instructions" eval '! has atomics'

vm features-no-sve "$LAB_KERNEL" lab.test=features --cpu host,-sve
booted "a guest without SVE"
check "it has no SVE" eval '! has sve'

vm pmu "$LAB_KERNEL" lab.test=features --cpu host,+pmu,counters=3 --psci user
booted "a guest with three event counters, whose PSCI is lkvm"
check_fact "it has a PMU" pmu yes

lkvm_says refused-sve run --sve-max-vl 640 -k "/lab/kernels/$LAB_KERNEL/vmlinuz"
check "vectors that are longer than the host's are refused" [ "$status" = 1 ]
check_says "the lengths that it has are told" "128 256 384 512"
