# SPDX-License-Identifier: MIT
# virtio-net with two pairs of queues, on a tap that lkvm makes and gives its address: Linux's driver takes both, and
# where a BPF program may be loaded spreads flows by RSS: by the table that it begins with, and by one that names the second
# pair alone.
# shellcheck shell=dash

serve_pairs() {
	for port in $(seq 7101 7132); do
		nc -l -p "$port" -e dd if=/run/given bs=64k 2>/dev/null &
		pair_helpers="$pair_helpers $!"
	done
}

make_pattern /run/given 1
sum=$(for port in $(seq 7101 7116); do cat /run/given; done | sha256sum | cut -d' ' -f1)
# Without a compiler there is no program that changes the table, and an empty disk for it.
rss=/lab/programs/rss-table
[ -e $rss ] || rss=/dev/null
dd if=$rss of=/run/rss.img bs=4096 conv=sync 2>/dev/null
truncate -s 2M /run/rss.img
for vhost in 0 1; do
	kind=$([ $vhost = 0 ] || echo "by vhost-net: ")
	pair_helpers=
	prepare=serve_pairs vm "pairs-$vhost" "$LAB_STABLE_KERNEL" lab.test=pairs -c 2 --loglevel debug \
		-n mode=tap,queues=2,host_ip=10.78.0.1/24,vhost=$vhost -d /run/rss.img,ro,format=raw
	booted "${kind}a guest with two pairs of queues"
	check_fact "${kind}the driver has two receive queues" queues 2
	check_fact "${kind}16 connections bring their files whole" received "$sum"
	check_fact "${kind}packets come by the first pair" interrupts-0 many
	check_fact "${kind}and by the second" interrupts-1 many
	if [ $rss != /dev/null ]; then
		check_fact "${kind}the driver's table for RSS has its entries" table 128
		check_fact "${kind}16 more bring theirs, by a table that names the second pair alone" received-again "$sum"
		check_fact "${kind}then packets come by the second pair" again-1 many
		check_fact "${kind}and not by the first" again-0 few
	else
		skip "${kind}the table for RSS" "the lab has no compiler for its programs"
	fi
	# shellcheck disable=SC2086 # a list of process ids
	kill $pair_helpers 2>/dev/null
done
rm -f /run/given /run/rss.img
