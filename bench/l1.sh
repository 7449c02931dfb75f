#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs in L1 (make bench-lab): starts the same guest in each column's way, turn by turn, and says when it was started,
# when it was up, and what its exits took, as bench/lab.py reads it. QEMU and the settings come from there: each column
# is NAME,PROGRAM,IMAGE.
# shellcheck disable=SC2154 # the settings set them
# shellcheck source=/dev/null
. /job/settings
kernel=/lab/kernels/$kernel
qemu=/job/peer
cat "$kernel/initrd" /job/guest.cpio >/run/initrd
words="$words lab.test=bench bench.probe=$probe"

lkvm_run() {
	"$1" run -k "$kernel/$2" -i /run/initrd -m 512 -c 1 -p "console=$lkvm_console $words" --nodefaults
}

# shellcheck disable=SC2086,SC2211
qemu_run() {
	"$qemu"/lib/ld-linux-*.so.* --inhibit-cache --library-path "$qemu/lib" "$qemu/bin/qemu" -L "$qemu/data" \
		-accel kvm -cpu host $args -m 512 -smp 1 -nodefaults -no-user-config -display none -serial stdio \
		-no-reboot -kernel "$kernel/$2" -initrd /run/initrd -append "console=$qemu_console $words"
}

uptime_now() {
	read -r now _ </proc/uptime
	echo "$now"
}

# one_run NAME PROGRAM IMAGE
one_run() {
	run=lkvm_run
	[ "$2" = qemu ] && run=qemu_run
	start=$(uptime_now)
	$run "$2" "$3" </dev/null 2>"/run/$1.err" | while read -r line; do
		case $line in
		*LAB-L2-UP*) echo "up $1 $start $(uptime_now)" ;;
		*"LAB-L2 exits "*) echo "exits $1 ${line##*LAB-L2 exits }" ;;
		esac
	done >/run/said
	cat /run/said
	grep -q "^up" /run/said || sed "s/^/failed $1 /" "/run/$1.err"
}

round=0
while [ $round -lt "$rounds" ]; do
	for column in $columns; do
		# shellcheck disable=SC2046
		one_run $(echo "$column" | tr , ' ')
	done
	# The one that went first goes last next time.
	columns="${columns#* } ${columns%% *}"
	round=$((round + 1))
done
lkvm selftest --exits --json >/out/exits.json
