# SPDX-License-Identifier: MIT
# virtio-net on two taps of L1: ping, and TCP both ways in large segments, on both transports and by vhost-net.
# shellcheck shell=dash

file_mib=4

# bytes_each TAP: how many bytes a packet that the guest sent had on average.
bytes_each() {
	read -r bytes <"/sys/class/net/$1/statistics/rx_bytes"
	read -r packets <"/sys/class/net/$1/statistics/rx_packets"
	echo $((bytes / (packets + 1)))
}

# The other end of what l2/network does; all of it ends with the guest. dd writes to the connection itself: nc would
# hand over 1 KiB at a time, which TCP may send as it comes.
serve() {
	stop_serving
	rm -f /run/pinged /run/returned
	nc -l -p 7001 -e dd if=/run/given bs=1M 2>/dev/null &
	helpers=$!
	nc -l -p 7002 >/run/returned <>/run/never &
	helpers="$helpers $!"
	(
		until ping -c 1 -W 1 10.77.0.2 >/dev/null 2>&1; do sleep 0.3; done
		touch /run/pinged
		until [ "$(stat -c %s /run/returned)" = $((file_mib << 20)) ]; do sleep 0.3; done
		while :; do echo pinged | nc -l -p 7003; done
	) >/dev/null 2>&1 &
	helpers="$helpers $!"
}

stop_serving() {
	# shellcheck disable=SC2086 # a list of process ids
	[ -z "$helpers" ] || kill $helpers 2>/dev/null
	helpers=
	killall nc 2>/dev/null
}

# nc ends as soon as the other side has nothing more to say: who only listens keeps an input that never ends.
mkfifo /run/never
make_pattern /run/given $file_mib
sum=$(sum_of /run/given)
for kind in pci mmio vhost; do
	case $kind in
	vhost)
		transport=pci
		vhost=,vhost=1
		;;
	*)
		transport=$kind
		vhost=
		;;
	esac
	for number in 0 1; do
		tunctl -t lab$number >/dev/null
		ip addr add 10.77.$number.1/24 dev lab$number
		ip link set lab$number up
	done

	prepare=serve vm "network-$kind" "$LAB_STABLE_KERNEL" "lab.test=network lab.net=10.77" --virtio-transport $transport \
		-n mode=tap,tapif=lab0$vhost -n mode=tap,tapif=lab1$vhost
	booted "$kind: a guest on two taps"
	check_fact "$kind: the guest pings the host, by each of its cards" ping-both yes
	check "$kind: the host pings the guest" [ -e /run/pinged ]
	check_fact "$kind: $file_mib MiB by TCP reach the guest whole" received "$sum"
	check "$kind: $file_mib MiB by TCP come back whole" [ "$(sum_of /run/returned)" = "$sum" ]
	# The mean, acknowledgements included: more than one MTU only if segments are larger. (What the guest is
	# sent depends on how fast it acknowledges.)
	check "$kind: the guest sends segments larger than its MTU (TSO)" [ "$(bytes_each lab0)" -gt 1600 ]

	stop_serving
	tunctl -d lab0 >/dev/null
	tunctl -d lab1 >/dev/null
done
rm -f /run/given /run/returned
