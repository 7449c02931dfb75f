# SPDX-License-Identifier: MIT
# --cpu: /proc/cpuinfo of Linux shows what was asked for.
# shellcheck shell=dash
only_on x86-64

# Ten features, by the names of --cpu and of Linux, which the emulated processor has and KVM passes on.
names='aes avx2 fma bmi1 bmi2 movbe popcnt rdrand adx f16c'
flags=$(echo "$names" | tr ' ' ':')

# with each of them, by name
with=$(echo " $names" | sed 's/ /,+/g')
vm cpu-with "$LAB_KERNEL" "lab.test=cpu lab.flags=$flags" --cpu "host$with,family=0x19,model=0x21,model-name=A CPU,phys-bits=40"
booted "a guest with ten features asked for boots"
check_fact "it has all of them" flags-here "$names"
check_fact "it finds the family" family 25
check_fact "it finds the name" model-name "A CPU"
check_fact "it finds the bits of an address" address-bits 40
check_fact "its clock is KVM's" clock kvm-clock

# without
without=$(echo " $names" | sed 's/ /,-/g')
vm cpu-without "$LAB_KERNEL" "lab.test=cpu lab.flags=$flags" --cpu "host$without,-kvm-pv-unhalt"
booted "a guest without them boots"
check_fact "it has none of them" flags-here ""

# A level, and ids with gaps: two sockets of three cores of which Linux shows what it starts.
mem=512 cpus=3 vm cpu-v2 "$LAB_STABLE_KERNEL" "lab.test=cpu lab.flags=$flags:cx16:sse4_2:ssse3:lahf_lm:invpcid:constant_tsc:nx" \
	--cpu v2,sockets=3
booted "a guest with an x86-64-v2 CPU in three sockets boots"
check_fact "it has the level's features, and no other" flags-here "popcnt cx16 sse4_2 ssse3 lahf_lm nx"
check_fact "its name is the level's" model-name x86-64-v2
check_fact "its family is the level's" family 15
check_fact "three packages" packages "0 1 2"
check_fact "of one core each" cores 1

cpus=6 vm cpu-topology "$LAB_KERNEL" lab.test=cpu --cpu host,sockets=2,cores=3
booted "a guest with two sockets of three cores boots"
check_fact "its ids have a gap" apic-ids "0 1 2 4 5 6"
check_fact "two packages" packages "0 1"
check_fact "of three CPUs each" siblings 3

lkvm_says cpu-lacks run -k /lab/kernels/"$LAB_KERNEL"/vmlinuz --cpu host,+avx512f
check "what the host lacks is refused" [ "$status" = 1 ]
check_says "with the reason" "this host has no avx512f for guests: not in this CPU"
