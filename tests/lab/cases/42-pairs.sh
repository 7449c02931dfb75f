# SPDX-License-Identifier: MIT
# virtio-net with two pairs of queues, on a tap that lkvm makes and gives its address: Linux's driver takes both, and
# where a BPF program may be loaded spreads flows by RSS.
# shellcheck shell=dash

serve_pairs() {
	for port in $(seq 7101 7116); do
		nc -l -p "$port" -e dd if=/run/given bs=64k 2>/dev/null &
		pair_helpers="$pair_helpers $!"
	done
}

make_pattern /run/given 1
sum=$(for port in $(seq 7101 7116); do cat /run/given; done | sha256sum | cut -d' ' -f1)
pair_helpers=
prepare=serve_pairs vm pairs "$LAB_STABLE_KERNEL" lab.test=pairs -c 2 --loglevel debug -n mode=tap,queues=2,host_ip=10.78.0.1/24
booted "a guest with two pairs of queues"
check_fact "the driver has two receive queues" queues 2
check_fact "16 connections bring their files whole" received "$sum"
check_fact "packets come by the first pair" interrupts-0 many
check_fact "and by the second" interrupts-1 many
# shellcheck disable=SC2086 # a list of process ids
kill $pair_helpers 2>/dev/null
rm -f /run/given
