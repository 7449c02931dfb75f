#!/bin/bash
# SPDX-License-Identifier: MIT
# lkvm host on this host: valid JSON, the same answers in both forms, nothing left, no KVM. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/native/tap.sh
. tests/native/tap.sh
lkvm=$(realpath "${LKVM:-build/lkvm}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
# run STATUS ARGUMENT...: lkvm host; keeps out and err, compares the status; standard error is empty.
run() {
	local want=$1 status
	shift
	limited "$lkvm" host "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] && [ ! -s err ] && return 0
	echo "# 'host $*': status $status, not $want"
	sed 's/^/# err: /' err
	return 1
}
has() {
	grep -qE -- "$1" out || { echo "# no '$1'" && return 1; }
}

# json EXPRESSION: true of the document j; a key that comes twice is an error.
json() {
	python3 -m json.tool out >/dev/null && python3 - "$1" <<-'EOS'
		import json, sys
		def once(pairs):
		    keys = [k for k, v in pairs]
		    assert len(set(keys)) == len(keys), 'a key comes twice'
		    return dict(pairs)
		j = json.load(open('out', encoding='utf-8'), object_pairs_hook=once)
		s = j['sections']
		for section in s.values():
		    for name, row in section.items():
		        assert row['available'] in (True, False, None), name
		        assert row['available'] or row['why'], name
		sys.exit(not eval('(' + sys.argv[1] + ')'))
	EOS
}

table() {
	run 0 && has '^Host$' && has '^  device +yes  /dev/kvm$' && has '^  api +yes  12$' &&
		has '^  memory-slots +yes  [0-9]+$' && has '^  features +fpu ' &&
		has "^  kernel +yes  Linux $(uname -r)\$"
}
details() {
	run 0 -v && has 'KVM_CAP 136; since Linux 4.11' && has '^  not there '
}
document() {
	run 0 --json && json "j['usable'] is True and j['format'] == 1 and
		s['kvm']['api']['value'] == 12 and s['limits']['vcpus']['value'] >= 1 and
		isinstance(s['kvm']['vm-types']['value'] if s['kvm']['vm-types']['available'] else [], list)"
}
# lkvm run must be able to do what lkvm host says is there.
agrees() {
	run 0 --json && json "s['interrupts']['irqchip']['available'] and
		s['execution']['immediate-exit']['available'] and s['interrupts']['irqfd']['available']"
}
no_device() {
	run 1 --dev "$dir/nosuch" && has "^  device +no   $dir/nosuch: no such file" &&
		has '^  landlock ' && run 1 --json --dev "$dir/nosuch" &&
		json "j['usable'] is False and s['limits']['vcpus']['available'] is None"
}
other_device() {
	run 1 --dev=/dev/null && has '^  device +no   /dev/null: is not KVM'
}
odd_path() {
	run 1 --json --dev $'/no"such\\\n\377' &&
		json "'no\"such\\\\\\n\\ufffd' in s['kvm']['device']['why']"
}
denied() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$lkvm" host >out 2>err </dev/null
	[ $? = 1 ] && has '^  device +no   /dev/kvm: permission denied: ' && has '^  vhost-net ' && [ ! -s err ]
}
# No module more than before, and no interface, group or process.
nothing_left() {
	look() {
		ls /sys/module /sys/class/net
		! [ -r /proc/modules ] || cut -d' ' -f1 /proc/modules
	}
	look >before
	run 0 && look >after && cmp before after
}
wrong() {
	limited "$lkvm" host x >out 2>err
	[ $? = 2 ] && [ ! -s out ] && [ "$(wc -l <err)" = 1 ] && limited "$lkvm" help host >out &&
		has '--json' && has '--dev PATH'
}

echo 1..10
if { : <>/dev/kvm; } 2>/dev/null; then
	point 'a table' table
	point 'the table with details' details
	point 'JSON with values of their types' document
	point 'what run needs is there' agrees
	point 'nothing is left behind or loaded' nothing_left
else
	for name in table details document agrees nothing_left; do skip $name 'no access to /dev/kvm'; done
fi
point 'without KVM the rest is told, status 1' no_device
point 'a device that is not KVM' other_device
point 'JSON of a path of any bytes' odd_path
if [ "$(id -u)" = 0 ] && [ "$(stat -c %a /dev/kvm 2>/dev/null)" = 600 ] && command -v setpriv >/dev/null; then
	chmod 755 "$dir"
	point 'without permission the remedy is told' denied
else
	skip 'without permission the remedy is told' 'needs root, setpriv and a /dev/kvm of mode 600'
fi
point 'wrong usage' wrong
