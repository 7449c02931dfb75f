#!/bin/bash
# SPDX-License-Identifier: MIT
# The model itself under lkvm: settings, scripts, report, and an ordinary guest without any KVM. TAP.
# shellcheck disable=SC2154 # of lib.sh
# shellcheck source=tests/model/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(uname -m)" = x86_64 ] || skip_all 'the guests are for x86-64'
flat=(-k "$guests/hello.flat" --kernel-format flat --nodefaults -m 32 -c 1)

point 'a launch without any KVM, to the power-off' launch 0 plain '' "${flat[@]}"
point 'its calls are told' logged '"call": "KVM_CREATE_VM"' '"call": "KVM_SET_USER_MEMORY_REGION"' \
	'"exit": "power-off"' '"end": true, "broken": 0, "refused": 0'
point 'the same with two vcpus' launch 0 plain '' "${flat[@]}" -c 2
point 'whose second one does something' launch 0 plain 'run 3 error err=4 vcpu=1' "${flat[@]}" -c 2
power_off_is_last() {
	logged '"exit": "error", "vm": 0, "vcpu": 1' && grep '"exit"' log | tail -n 1 | grep -q '"power-off", "vm": 0, "vcpu": 0'
}
point 'before the first one powers off' power_off_is_last
point 'an ordinary guest on a host with SNP' launch 0 snp '' "${flat[@]}"
point 'an ordinary guest on a host with TDX' launch 0 tdx '' "${flat[@]}"

on_host() {
	launch 0 "$1,kvm=host" '' "${flat[@]}" && grep -q 'hello from' out
}
# The guest has begun to write its first line.
between() {
	launch 0 plain,kvm=host 'run 9 event type=1' "${flat[@]}" && logged '"exit": "event", "vm": 0, "vcpu": 0, "run": 9'
}
if { : <>/dev/kvm; } 2>/dev/null; then
	point 'a guest runs on the host KVM below' on_host plain
	point 'with an exit in between' between
else
	skip 'a guest runs on the host KVM below' 'no access to /dev/kvm'
	skip 'with an exit in between' 'no access to /dev/kvm'
fi

# What the model's user wrote is wrong: a line, and the status of a broken rule.
bad_setting() { launch 99 "$1" "${2-}" "${flat[@]}" && one_line "${3-model:}"; }
point 'an unknown kind' bad_setting sgx '' "unknown kind 'sgx'; there are: plain snp tdx"
point 'an unknown option' bad_setting snp,sockets=2,cores=3 '' "no option 'cores=3'"
point 'a number that is none' bad_setting snp,sockets=two '' "sockets: 'two' is not a number"
point 'a script with an unknown word' bad_setting snp 'walk 1 psc' "line 1: it begins with fail, signal or run"
point 'a script with an unknown exit' bad_setting tdx 'run 1 certs' "has no exit 'certs'"
point 'a script with an errno that no rule allows' bad_setting snp 'fail SNP_INIT2 1 EPERM' 'no rule lets SNP_INIT2 fail with EPERM'
point 'a script with a firmware code where none is' bad_setting snp 'fail SNP_INIT2 1 EBUSY fw=7' 'does not reach the firmware'
point 'a script with a call that fails otherwise' bad_setting snp 'fail KVM_CREATE_VCPU 1 EPERM' 'no rule lets KVM_CREATE_VCPU fail like that'
point 'a script with another word for an errno' bad_setting snp 'fail SNP_INIT2 1 BUSY' "'BUSY' is not the name of an errno"

echo 'fail KVM_CREATE_VCPU 1 ENOMEM # for want of memory' >script
point 'a scripted failure, from a file' refuses plain "$dir/script" 'Cannot allocate memory' "${flat[@]}"
point 'it is in the log' logged '"call": "KVM_CREATE_VCPU", "on": "vm", "errno": "ENOMEM"'
point 'an end by a system event' launch 0 plain 'run 2 event type=1' "${flat[@]}"
point 'a triple fault' launch 101 plain 'run 1 shutdown' "${flat[@]}"
unreached() { launch 0 plain 'fail KVM_CREATE_VCPU 9 ENOMEM' "${flat[@]}" && logged 'unreached": "line 1'; }
point 'a fault that was never reached is told' unreached

# The status of a broken rule, whatever the program thinks of it.
cat >breaks.py <<-'END'
	import ctypes, os, sys
	libc = ctypes.CDLL(None)
	kvm = os.open('/dev/kvm', os.O_RDWR)
	vm = libc.ioctl(kvm, 0xae01, 4)
	libc.ioctl(vm, ctypes.c_ulong(0xc008aeba), (ctypes.c_char * 24)(200))
	sys.stdout.flush()
	os._exit(0) if sys.argv[1:] else sys.exit(0)
END
status_of() {
	modelled "$1" '' python3 breaks.py ${3-} >out 2>err
	[ $? = "$2" ] && grep -q 'model: broken rule: command 200 is unknown' err
}
point 'a broken rule is the status' status_of snp 99
point 'also by _exit' status_of snp 99 now
point 'but not with lenient' status_of snp,lenient 0

run_script() {
	ASAN_OPTIONS=verify_asan_link_order=0 MODEL=$model "$tools/run" snp "$lkvm" run "${flat[@]}" >out 2>err && grep -q '^model: snp, status 0$' err && grep -q '^exit: power-off' err
}
point 'the script for users' run_script
kinds() { ASAN_OPTIONS=verify_asan_link_order=0 MODEL=$model "$tools/run" help >out && says_kinds; }
says_kinds() { [ "$(cut -d : -f 1 out | tr '\n' ' ')" = 'plain snp tdx ' ]; }
point 'it knows the kinds' kinds
finish
