#!/bin/bash
# SPDX-License-Identifier: MIT
# lkvm selftest: the built-in guest on both transports, test images that go wrong in every way, the cost of exits. TAP.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

# selftest STATUS ARGUMENT...: keeps out and err, compares the status.
selftest() {
	local want=$1 status
	shift
	limited "$lkvm" selftest --timeout "$LIMIT" "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] && return 0
	echo "# 'selftest $*': status $status, not $want"
	sed 's/^/# out: /' out
	head -n 5 err | sed 's/^/# err: /'
	return 1
}

# image STATUS WORDS ARGUMENT...: the same with the test image, told WORDS.
image() {
	local want=$1 words=$2
	shift 2
	selftest "$want" "$guests/tap.flat" --kernel-format flat -m 32 -p "$words" "$@"
}

# well_formed COUNT: numbered in order, with a plan of COUNT at the end.
well_formed() {
	[ "$(grep -cE '^(not )?ok [0-9]+ - ' out)" = "$1" ] && tail -n 2 out | grep -q "^1\.\.$1\$" &&
		grep -E '^(not )?ok ' out | sed -E 's/^(not )?ok ([0-9]+) .*/\2/' | cmp -s - <(seq "$1") && return 0
	sed 's/^/# /' out
	return 1
}

# wrong TEXT ARGUMENT...: wrong usage: status 2, nothing on standard output, one line that has TEXT.
wrong() {
	local text=$1
	shift
	selftest 2 "$@" && says err "$text" && [ ! -s out ] && [ "$(wc -l <err)" = 1 ]
}

# json EXPRESSION: true of the JSON value j in out.
json() {
	python3 -c 'import json, sys; j = json.load(open("out")); sys.exit(not eval("(" + sys.argv[1] + ")"))' "$1" && return 0
	sed 's/^/# /' out
	return 1
}

built_in() {
	selftest 0 && quiet && well_formed 52 && ! grep -q '^#' out &&
		says out 'pci: virtio-blk' 'mmio: virtio-net' "pci: the guest's reboot is seen" 'mmio: memory above 4 GiB, at its edges'
}
no_skips() {
	! grep '# SKIP' out | grep -vF 'timer by deadline'
}
skipped() {
	selftest 0 -c 1 -m 64 --virtio-transport pci && quiet && well_formed 26 && ! grep -q mmio: out &&
		says out 'memory above 4 GiB, at its edges # SKIP this machine has no memory there (--mem gives it more)' \
			'every CPU comes up # SKIP this machine has one' 'interrupts from CPU to CPU # SKIP'
}
machines() {
	selftest 0 --irqchip split -c 3 && quiet && well_formed 52 &&
		selftest 0 --virtio-transport mmio -c 9 -m 6G --loglevel error && quiet && well_formed 26
}
# More CPUs than the built-in guest drives by local APICs in MMIO.
x2apic() {
	selftest 0 --virtio-transport pci -c 65 && quiet && well_formed 26 && ! grep -q SKIP out
}
checks_json() {
	selftest 0 --json -c 1 && quiet && json 'len(j["checks"]) == 52 and j["ok"] + j["skipped"] == 52 and j["failed"] == 0
		and {c["run"] for c in j["checks"]} == {"pci", "mmio"}
		and all(c["name"] and (c["result"] == "ok" or c["result"] == "skipped" and c["reason"]) for c in j["checks"])' &&
		json 'set(j) == {"version", "checks", "ok", "failed", "skipped"} and j["version"] == 1'
}
no_machine() {
	selftest 1 --dev /dev/null && says out 'not ok 1 - pci: the VM is created' 'not ok 2 - mmio: the VM is created' &&
		says err /dev/null && well_formed 2
}

good_image() {
	image 0 '' && quiet && well_formed 4 &&
		says out 'ok 1 - first' 'ok 2 - second # SKIP for a reason' '# a line that is no TAP' 'the image ends with status 0'
}
other_images() {
	image 0 noplan && well_formed 3 && image 0 open && says out '# no end of line' &&
		selftest 0 -m 32 "$guests/hello.multiboot" -p 'a word' && says out "# cmdline '" 'a word' 'hello from multiboot' &&
		selftest 0 -m 32 "$guests/hello.pvh" && says out '# hello from pvh' &&
		selftest 0 -m 32 --kernel-format elf "$guests/hello.elf" && quiet
}
bad_point() {
	image 1 fail && well_formed 4 && says out 'not ok 2 - second' '# expected 1, seen 2' '# 1 of 4 failed'
}
bad_status() {
	image 1 status=3 && says out 'not ok 3 - the image ends with status 0' '# exit status 3'
}
bad_plan() {
	image 1 short && says out 'not ok 4 - the guest ran every check' '# expected: 3, seen: 2'
}
bail() {
	image 1 bail && says out 'not ok 2 - Bail out! nothing works'
}
crash() {
	image 1 crash && says out '# exception 6' '# exit status 99'
}
hang() {
	# Whether it came to its first point in that time is not asked.
	image 1 hang --timeout 1 && says out ' - the image ends with status 0' \
		'# the guest did not end within 1 s; the registers:' '# ' 'rip' &&
		image 1 hang --timeout 1 --loglevel info && says err 'ended by its time limit'
}
odd() {
	image 0 odd && says out '# "quoted" \ and ?[31m' '# okay is no point' && [ "$(grep -c xxxxxxxx out)" = 2 ] &&
		image 0 odd --json && json '"\"quoted\" \\ and ?[31m\t" in j["checks"][0]["notes"]'
}
missing_image() {
	selftest 1 no-such-image && says err no-such-image && says out 'not ok 1 - the VM is created'
}
interrupted() {
	: >out # what an earlier one said would end the wait
	"$lkvm" selftest --timeout "$LIMIT" -m 32 --kernel-format flat -p hang "$guests/tap.flat" >out 2>err </dev/null &
	local pid=$!
	wait_for grep -q 'ok 1' out
	kill -TERM $pid
	wait $pid
	[ $? = 143 ]
}

