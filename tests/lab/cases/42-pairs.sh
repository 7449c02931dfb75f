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

head -c 262144 /dev/urandom >/run/given
sum=$(for port in $(seq 7101 7116); do cat /run/given; done | sha256sum | cut -d' ' -f1)
for vhost in 0 1; do
	kind=$([ $vhost = 0 ] || echo "by vhost-net: ")
	pair_helpers=
	prepare=serve_pairs vm "pairs-$vhost" "$LAB_STABLE_KERNEL" lab.test=pairs -c 2 --loglevel debug \
		-n mode=tap,queues=2,host_ip=10.78.0.1/24,vhost=$vhost
	booted "${kind}a guest with two pairs of queues"
	check_fact "${kind}the driver has two receive queues" queues 2
	check_fact "${kind}16 connections bring their files whole" received "$sum"
	# Without messages all queues have one line.
	if [ -n "${LAB_MSIX-yes}" ]; then
		check_fact "${kind}packets come by the first pair" interrupts-0 many
		check_fact "${kind}and by the second" interrupts-1 many
	fi
	# shellcheck disable=SC2086 # a list of process ids
	kill $pair_helpers 2>/dev/null
done
rm -f /run/given
