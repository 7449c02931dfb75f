# SPDX-License-Identifier: MIT
# --cpu and --sbi of riscv64: Linux in the guest finds what was asked for, on the first CPU and on the second.
# shellcheck shell=dash
only_on riscv64

cpus=2 vm isa "$LAB_KERNEL" "lab.test=isa lab.flags=zba:zicbom:zicboz" \
	--cpu host,-zicbom,mvendorid=0x5b7,marchid=0x11,mimpid=9 --sbi host,-susp,-pmu
booted "a guest without one extension boots"
check_fact "it is hidden" flags-away zicbom
check_fact "the others are there" flags-here "zba zicboz"
check_fact "it finds the maker of its CPUs" mvendorid 0x5b7
check_fact "their microarchitecture" marchid 0x11
check_fact "their version" mimpid 0x9
check_fact "it cannot suspend to RAM" sleep s2idle
check_fact "it has no performance counters" counters ""

vm isa-min "$LAB_KERNEL" "lab.test=isa lab.flags=zicsr:zicbom:zicboz:svadu" --cpu min
booted "a guest with the smallest CPU boots"
check_fact "it is RV64GC" base rv64imafdc
check_fact "what can be hidden is" flags-away "zicbom zicboz svadu"
check_fact "it has performance counters" counters yes
check_fact "it can suspend to RAM" sleep "s2idle deep"
