# SPDX-License-Identifier: MIT
# Sockets between host and guest over unix sockets: a file each way, both directions, half closes, many connections.
# shellcheck shell=dash
only_on x86-64

sockets=/lab/programs/vsock
path=/run/vsock/vm
many=40

serve_vsock() {
	stop_vsock
	rm -rf /run/vsock /run/echoed /run/returned
	mkdir -p /run/vsock
	# Who only listens keeps an input that never ends; who gives the file closes his half behind it.
	$sockets from-guest ${path}_7201 </run/given >/dev/null &
	vsock_helpers=$!
	$sockets from-guest ${path}_7202 <>/run/never >/run/returned &
	vsock_helpers="$vsock_helpers $!"
	(
		# There is somebody at 7203 when the file has gone to the guest and come back: so the guest is up.
		until [ "$(stat -c %s /run/returned)" = $((file_mib << 20)) ]; do sleep 0.1; done
		$sockets to-guest $path 7203 </run/given >/run/echoed
		: >/run/many
		for number in $(seq $many); do
			echo "connection $number" | $sockets to-guest $path 7205 >/run/many."$number" &
		done
		wait
		for number in $(seq $many); do
			cat /run/many."$number" >>/run/many
		done
		# Nobody listens there: the connection ends without an answer.
		$sockets to-guest $path 7298 </dev/null 2>/run/refused
		echo finished | $sockets to-guest $path 7206
	) >/dev/null 2>&1 &
	vsock_helpers="$vsock_helpers $!"
}

stop_vsock() {
	# shellcheck disable=SC2086 # a list of process ids
	[ -z "$vsock_helpers" ] || kill $vsock_helpers 2>/dev/null
	vsock_helpers=
}

if [ ! -e $sockets ]; then
	skip 'sockets between host and guest' 'the lab has no compiler for its programs'
	exit 0
fi
[ -e /run/never ] || mkfifo /run/never
file_mib=1
make_pattern /run/given $file_mib
sum=$(sum_of /run/given)
dd if=$sockets of=/run/program.img bs=4096 conv=sync 2>/dev/null

# connections TRANSPORT KERNEL
connections() {
	title="$1, Linux $2"
	prepare=serve_vsock vm "vsock-$1-$2" "$2" "lab.test=vsock lab.vsock=many lab.many=$many" --virtio-transport "$1" \
		--vsock 9,socket=$path -d /run/program.img,ro,format=raw,serial=program
	stop_vsock
	booted "$title: a guest with sockets to the host"
	check_fact "$title: it knows its address" cid 9
	check_fact "$title: a port where nobody listens refuses it" refused "Connection reset by peer"
	check_fact "$title: a file reaches the guest" received "$sum"
	check "$title: and comes back by another connection" [ "$(sum_of /run/returned)" = "$sum" ]
	check "$title: the host connects, and what it sends comes back" [ "$(sum_of /run/echoed)" = "$sum" ]
	check "$title: $many connections at once, each with its own words" \
		[ "$(cat /run/many)" = "$(seq $many | sed 's/^/connection /')" ]
	check "$title: a port of the guest where nobody listens" grep -q 'did not take' /run/refused
	check_fact "$title: the host has said all" last finished
	check "$title: lkvm took its socket away" [ ! -e $path ]
}

connections pci "$LAB_KERNEL"
[ -z "$LAB_ALL" ] || connections mmio "${LAB_KERNELS%% *}"
rm -f /run/given /run/program.img
