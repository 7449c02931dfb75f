#!/bin/bash
# SPDX-License-Identifier: MIT
# Clocks, idling and the PMU: what the guest's CPUID says of what was asked, and what a host that lacks it is told. TAP.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

# The row NAME of lkvm host: has it WORD?
"$lkvm" host --json >host.json 2>host.err
host() {
	python3 - "$@" <<-'EOP'
		import json, sys
		rows = {n: r for s in json.load(open('host.json'))['sections'].values() for n, r in s.items()}
		row, word = rows.get(sys.argv[1], {}), sys.argv[2:]
		value = row.get('value')
		if word == ['value']:
		    print(value)
		sys.exit(not (row.get('available') and (not word or word == ['value'] or word[0] in (value or []))))
	EOP
}
amd() { [ "$(host vendor value)" = AuthenticAMD ]; }

# leaves WORDS ARGUMENT...: a guest that says those leaves.
leaves() {
	local words=$1
	shift
	guest 0 leaves -p "$words" "$@"
}
# leaf N REGISTER: what the guest said, decimal; the last time.
leaf() {
	printf %d $((16#$(tr -d '\r' <out | sed -n "s/^$1: //p" | tail -n 1 | cut -d ' ' -f $(($2 + 1)))))
}
# refused OPTION... : status 1, one line that names the option and this text.
refused() {
	local text=$1
	shift
	guest 1 exit -p exit=0 "$@" && says err "$1" "$text" && [ "$(wc -l <err)" = 1 ] && [ ! -s out ]
}
# wrong TEXT OPTION...
wrong() {
	local text=$1
	shift
	guest 2 exit -p exit=0 "$@" && says err "$1" "$text" && [ "$(wc -l <err)" = 1 ] && [ ! -s out ]
}

khz=$(host tsc-khz value)
timing() { [ "$(leaf 40000010 0)" = "$1" ] && [ "$(leaf 40000010 1)" = "$2" ]; }
# The TSC of leaf 0x15 is within an eight thousandth of KHZ, and it fits Linux' 32 bits.
crystal() {
	local khz=$1 hz=$2 den num tsc
	den=$(leaf 15 0) num=$(leaf 15 1)
	tsc=$((hz / 1000 * num / den))
	[ "$(leaf 15 2)" = "$hz" ] && [ $((hz / 1000 * num)) -lt 4294967296 ] &&
		[ $((tsc - khz)) -le $((khz / 8000)) ] && [ $((khz - tsc)) -le $((khz / 8000)) ]
}
mhz() { [ "$(leaf 16 0)" = $((($1 + 500) / 1000)) ] && [ "$(leaf 16 2)" = $((($2 + 500000) / 1000000)) ]; }

untouched() {
	leaves 'a=0x40000010 b=0x15 c=0 d=0x40000001' && quiet && timing "$khz" 1000000 || return 1
	[ "$(leaf 15 0)$(leaf 15 1)$(leaf 15 2)" = 000 ] && [ $(($(leaf 40000001 3) & 1)) = 0 ]
}
own_tsc() {
	leaves 'a=0x40000010 b=0x15 c=0x16 d=0' --tsc-khz "$khz" && quiet && timing "$khz" 1000000 &&
		crystal "$khz" 1000000000 && mhz "$khz" 1000000000 && [ "$(leaf 0 0)" -ge 22 ]
}
# Nearer than KVM scales.
near_tsc() {
	local near=$((khz + khz / 5000))
	leaves 'a=0x40000010 b=0x15 c=0x16' --tsc-khz $near && quiet && timing $near 1000000 && crystal $near 1000000000
}
told() {
	limited "$lkvm" run -k "$guests/exit.flat" --kernel-format flat --nodefaults -m 32 -c 2 --tsc-khz "$khz" >out 2>err </dev/null
	says err "info: the guest's TSC runs at $khz kHz"
}
scaled_tsc() {
	local half=$((khz / 2))
	leaves 'a=0x40000010 b=0x15 c=0x16 twice' -c 2 --tsc-khz $half && quiet && timing $half 1000000 && crystal $half 1000000000
}
unscaled_tsc() { refused "cannot scale a guest's TSC, whose frequency is the host's, $khz kHz" --tsc-khz $((khz / 2)); }
unscaled_high() { refused "cannot scale a guest's TSC" --tsc-khz $((khz + khz / 1000)); }
tsc_range() {
	wrong 'the minimum is 100000' --tsc-khz 99999 && wrong 'the maximum is 10000000' --tsc-khz 10000001 &&
		wrong 'the minimum is 100000' --tsc-khz 0 && wrong 'is not a number' --tsc-khz fast
}

bus() {
	leaves 'a=0x40000010 b=0x15 c=0x16 twice' --apic-bus-hz "$1" && quiet && timing "$khz" $(($1 / 1000)) &&
		crystal "$khz" "$1" && mhz "$khz" "$1" && [ "$(grep -c '^15:' out)" = 2 ]
}
bus_crystal() { bus 25000000; }
# Its timers go by that frequency.
bus_selftest() {
	limited "$lkvm" selftest --virtio-transport pci --timeout "$LIMIT" --apic-bus-hz "$1" >out 2>err &&
		says out 'CPUID: its leaves of frequencies agree' && ! grep -q '^not ok' out
}
bus_range() {
	wrong 'near it is 25000000 (40 ns)' --apic-bus-hz 24000000 && wrong 'the minimum is 1000000' --apic-bus-hz 999999 &&
		wrong 'the maximum is 1000000000' --apic-bus-hz 1000000001
}
no_bus() { refused "cannot change the frequency of the local APIC's timer" --apic-bus-hz 25000000; }

halt_poll() { guest 0 exit -p exit=0 --halt-poll 0 && quiet && guest 0 exit -p exit=0 --halt-poll 200000 && quiet; }
halt_poll_range() { wrong 'from 0 to 1000000000' --halt-poll 1000000001 && wrong 'is not a number' --halt-poll -1; }
no_halt_poll() { refused 'KVM_CAP_HALT_POLL' --halt-poll 0; }

# The hint, no wake-up by hypercall; and the line that belongs to it.
cpus=$(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)), sep=",")')
hlt() {
	leaves 'a=0x40000001 twice' --disable-exits hlt && says err 'warning: --disable-exits: a vcpu that waits' &&
		[ "$(wc -l <err)" = 1 ] || return 1
	leaves 'a=0x40000001 twice' --disable-exits hlt,pause --vcpu-affinity "$cpus" && quiet &&
		[ $(($(leaf 40000001 3) & 1)) = 1 ] && [ $(($(leaf 40000001 0) & 128)) = 0 ] &&
		[ "$(grep -c '^40000001:' out)" = 2 ]
}
# A vcpu that halts by itself comes out all the same.
halted() {
	local pid
	: >out
	"$lkvm" run -k "$guests/exit.flat" --kernel-format flat --nodefaults -m 32 -c 1 -p idle --loglevel error \
		--disable-exits hlt >out 2>err </dev/null &
	pid=$!
	wait_for grep -q boot out
	kill -TERM $pid
	wait $pid
	[ $? = 143 ] && quiet
}
# Without it the guest may have both.
hlt_exits() { leaves 'a=0x40000001' && [ $(($(leaf 40000001 0) & 128)) = 128 ]; }
others() {
	local word
	for word in pause cstate aperfmperf; do
		host disable-exits $word || continue
		leaves 'a=0x40000001' --disable-exits $word --vcpu-affinity "$cpus" && quiet &&
			[ $(($(leaf 40000001 3) & 1)) = 0 ] || return 1
	done
}
mwait() {
	leaves 'a=1 b=5 misc twice' --disable-exits mwait --vcpu-affinity "$cpus" && quiet &&
		[ $(($(leaf 1 2) & 8)) = 8 ] && [ "$(leaf 5 0)" != 0 ] && [ $((16#$(tr -d '\r' <out | sed -n 's/^misc: //p' | tail -n 1) & 1 << 18)) != 0 ]
}
not_offered() {
	local word
	for word in hlt pause mwait cstate aperfmperf; do
		host disable-exits $word || refused "this host's KVM does not offer it" "--disable-exits" $word || return 1
	done
}
exits_words() {
	wrong "did you mean 'hlt'?" --disable-exits hl && wrong "it is not one of mwait, hlt, pause, cstate, aperfmperf" --disable-exits nmi
}

pmu_off() {
	leaves 'a=0xa b=0x80000001 c=1 d=0x80000022 twice' --pmu off && quiet && [ "$(leaf a 0)" = 0 ] &&
		[ $(($(leaf 80000001 2) & 0x11800000)) = 0 ] && [ $(($(leaf 1 2) & 0x8000)) = 0 ]
}
pmu_on() { leaves 'a=0xa b=0x80000001' --pmu on && quiet && { amd || [ "$(leaf a 0)" != 0 ]; }; }
no_pmu() {
	refused "has no performance counters for guests" --pmu on && refused "has no performance counters" --pmu-filter allow:cycles
}
filter() {
	leaves a=0xa --pmu-filter allow:cycles,instructions,fixed0 && quiet && leaves a=0xa --pmu-filter deny:c0:0 && quiet
}
filter_masks() { leaves a=0xa --pmu-filter allow:c0:0/0,-c0:1/ff && quiet; }
filter_words() {
	wrong 'must be allow:EVENT' --pmu-filter cycles && wrong "did you mean 'cycles'?" --pmu-filter allow:cycle &&
		wrong 'is no event' --pmu-filter deny:zzz && wrong 'there is nothing to count' --pmu-filter allow:cycles --pmu off
}

bus_lock() { guest 0 exit -p exit=0 --bus-lock-limit 10 && quiet; }
no_bus_lock() { refused "does not see a guest's bus locks" --bus-lock-limit 10; }
notify() { guest 0 exit -p exit=0 --notify-window 0 && quiet; }
no_notify() { refused 'has no notify VM exit' --notify-window 0; }
limits_range() {
	wrong 'the minimum is 1' --bus-lock-limit 0 && wrong 'from 0 to 4294967295' --notify-window 4294967296
}

# either HAS 'YES TITLE' YES 'NO TITLE' NO: one of both is tested, the other skipped with the reason.
either() {
	local has=$1
	if $has; then
		point "$2" "$3"
		skip "$4" 'this host has it'
	else
		skip "$2" 'this host lacks it'
		point "$4" "$5"
	fi
}
has_scaling() { host tsc-scaling; }
lacks_scaling() { ! has_scaling; }
has_bus() { host apic-bus-frequency; }
has_poll() { host halt-poll; }
has_pmu() { host pmu-switch || host pmu-version; }
has_bus_lock() { host bus-lock-exit exit; }
has_notify() { host notify-exit user; }
only() {
	if $1; then point "$2" "$3" ${4:+"$4"}; else skip "$2" 'this host is not so'; fi
}
has_hlt() { host disable-exits hlt; }
has_mwait() { host disable-exits mwait; }
has_masks() { has_pmu && host pmu-masked-events; }
has_wakeup() { host kvm-pv-unhalt; }

echo 1..34
point 'nothing is asked: the TSC is the host'"'"'s, the APIC counts nanoseconds, leaf 0x15 is empty' untouched
point "--tsc-khz with the host's own frequency" own_tsc
point '--tsc-khz near to it is no scaling' near_tsc
point '--tsc-khz is told' told
either has_scaling "--tsc-khz at half the host's" scaled_tsc "--tsc-khz on a host that cannot scale" unscaled_tsc
only lacks_scaling 'a higher one, to which KVM would let it catch up, is refused too' unscaled_high
point '--tsc-khz outside of 100 MHz to 10 GHz' tsc_range
either has_bus '--apic-bus-hz 25000000' bus_crystal '--apic-bus-hz on a host without it' no_bus
only has_bus '--apic-bus-hz 1000000' bus 1000000
only has_bus "--apic-bus-hz: the built-in guest's timers" bus_selftest 200000000
point '--apic-bus-hz: what KVM cannot count' bus_range
either has_poll --halt-poll halt_poll '--halt-poll on a host without it' no_halt_poll
point '--halt-poll: wrong values' halt_poll_range
only has_hlt '--disable-exits hlt: the hint, no wake-ups, and the warning' hlt
only has_hlt '(a guest that halts so is ended like any other)' halted
only has_wakeup '(which the guest has otherwise)' hlt_exits
point '--disable-exits: each other that this host offers' others
only has_mwait '--disable-exits mwait: MONITOR in CPUID' mwait
point '--disable-exits: what this host does not offer' not_offered
point '--disable-exits: other words' exits_words
point '--pmu off' pmu_off
either has_pmu '--pmu on' pmu_on '--pmu on and --pmu-filter without a PMU' no_pmu
only has_pmu --pmu-filter filter
only has_masks '--pmu-filter with masks' filter_masks
point '--pmu-filter: wrong words' filter_words
either has_bus_lock --bus-lock-limit bus_lock '--bus-lock-limit on a host without it' no_bus_lock
either has_notify --notify-window notify '--notify-window on a host without it' no_notify
point '--bus-lock-limit, --notify-window: wrong values' limits_range
