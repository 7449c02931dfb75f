# SPDX-License-Identifier: MIT
# lkvm selftest under a real KVM: every check, and a figure for every kind of exit.
# shellcheck shell=dash

# selftest NAME ARGUMENT...: its output in $log, its exit status in $status.
selftest() {
	vm_name=$1
	log=/out/logs/$1.log
	shown_log=
	shift
	timeout -s KILL "$LAB_VM_LIMIT" lkvm selftest "$@" >"$log" 2>&1 </dev/null
	status=$?
	(cd /out && /lab/send "logs/$vm_name.log")
}

for irqchip in full split; do
	selftest "selftest-$irqchip" --irqchip $irqchip --timeout 60
	check "--irqchip $irqchip: every check passes" [ "$status" = 0 ]
	check "--irqchip $irqchip: all of them ran" says '^1\.\.40$'
	check "--irqchip $irqchip: nothing is skipped but what this processor lacks" \
		[ "$(grep '# SKIP' "$log" | grep -vc 'timer by deadline')" = 0 ]
done

selftest selftest-exits --exits --timeout 60
check "--exits succeeds" [ "$status" = 0 ]
for kind in cpuid msr pio hypercall mmio ioeventfd ipi halt timer page-4k; do
	check_says "--exits: $kind has a figure" "^$kind +[0-9]+( +[0-9]+){6}\$"
done
