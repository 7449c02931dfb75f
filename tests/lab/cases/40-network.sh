# SPDX-License-Identifier: MIT
# virtio-net on a tap of L1: ping and TCP, both ways, on both transports.
# shellcheck shell=dash

file_mib=4
# nc ends as soon as the other side has nothing more to say: who only listens keeps an input that never ends.
mkfifo /run/never
for transport in pci mmio; do
	rm -f /run/pinged /run/returned
	make_pattern /run/given $file_mib
	tunctl -t lab0 >/dev/null
	ip addr add 10.77.0.1/24 dev lab0
	ip link set lab0 up

	# The other end of what l2/network does; all of it ends with the guest.
	nc -l -p 7001 </run/given &
	helpers=$!
	nc -l -p 7002 >/run/returned <>/run/never &
	helpers="$helpers $!"
	(
		until ping -c 1 -W 1 10.77.0.2 >/dev/null 2>&1; do sleep 0.3; done
		touch /run/pinged
		while :; do echo pinged | nc -l -p 7003; done
	) >/dev/null 2>&1 &
	helpers="$helpers $!"

	vm "network-$transport" 6.12-cloud "lab.test=network lab.ip=10.77.0.2 lab.host=10.77.0.1" \
		--virtio-transport $transport -n mode=tap,tapif=lab0
	booted "$transport: a guest on a tap"
	check_fact "$transport: the guest pings the host" ping-host yes
	check "$transport: the host pings the guest" [ -e /run/pinged ]
	check_fact "$transport: $file_mib MiB by TCP reach the guest whole" received "$(sum_of /run/given)"
	check "$transport: $file_mib MiB by TCP come back whole" [ "$(sum_of /run/returned)" = "$(sum_of /run/given)" ]

	# shellcheck disable=SC2086 # a list of process ids
	kill $helpers 2>/dev/null
	killall nc 2>/dev/null
	tunctl -d lab0 >/dev/null
done
