#!/bin/bash
# SPDX-License-Identifier: MIT
# --cpu: what a guest reads back from CPUID is what was asked for.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

# cpu WORDS ARGUMENT...: the leaves of a guest with --cpu WORDS, in out.
cpu() {
	local words=$1
	shift
	guest 0 cpuid --cpu "$words" "$@"
}
# reg LEAF.INDEX N: register N (1: EAX) of a leaf in out, as bash writes numbers.
reg() {
	local line
	line=$(grep "^leaf $1 " out | tr -d '\r')
	# shellcheck disable=SC2086
	set -- $2 $line
	shift $(($1 + 2))
	echo $((0x$1))
}
# is LEAF.INDEX N MASK VALUE
is() {
	[ $(($(reg "$1" "$2") & $3)) = $(($4)) ] && return 0
	echo "# leaf $1, register $2: $(printf '0x%x' "$(reg "$1" "$2")") & $3 is not $4"
	return 1
}

signature() {
	cpu host,family=6,model=0x8f,stepping=7 && is 1.0 1 0x0fff0fff 0x000806f7 && quiet &&
		cpu host,family=0x19,model=0x21,stepping=2 && is 1.0 1 0x0fff0fff 0x00a20f12
}
# "Some CPU @ 2 GHz", a signature that is not KVM's.
texts() {
	cpu 'host,model-name=Some CPU @ 2 GHz,hypervisor-id=ABCD' && is 80000002.0 1 0xffffffff 0x656d6f53 &&
		is 80000002.0 4 0xffffffff 0x7a484720 && is 80000003.0 1 0xffffffff 0 &&
		is 40000000.0 2 0xffffffff 0x44434241 && is 40000000.0 3 0xffffffff 0 && quiet
}
address_bits() {
	cpu host,phys-bits=40 && is 80000008.0 1 0xff 40 && guest 1 cpuid --cpu host,phys-bits=52,linear-bits=57 &&
		says err '--cpu: ' '=5' "this host's KVM offers a guest at most"
}
# Memory ends within the bits.
small_address_space() {
	guest 1 cpuid --cpu host,phys-bits=36 -m 64G && says err "--mem 64G: is more than a guest's 36 address bits reach"
}
pv_features() {
	cpu host && is 40000001.0 1 0x9 0x9 && is 40000001.0 4 1 0 &&
		cpu host,-kvmclock,-kvm-steal-time,+kvm-hint-dedicated && is 40000001.0 1 0x01000829 0x00000800 &&
		is 40000001.0 4 1 1 && says err 'kvmclock-old' 'kvmclock-stable-bit' 'kvm-pv-tlb-flush'
}
# What lkvm adds to every list.
ours() {
	cpu host && is 40000000.0 1 0xffffffff 0x40000010 && is 15.0 3 0xffffffff 0 &&
		cpu host,crystal-hz=25000000,hypervisor-level=0x40000001,-invtsc && is 40000000.0 1 0xffffffff 0x40000001 &&
		is 40000010.0 1 0xffffffff 0 && is 80000007.0 4 0x100 0 &&
		is 15.0 3 0xffffffff "$(max_leaf 0x15 25000000)"
}
# VALUE where the last leaf is LEAF or a later one, else 0.
max_leaf() {
	[ "$(reg 0.0 1)" -ge $(($1)) ] && echo "$2" || echo 0
}
last_leaves() {
	cpu host,level=0xb,xlevel=0x80000004 && is 0.0 1 0xffffffff 0xb && is 80000000.0 1 0xffffffff 0x80000004
}
# A bit of leaf 1 that every CPU with KVM has; some KVMs show guests their own leaf 1.
feature() {
	cpu host && [ $(($(reg 1.0 3) & 0x2000)) != 0 ] || return
	cpu host,-cx16 || return
	[ $(($(reg 1.0 3) & 0x2000)) = 0 ]
}
level() {
	cpu min && is 1.0 1 0x0fff0fff 0xf61 && is 80000000.0 1 0xffffffff 0x80000008 && is 80000007.0 4 0x100 0 &&
		is 80000008.0 1 0xffff 0x3027 && is 80000001.0 3 0xfffffffd 0 && is 40000001.0 1 0xffff7fff 0x0100000b && quiet
}
# The same list twice: nothing of it depends on the moment or the CPU.
again() {
	cpu min -c 2 && grep '^leaf [08]' out | grep -v '^leaf \(0\|80000000\)\.0' >first && cpu min -c 2 &&
		grep '^leaf [08]' out | grep -v '^leaf \(0\|80000000\)\.0' | cmp - first
}
after_reset() {
	guest 0 hello --cpu min && guest 0 cpuid --cpu host,family=6,model=1 && is 1.0 1 0x0fff0ff0 0x00000610
}
# Ids of the local APICs themselves, of leaf 1 and of leaf 0xb; the MADT says as many.
topology() {
	cpu host,sockets=2,cores=3 -c 6 && grep '^cpu ids' out | tr -d '\r' | sort >ids &&
		printf 'cpu ids %d %d %d\n' 0 0 0 1 1 1 2 2 2 4 4 4 5 5 5 6 6 6 | cmp - ids && says out '6 of 6 cpus' && quiet &&
		cpu host,threads=2 -c 4 && is b.0 1 0x1f 1 && is b.0 2 0xffff 2 && is b.1 1 0x1f 2 && is b.1 2 0xffff 4
}
# The built-in guest reads it back; here of leaves in which every KVM obeys.
selftest_with() {
	limited "$lkvm" selftest --virtio-transport pci -c 3 --loglevel warning \
		--cpu "host,sockets=3,family=6,model=77,model-name=Foo,phys-bits=40,hypervisor-id=KVMKVMKVM,+kvm-hint-dedicated$1" >out 2>err
}
selftest_reads() { selftest_with '' && says out ': CPUID: its APIC id, and what --cpu asks'; }
lacks() {
	guest 1 cpuid --cpu host,+kvm-msi-ext-dest-id && says err '--cpu host: this host has no kvm-msi-ext-dest-id for guests' &&
		[ "$(wc -l <err)" = 1 ]
}
# All names, each on a line of its own, and no machine.
help() {
	"$lkvm" run --cpu help >out 2>err && quiet && says out '+avx2 ' 'family= ' 'v3 ' '+kvm-hint-dedicated' &&
		[ "$(sort out | uniq -d | wc -l)" = 0 ] && ! grep -q cbitpos out &&
		"$lkvm" run -k nonsense --cpu help -d nonsense | cmp - out && "$lkvm" selftest --cpu help | cmp - out
}
# Every row with what the host has; what a guest then reads is the default.
json() {
	"$lkvm" host --cpu >table 2>err && quiet && cpu host && python3 - table <<-'END'
		import json, sys
		table = json.load(open(sys.argv[1]))
		rows = {r['name']: r for r in table['cpu']}
		leaves = {}
		for line in open('out'):
		    if line.startswith('leaf '):
		        _, leaf, *regs = line.split()
		        leaves[tuple(int(x, 16) for x in leaf.split('.'))] = [int(x, 16) for x in regs]
		assert table['usable'] and table['architecture'] == 'x86-64'
		assert rows['avx2']['leaf'] == 7 and rows['avx2']['low'] == rows['avx2']['high'] == 5
		assert rows['avx2']['registers'] == ['ebx'] and rows['sse4.1']['aliases'] == ['sse4-1']
		assert rows['sockets']['default'] == 1 and rows['cores']['default'] is None
		checked = 0
		for r in rows.values():
		    # Leaf 1 is partly the CPU's own with some KVMs.
		    if 'low' not in r or r['leaf'] == 1 or (r['leaf'], r['subleaf']) not in leaves:
		        continue
		    value = leaves[r['leaf'], r['subleaf']]['eax ebx ecx edx'.split().index(r['registers'][0])]
		    value = value >> r['low'] & (1 << r['high'] - r['low'] + 1) - 1
		    assert value == r['default'], (r, hex(value))
		    checked += 1
		assert checked > 40, checked
	END
}
wrong() {
	local text
	for text in host,+movbee host,family=271 host,+avx,-avx host,family=6,family=6 max host,-xsave,+avx host,cores=2; do
		guest 2 cpuid --cpu "$text" && [ "$(wc -l <err)" = 1 ] && says err --cpu || return 1
	done
	guest 2 cpuid --cpu host,+movbee && says err "did you mean 'movbe'?"
}
# Two options that say of the same.
disagree() {
	guest 2 cpuid --cpu host,+vmx --nested off && says err '--nested off and --cpu +vmx: contradict each other' &&
		guest 2 cpuid --cpu host,+svm --nested off && says err '--nested off and --cpu +svm: contradict each other' &&
		guest 2 cpuid --cpu host,pmu-version=0 --pmu on && says err '--pmu on: the CPU of --cpu host,pmu-version=0 has no' &&
		guest 2 cpuid --cpu min --pmu on && says err '--pmu on: the CPU of --cpu min has no performance counters' &&
		[ "$(wc -l <err)" = 1 ]
}

echo 1..18
point 'family, model and stepping' signature
point 'model name and signature of the hypervisor' texts
point 'bits of addresses, and no more than the host has' address_bits
point 'memory has to fit them' small_address_space
point 'paravirtual features of KVM, and what needs them' pv_features
point 'what lkvm itself writes goes by --cpu, too' ours
point 'the last leaves' last_leaves
if cpu host && [ $(($(reg 1.0 3) & 0x2000)) != 0 ]; then
	point 'a feature switched off' feature
else
	skip 'a feature switched off' 'this CPU has no cx16'
fi
point '--cpu min is that CPU and no other' level
point 'and the same at the next start' again
point 'other guests and signatures' after_reset
point 'sockets, cores and threads: ids with gaps' topology
point 'the built-in guest finds what was asked for' selftest_reads
point 'what KVM does not have is refused' lacks
point '--cpu help lists all names' help
point 'lkvm host --cpu: the table, and what a guest gets' json
point 'wrong words are one line and status 2' wrong
point 'what contradicts another option' disagree
