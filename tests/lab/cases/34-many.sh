# SPDX-License-Identifier: MIT
# Many disks: 40 are functions that share slots. (300, behind a bridge, take minutes here: tests/native/many.t.)
# shellcheck shell=dash

# Each disk needs some descriptors. Init systems give more than the kernel's 4096.
ulimit -n 65536

mkdir -p /run/many
mount -t tmpfs tmpfs /run/many
cd /run/many || exit 1
for number in $(seq 40); do
	echo "disk $number" >d$number
	truncate -s 64K d$number
done

many() {	# many COUNT BRIDGES KERNEL: a guest that reads the first line of each
	# shellcheck disable=SC2046 # two words for each disk
	vm "many-$1-$3" "$3" lab.test=many $(seq "$1" | sed 's|.*|-d d&,ro|')
	booted "a guest with $1 disks, Linux $3"
	check_fact "it has each of them once, Linux $3" disks "$1"
	check_fact "bridges were made where there was need of them, Linux $3" bridges "$2"
	echo "# Linux $3 with $1 disks: up after $(fact many-up) s, all read after $(fact many-read) s"
}

many 40 0 "$LAB_KERNEL"
cd /out && umount -l /run/many
