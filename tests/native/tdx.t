#!/bin/bash
# SPDX-License-Identifier: MIT
# --tdx with the real binary: what no host gives, what this one does not; the measurement, which needs none; and the first
# code of a trust domain in an ordinary guest.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

# refused STATUS TEXT ARGUMENT...: one line that has TEXT.
refused() {
	local status=$1 text=$2
	shift 2
	run "$status" "$@" && says err "$text" && [ "$(wc -l <err)" = 1 ] && [ ! -s out ]
}
hello=(-k "$guests/hello.flat" --kernel-format flat --nodefaults -m 64 -c 1)

usage() {
	refused 2 '--tdx and --gdb: cannot be combined: ' --tdx "${hello[@]}" --gdb 1234 &&
		refused 2 '--tdx and --testdev: cannot be combined: ' --tdx "${hello[@]}" --testdev &&
		refused 2 'the next below is 2400000' --tdx "${hello[@]}" --tsc-khz 2400001 &&
		refused 2 "did you mean '+debug'" --tdx "${hello[@]}" --tdx-attributes +debog &&
		refused 2 '--tdx-xfam: is for trust domains; add --tdx' "${hello[@]}" --tdx-xfam 3
}
no_host() { refused 1 "--tdx: this host's KVM has no trust domains: " --tdx "${hello[@]}"; }
firmware() {
	head -c 65536 /dev/urandom >rom && refused 1 'it has no TDX metadata' --tdx -f rom -m 64 -c 1 --dump-boot none &&
		[ ! -e none ] || return 1
	# An ordinary guest takes it as it is.
	run 0 -f rom -m 64 -c 1 --dump-boot plain && [ -e plain/plan.json ]
}

# pages DIR: what is where in a list.
pages() {
	python3 - "$1/plan.json" <<-'EOT'
		import json, sys
		for p in json.load(open(sys.argv[1]))['pages']:
		    print(hex(p['gpa']), hex(p['size']), p['kind'], p['measured'])
	EOT
}
listed() {
	run 0 --tdx "${hello[@]}" --dump-boot list && pages list >got &&
		says got '0xffff7000 0x9000 stub True' && ! grep -q False got && [ "$(tail -n 1 got)" = '0xffff7000 0x9000 stub True' ]
}
measure() { limited "$lkvm" measure --tdx "${hello[@]}" "$@" 2>err; }
measured() {
	"$lkvm" version | grep -qE 'nettle|libcrypto' || return 0
	measure >one && says one 'mrtd: ' 'attributes: 0x10000000' && measure >two && cmp one two || return 1
	# The command line is measured, identities and vcpus' registers are not.
	measure -p more >two && ! cmp -s one two && measure --tdx-attributes +debug >two || return 1
	[ "$(grep mrtd: one)" = "$(grep mrtd: two)" ] && says two 'attributes: 0x10000001'
}

first_code() {
	guest 5 tdxreset -c 2 && quiet && says out 'accepted: 4 large, 773 small, 1 split, busy 2, wrong 0x0' \
		'all of them: yes' 'kernel: params 0x90000, tables measured' 'nothing to accept: params 0x90000, 0'
}
last_words() {
	says out 'fatal: leaf 0, 0xffcc, r10 0, r11 0x10003, r12 0, r13 0: lkvm: cannot accept 0x0000000000005000: 0x00000b0a00000000' \
		'kernel: params 0x0'
}
mailbox() { says out "mailbox: another's command 1, woken 0" 'mailbox: woken 1, command 0'; }

echo 1..8
point 'what no trust domain can have is wrong usage' usage
if "$lkvm" host 2>/dev/null | grep -qE '^ *tdx +no'; then
	point 'a host without TDX: one line, status 1' no_host
else
	skip 'a host without TDX: one line, status 1' 'this one has it'
fi
point 'firmware without TDX metadata is refused' firmware
point 'the list of a kernel: all is measured, the first code is last' listed
point 'the measurement is the same every time' measured
point 'the first code accepts all pages and goes to the kernel' first_code
point 'where it cannot, it says why' last_words
point 'other vcpus wait in the mailbox' mailbox
