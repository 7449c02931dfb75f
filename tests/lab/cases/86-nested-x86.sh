# SPDX-License-Identifier: MIT
# A guest that is a host itself: Linux in L2 finds SVM, loads its KVM, and lkvm in it starts a guest of its own (L3). And what
# --nested and --svm take away.
# shellcheck shell=dash
only_on x86-64

# The guest's initramfs gets lkvm and KVM's modules as a second part: those of L1, whose kernel it boots.
mkdir -p /run/nested/usr/bin /run/nested/lib/nested
cp /usr/bin/lkvm /run/nested/usr/bin/
number=0
modprobe -D kvm-amd | while read -r _ module; do
	number=$((number + 1))
	cp "$module" "/run/nested/lib/nested/$number.ko"
done
(cd /run/nested && find . | cpio -o -H newc 2>/dev/null) >/run/nested.cpio
rm -r /run/nested

log=/out/logs/host.log vm_name=host
lkvm host >"$log" 2>&1
check_says "lkvm host knows that guests can use SVM" '^ +nested +yes +svm'
check_says "lkvm host knows the nested paging of it" '^ +features +.*npt'
lkvm host --json >"$log" 2>&1
check_says "lkvm host: how many ASIDs SVM has" '"svm-asids": .*"value": [1-9]'

# nested NAME "WORDS OF L3" [LKVM ARGUMENT...]
nested() {
	nested_name=$1
	nested_l3=$2
	shift 2
	vm "nested-$nested_name" "$LAB_ELF_KERNEL" "lab.test=nested-x86 lab.limit=$LAB_LIMIT lab.l3=$nested_l3" -i /run/nested.cpio "$@"
}

nested svm selftest,-c,1,-m,256M --nested on
booted "--nested on: a guest that is a host"
check_fact "--nested on: its CPU has SVM" flag-svm yes
check_fact "--nested on: it has a /dev/kvm" nested-kvm yes
check_fact "--nested on: with nested paging" nested-npt Y
check_fact "--nested on: lkvm in it runs the self-test" nested-guest 0
check "--nested on: all of the self-test ran" says "^1\.\.$LAB_SELFTEST_CHECKS\$"

nested off "" --nested off
booted "--nested off: a guest"
check_fact "--nested off: its CPU has no SVM" flag-svm no
check_fact "--nested off: nor anything of it" flag-npt no
check_fact "--nested off: its KVM does not load" nested-kvm no

nested no-npt selftest,-c,1,-m,256M,--virtio-transport,mmio --svm -npt,+flushbyasid,asids=64
booted "--svm -npt: a guest that is a host"
check_fact "--svm -npt: its CPU has SVM" flag-svm yes
check_fact "--svm -npt: without nested paging" flag-npt no
check_fact "--svm -npt: the rest stays" flag-flushbyasid yes
check_fact "--svm -npt: its KVM knows" nested-npt N
check_fact "--svm -npt: lkvm in it runs the self-test" nested-guest 0

# What this host lacks is refused with the reason.
lkvm_says nested-vmx selftest --vmx +ept
check "--vmx on this host: status 1" [ "$status" = 1 ]
check "--vmx on this host: it says what there is" says "gives guests svm, not vmx; use --svm"
lkvm_says nested-vgif selftest --svm +vgif
check "--svm +vgif: status 1" [ "$status" = 1 ]
check "--svm +vgif: it says why" says "svm \+vgif: KVM does not offer it to nested hypervisors"
