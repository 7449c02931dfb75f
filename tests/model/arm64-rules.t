#!/bin/bash
# SPDX-License-Identifier: MIT
# The model's rules of arm64 one by one, by plain calls (tests/model/t/arm64), and lkvm on an ordinary host of it.
# shellcheck disable=SC2154
. "$(dirname "$0")/arm64.sh"
rows=$build/model/t/arm64-rows

# A case whose name begins with `broken` breaks a rule, and its status says so; what it found otherwise it prints.
row() {
	local want=0 status
	case $1 in broken-*) want=99 ;; esac
	modelled "$2" "$3" "$rows" "$1" >out 2>err </dev/null
	status=$?
	[ $status = $want ] && ! grep '^#' out && return 0
	echo "# status $status, not $want"
	cat out err
	return 1
}

while read -r name kind script; do
	point "$name" row "$name" "$kind" "$script"
done < <("${runner[@]}" "$rows" --list)

# rim CASE MODEL VECTOR: what is built by these calls measures as the vector says.
rim() {
	local want
	want=$(python3 -c 'import json, sys
for v in json.load(open(sys.argv[1]))["vectors"]:
	if v["name"] == sys.argv[2]:
		print(v["rim"][:64])' "$tools/../vectors/cca-rim.json" "$3")
	row "$1" "$2" '' || return
	[ "$(measured)" = "$want" ] && return 0
	echo "# $(measured), not $want"
	return 1
}
point 'an explicit realm measures as it should' rim rme-launch-v10 cca-v10 two-vcpus-sha256-rmm1
point 'an old one, too' rim rme-launch-v7 cca-v7 two-vcpus-sha256-rmm1
point 'an implicit realm measures as it should' rim rmi-launch-v13 cca-v13 two-vcpus-sha256-rmm2
point 'the newest one, too' rim rmi-launch-v15 cca-v15 two-vcpus-sha256-rmm2
point 'with SVE' rim rme-params-sve cca-v10 sve-256-rmm1
point 'with a PMU' rim rme-params-pmu cca-v10 pmu-6-rmm2
point 'planes, a personalization value and a page that is not measured' rim rme-params-other cca-v10,planes=3 unmeasured-rmm1

ordinary() { launch 0 "$1" "$2" "${small[@]}" -c 2 && logged '"exit": "power-off"'; }
point 'lkvm runs an ordinary machine' ordinary arm64 ''
point 'lkvm resets an ordinary machine' ordinary arm64 'run 1 reset'
point 'lkvm runs an ordinary machine on a host that has realms' ordinary cca-v10 ''
point 'lkvm runs an ordinary machine on a host with pKVM' ordinary pkvm ''

# What the host is, `lkvm host` finds.
says_host() { modelled "$1" '' "$lkvm" host >out 2>err </dev/null && grep -q "$2" out && grep -q "$3" out; }
point 'lkvm host: an ordinary host has no protected guests' says_host arm64 'kernel  *yes  Linux 7.3' \
	'pkvm  *no  .*kvm-arm.mode=protected'
point 'lkvm host: with pKVM it has them' says_host pkvm 'kernel  *yes  Linux 7.3' 'pkvm  *yes'

finish
