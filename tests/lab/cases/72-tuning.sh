# SPDX-License-Identifier: MIT
# Clocks, idling and the PMU by their options: what Linux sees of them, and what this KVM cannot.
# shellcheck shell=dash
only_on x86-64

vm tuning-default "$LAB_STABLE_KERNEL" lab.test=tuning
booted "a guest without any of them"
check_fact "it is not told of MWAIT" monitor 0
check_fact "its spinlocks are those of one CPU" spinlocks "disabled, single CPU"

# TCG offers all of these; a guest that may not use one dies of it.
vm tuning-idle "$LAB_STABLE_KERNEL" lab.test=tuning --disable-exits hlt,pause,mwait,cstate --halt-poll 0
booted "--disable-exits hlt,pause,mwait,cstate: a guest boots"
check_fact "it is told of MWAIT" monitor 1
check_fact "its spinlocks are those of a CPU that is never preempted" spinlocks "disabled with KVM_HINTS_REALTIME hints"
check_fact "it sleeps and wakes" sleeps yes
check_fact "its log has no complaint" complaints 0

# Without the deadline timer Linux counts the frequency that it has found.
vm tuning-bus "$LAB_KERNEL" lab.test=tuning -p lapic=notscdeadline --apic-bus-hz 25000000 --pmu off
booted "--apic-bus-hz 25000000: a guest boots"
check_fact "it sleeps and wakes by that timer" sleeps yes
check_fact "its log has no complaint" complaints 0

lkvm_says selftest-tuned selftest --apic-bus-hz 25000000 --disable-exits hlt,pause,mwait,cstate --halt-poll 200000 \
	--timeout "$LAB_LIMIT"
check "the self-test passes with such a clock and without exits" [ "$status" = 0 ]
check_says "its leaves of frequencies agree" "^ok .*CPUID: its leaves of frequencies agree"

# TCG's SVM does not scale the TSC (nested SVM has no TscRateMsr there).
khz=$(lkvm host | sed -n 's/^  tsc-khz *yes *//p')
lkvm_says tsc-own selftest --virtio-transport pci --tsc-khz "$khz" --timeout "$LAB_LIMIT"
check "--tsc-khz $khz, the host's own: the self-test passes" [ "$status" = 0 ]
if lkvm host | grep -q '^  tsc-scaling *yes'; then
	vm tuning-tsc "$LAB_STABLE_KERNEL" lab.test=tuning --tsc-khz $((khz / 2))
	booted "--tsc-khz $((khz / 2)), half the host's: a guest boots"
	check_fact "it sleeps and wakes" sleeps yes
else
	lkvm_says tsc-half run -k "/lab/kernels/$LAB_STABLE_KERNEL/vmlinuz" -m 128 --tsc-khz $((khz / 2))
	check "--tsc-khz $((khz / 2)), half the host's: refused" [ "$status" = 1 ]
	check_says "it says why" "cannot scale a guest's TSC, whose frequency is the host's, $khz kHz"
fi
