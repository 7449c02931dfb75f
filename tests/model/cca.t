#!/bin/bash
# SPDX-License-Identifier: MIT
# `lkvm run --realm` on hosts that can make realms, as the model has them.
# shellcheck disable=SC2154
. "$(dirname "$0")/arm64.sh"
"${runner[@]}" "$lkvm" run --help | grep -q -- --realm || skip_all 'lkvm has no --realm yet'
small+=(--realm)

realm() { launch "$1" "$2" "$3" "${small[@]}" "${@:4}"; }
ends() { realm 0 "$1" "$2" "${@:3}" && logged '"measurement"'; }
for version in 7 8 9 10 11 12 13 14 15; do
	point "v$version: a realm is made, loaded, run and ended" ends cca-v$version ''
	point "v$version: with several vcpus" ends cca-v$version '' -c 4
	point "v$version: a reboot makes it anew" ends cca-v$version 'run 1 reset'
	point "v$version: RAM becomes empty, and RAM again" ends cca-v$version \
		'run 1 ripas empty gpa=0x88000000 size=0x200000;run 2 ripas ram gpa=0x88000000 size=0x200000'
done

# Measured by lkvm as by the RMM; v11 and v12 cannot be foretold.
for version in 10 13 14 15; do
	point "v$version: the measurement" same_digest cca-v$version "${small[@]}"
done

# Partial progress and signals.
for version in 11 12 13 14 15; do
	point "v$version: pages one by one" ends cca-v$version,chunk=1 ''
	point "v$version: a signal in the middle" ends cca-v$version 'signal RMI_POPULATE 1 page=1'
	point "v$version: a refused page" realm 1 cca-v$version 'fail RMI_POPULATE 1 ENXIO fw=4'
done

# Hosts without.
point 'an ordinary host' refuses arm64 '' '--realm' "${small[@]}"
point 'a kernel without an RMM' refuses cca-v10,rmm=none '' '--realm' "${small[@]}"
point 'no VMID is left' refuses cca-v10,vmids=0 '' '--realm' "${small[@]}"

finish
