# SPDX-License-Identifier: MIT
# Devices that L1's kernel serves: sockets between host and guest by vhost-vsock, which see a reboot, and a card by
# vhost-net beside them. (TCP by vhost-net is 40-network's and 42-pairs'.)
# shellcheck shell=dash

vsock=/lab/programs/vsock
if [ ! -e $vsock ]; then
	skip "sockets by the host's kernel" "there is no compiler for the program that uses them"
	exit 0
fi

# Each until it is ended. A file each way; what the guest sends back; packets.
serve_vsock() {
	rm -f /run/returned /run/echoed
	(while :; do $vsock listen 7201 </run/given; done) >/dev/null 2>&1 &
	helpers=$!
	(while $vsock listen 7202 <>/run/never >/run/coming; do mv /run/coming /run/returned; done) 2>/dev/null &
	helpers="$helpers $!"
	(while :; do $vsock connect 7 7203 retry </run/given >/run/echoed; done) 2>/dev/null &
	helpers="$helpers $!"
	(while :; do $vsock listen 7204 seqpacket echo; done) 2>/dev/null &
	helpers="$helpers $!"
	truncate -s 0 /run/memory.img
	truncate -s 1M /run/memory.img
}

stop_vsock() {
	# shellcheck disable=SC2086 # a list of process ids
	kill $helpers 2>/dev/null
	killall vsock 2>/dev/null
}

[ -p /run/never ] || mkfifo /run/never
make_pattern /run/given 1
sum=$(sum_of /run/given)
dd if=$vsock of=/run/program.img bs=4096 conv=sync 2>/dev/null
for transport in $(transports); do
	prepare=serve_vsock vm "vhost-$transport" "$LAB_STABLE_KERNEL" "lab.test=vsock lab.vsock=seqpacket" \
		--virtio-transport $transport -d /run/program.img,ro,serial=program -d /run/memory.img,serial=memory \
		--vsock 7 -n mode=tap,vhost=1,host_ip=10.79.0.1/24
	stop_vsock
	booted "$transport: a guest whose sockets and card are L1's kernel's"
	check "$transport: it booted twice" [ "$(lines_of ^LAB-L2-UP)" = 2 ]
	check "$transport: both times its card reached the host" [ "$(lines_of '^LAB-L2 ping yes')" = 2 ]
	check_fact "$transport: it has the address that it was given" cid 7
	check_fact "$transport: where nobody listens it is refused" refused "Connection reset by peer"
	check "$transport: both times the host's file arrived whole" [ "$(lines_of "^LAB-L2 received $sum")" = 2 ]
	check "$transport: and came back" [ "$(sum_of /run/returned)" = "$sum" ]
	check "$transport: both times the host reached the guest" [ "$(lines_of '^LAB-L2 echoed yes')" = 2 ]
	check_fact "$transport: packets keep their bounds" packet packet
done
rm -f /run/given /run/coming /run/returned /run/echoed /run/program.img /run/memory.img