# Each kind was measured or says why not; what must be possible was.
exits_table() {
	selftest 0 --exits && quiet && says out 'median ns' 'A clock of ' || return 1
	for kind in nothing cpuid msr pio hypercall mmio ioeventfd ipi halt timer page-4k page-2m; do
		grep -qE "^$kind +([0-9]+( +[0-9]+){6}\$|- [a-z].+)" out || { echo "# no $kind" && return 1; }
	done
	! grep -E '^(nothing|cpuid|msr|pio|mmio|ioeventfd|halt|timer|page-4k) +- ' out
}
exits_json() {
	selftest 0 --exits --json --rounds 20 --virtio-transport mmio && quiet &&
		json 'set(j) == {"version", "architecture", "kinds", "clock_khz"} and j["clock_khz"] > 100000
			and [k["name"] for k in j["kinds"]] == "nothing cpuid msr pio hypercall mmio ioeventfd ipi halt timer page-4k page-2m".split()' &&
		json 'all(k.get("skipped") or k["rounds"] <= 20 and 0 < k["cycles"]["min"] <= k["cycles"]["median"] <= k["cycles"]["p99"]
			and k["ns"]["min"] <= k["ns"]["median"] <= k["ns"]["p99"] for k in j["kinds"])' &&
		json '{k["name"]: k.get("rounds") for k in j["kinds"]}["cpuid"] == 20' &&
		json 'all(abs(k["ns"]["median"] - k["cycles"]["median"] * 1e6 / j["clock_khz"]) < 1 for k in j["kinds"] if "ns" in k)'
}
exits_one_cpu() {
	selftest 0 --exits -c 1 --rounds 3 && says out 'needs two CPUs (--cpus 2)' && grep -qE '^cpuid +3 ' out
}
exits_no_machine() {
	selftest 1 --exits --dev /dev/null && [ ! -s out ] && [ "$(wc -l <err)" = 1 ]
}
usage() {
	wrong "--rounds: is for --exits" --rounds 5 &&
		wrong '--rounds 20000: is too large; the maximum is 16384' --exits --rounds 20000 && wrong 'at least 256M' --exits -m 128 && wrong 'at least 16M' -m 8 &&
		wrong '--params: is for a test image' -p word && wrong '--kernel-format: is for a test image' --kernel-format flat &&
		wrong 'omit one of them' --exits image && wrong "unexpected word 'two'" one two && wrong 'empty' '' &&
		wrong 'at most 512' -c 513 && wrong '--timeout' --timeout 0 && wrong 'did you mean' --exit &&
		wrong 'virtio-transport' --virtio-transport usb && wrong 'loglevel' --loglevel loud &&
		wrong "must begin with host, min" --cpu BAD && wrong "unknown feature 'nothing'" --exits --cpu host,+nothing
}
offered() {
	"$lkvm" help | grep -q '^  selftest ' && "$lkvm" help selftest | grep -q -- '--exits'
}
leaves_nothing() {
	local before
	before=$(ls)
	selftest 0 --virtio-transport pci && [ "$(ls)" = "$before" ]
}

echo 1..25
point 'the built-in guest, both transports' built_in
point 'nothing is skipped that every KVM can do' no_skips
point 'what is not there is skipped with the reason' skipped
point 'other machines: split irqchip, many CPUs' machines
point 'more CPUs than 64: x2APIC' x2apic
point 'checks as JSON' checks_json
point 'no KVM device' no_machine
point 'a test image' good_image
point 'images of every format' other_images
point 'an image with a point that is not ok' bad_point
point 'an image with another status' bad_status
point 'an image that runs less than its plan' bad_plan
point 'an image that bails out' bail
point 'an image that meets an exception' crash
point 'an image that hangs' hang
point 'an image that says odd things' odd
point 'an image that is not there' missing_image
point 'SIGTERM ends it' interrupted
point 'exits: the table' exits_table
point 'exits: JSON' exits_json
point 'exits: one CPU' exits_one_cpu
point 'exits: no KVM device' exits_no_machine
point 'wrong usage' usage
point 'help has it' offered
point 'no files are left' leaves_nothing
