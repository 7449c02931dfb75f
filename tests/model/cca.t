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

# Measured by lkvm as by the RMM; v11 and v12 cannot be foretold. What the host would choose is said.
# shellcheck disable=SC2034,SC2054 # the lines have it
known=(--realm breakpoints=4,watchpoints=2 --disable-sve)
digests() {
	local version=$1 line words failed=0 nr=0
	while read -r line; do
		eval "words=($line)"
		same_digest cca-v"$version" --nodefaults -k Image "${words[@]}" || failed=1
		nr=$((nr + 1))
	done
	[ $failed = 0 ] && [ $nr -ge 10 ]
}
head -c 3000000 /dev/zero | tr '\0' i >initrd
head -c 65536 /dev/zero >disk
cat >machines <<'LINES'
-m 256M -c 1 "${known[@]}"
-m 256M -c 4 "${known[@]}"
-m 130M -c 1 "${known[@]}"
-m 1G -c 2 "${known[@]}"
-m 3G -c 2 "${known[@]}"
-m 256M -c 1 -p one "${known[@]}"
-m 256M -c 1 -p "one two" "${known[@]}"
-m 256M -c 1 -i initrd "${known[@]}"
-m 256M -c 1 -d disk "${known[@]}"
-m 256M -c 1 -d disk --virtio-transport mmio "${known[@]}"
-m 256M -c 1 --console virtio "${known[@]}"
-m 256M -c 1 --realm breakpoints=2,watchpoints=4 --disable-sve
LINES
cat >explicit - machines <<'LINES'
-m 256M -c 1 --realm breakpoints=4,watchpoints=2 --sve-max-vl 256
-m 256M -c 1 --realm breakpoints=4,watchpoints=2,hash=sha512 --disable-sve
-m 256M -c 1 --realm breakpoints=4,watchpoints=2,rpv=0123456789abcdef --disable-sve
-m 256M -c 1 --realm breakpoints=4,watchpoints=2 --disable-sve --pmu --pmu-counters 2
LINES
for version in 7 9 10; do
	measures "v$version: measurements" digests $version <explicit
done
for version in 13 14 15; do
	measures "v$version: measurements" digests $version <machines
done
planes() {
	same_digest cca-v10,planes=3 "${small[@]:0:${#small[@]}-1}" --realm "planes=$1,breakpoints=4,watchpoints=2" --disable-sve &&
		logged "\"planes\": $1"
}
for aux in 1 2 3; do
	measures "v10: $aux auxiliary planes, which are not measured" planes $aux
done

# What the RMM has not.
point 'more planes than the RMM has' refuses cca-v10,planes=2 '' planes "${small[@]:0:${#small[@]}-1}" --realm planes=3
point 'no planes' refuses cca-v10 '' planes "${small[@]:0:${#small[@]}-1}" --realm planes=1
point 'a shared tree without indirect permissions' refuses cca-v10,planes=3,rmm=direct '' 'rtt-tree' \
	"${small[@]:0:${#small[@]}-1}" --realm planes=1,rtt-tree=shared
point 'a hash that the RMM lacks' refuses cca-v10,hash=sha256 '' hash "${small[@]:0:${#small[@]}-1}" --realm hash=sha512
point 'a hash where none can be chosen' refuses cca-v13 '' hash "${small[@]:0:${#small[@]}-1}" --realm hash=sha512
point 'planes where none can be had' refuses cca-v15 '' planes "${small[@]:0:${#small[@]}-1}" --realm planes=1
for words in '--gdb 127.0.0.1:0' --protected --nested '--psci user' --balloon; do
	# shellcheck disable=SC2086
	point "together with $words" wrong cca-v10 "${words%% *}" "${small[@]}" $words
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
