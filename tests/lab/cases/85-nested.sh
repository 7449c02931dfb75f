# SPDX-License-Identifier: MIT
# A guest that is a host itself: Linux at EL2 finds its /dev/kvm, and lkvm in it starts a guest of its own (L3).
# shellcheck shell=dash
only_on arm64

# The guest's initramfs gets lkvm as a second part.
mkdir -p /run/nested/usr/bin
cp /usr/bin/lkvm /run/nested/usr/bin/
(cd /run/nested && find . | cpio -o -H newc 2>/dev/null) >/run/nested.cpio
rm -r /run/nested

lkvm host >/out/logs/host.log 2>&1
log=/out/logs/host.log vm_name=host
check_says "lkvm host knows that guests can be at EL2" '^ +nested +yes'
check_says "lkvm host says why there is no GICv2" '^ +gicv2 +no +[a-z]'

lkvm_says selftest-nested selftest --nested --timeout "$LAB_LIMIT"
check "the self-test passes at EL2" [ "$status" = 0 ]
check "all of it ran" says "^1\.\.$LAB_SELFTEST_CHECKS\$"

# nested TITLE NAME CPUS ARGUMENT...
nested() {
	nested_title=$1
	nested_name=$2
	cpus=$3
	shift 3
	vm "nested-$nested_name" "$LAB_KERNEL" "lab.test=nested lab.limit=$LAB_LIMIT" -i /run/nested.cpio --nested "$@"
	booted "$nested_title: a guest with $cpus CPU at EL2"
	check_fact "$nested_title: it has a /dev/kvm" nested-kvm yes
	check_fact "$nested_title: lkvm in it runs a guest" nested-guest 0
}

nested "--nested, gicv3-its" vhe 1 --irqchip gicv3-its
check_says "--nested: the guest's KVM is VHE" "LAB-L2 nested-mode VHE"
[ -z "$LAB_ALL" ] || nested "--nested, gicv3" vhe-2cpus 2 --irqchip gicv3
nested "--nested --e2h0" e2h0 1 --e2h0
check_says "--e2h0: the guest's KVM is nVHE" "LAB-L2 nested-mode (Hyp|nVHE)"
