# SPDX-License-Identifier: MIT
# A network without privileges, by passt: an ordinary user of L1 starts lkvm, and the guest has an address by DHCP, names by
# DNS, connections out and, by a forwarded port, in.
# shellcheck shell=dash
only_on x86-64

serve_passt() {
	stop_passt
	rm -f /run/returned
	nc -l -p 7301 -e dd if=/run/given bs=64k 2>/dev/null &
	passt_helpers=$!
	(
		until wget -q -O /run/returned http://127.0.0.1:7380/file; do sleep 0.2; done
		echo finished | nc -l -p 7302
	) >/dev/null 2>&1 &
	passt_helpers="$passt_helpers $!"
}

stop_passt() {
	# shellcheck disable=SC2086 # a list of process ids
	[ -z "$passt_helpers" ] || kill $passt_helpers 2>/dev/null
	passt_helpers=
}

responder=/lab/programs/dns-responder
if ! [ -e /usr/bin/passt ] || ! [ -e $responder ]; then
	skip 'a network without privileges' 'the lab has no passt, or no compiler for its programs'
	exit 0
fi

# What an ordinary machine has: an interface with an address and a route to everywhere, and a name server.
ip link add up0 type veth
ip addr add 10.80.0.5/24 dev up0
for link in up0 veth0; do
	ip link set $link up
done
ip route add default via 10.80.0.1
$responder 127.0.0.1 peer.lab 10.80.0.6 &
responder=$!
echo nameserver 127.0.0.1 >/etc/resolv.conf
echo 'alice:x:1000:1000::/tmp:/bin/sh' >/etc/passwd
echo 'alice:x:1000:' >/etc/group
chmod 1777 /tmp
chmod 666 /dev/kvm
# passt wants a root that can be put aside, which an initramfs is not; so alice has another view of it.
cat >/run/as-alice <<-'END'
	#!/bin/sh
	program=$(command -v "$1")
	shift
	mkdir -p /run/root
	mount --rbind / /run/root
	cd /run/root || exit
	mount --move . /
	exec chroot . start-stop-daemon -S -c alice -x "$program" -- "$@"
END
chmod +x /run/as-alice

# passt as a vhost-user back end: the guest's queues are its own, and lkvm starts nothing.
cat >/run/with-passt <<-'END'
	#!/bin/sh
	passt --foreground --quiet --one-off --vhost-user --socket /tmp/net.sock --tcp-ports 127.0.0.1/7380:80 >/tmp/passt.log 2>&1 &
	# Between its name and its listening a connection is refused; one that only looks would be the one that it takes.
	until grep -q ' 00010000 .* /tmp/net.sock$' /proc/net/unix; do sleep 0.1; done
	exec "$@"
END
chmod +x /run/with-passt

make_pattern /run/given 1
sum=$(sum_of /run/given)
prepare=serve_passt under="unshare -m /run/as-alice" vm passt "$LAB_STABLE_KERNEL" "lab.test=passt lab.peer=peer.lab" \
	-n mode=user,forward=tcp:127.0.0.1:7380:80
stop_passt
booted "an ordinary user's guest on a network by passt"
check_fact "it has an address by DHCP" address 10.80.0.5/24
check_fact "it finds a name" name 10.80.0.6
check_fact "a file comes from the host" received "$sum"
check "a file goes by the forwarded port" [ "$(sum_of /run/returned)" = "$sum" ]
check_fact "the host has said all" last finished
check_says_not "passt has no complaint" "^lkvm: "
check "passt has ended" eval '! pidof passt passt.avx2'

prepare=serve_passt under="unshare -m /run/as-alice /run/with-passt" \
	vm passt-vhost-user "$LAB_STABLE_KERNEL" "lab.test=passt lab.peer=peer.lab" -n mode=vhost-user,socket=/tmp/net.sock
stop_passt
booted "an ordinary user's guest whose packets passt takes from its queues (vhost-user)"
check_fact "it has an address by DHCP" address 10.80.0.5/24
check_fact "it finds a name" name 10.80.0.6
check_fact "a file comes from the host" received "$sum"
check "a file goes by the forwarded port" [ "$(sum_of /run/returned)" = "$sum" ]
check_fact "the host has said all" last finished
check_says_not "lkvm has no complaint" "^lkvm: "
# It ends with its connection, which a guest that failed may not have made.
[ "$status" = 0 ] || killall passt passt.avx2 2>/dev/null
while pidof passt passt.avx2 >/dev/null; do
	sleep 0.2
done
kill $responder
ip link del up0
rm -f /tmp/net.sock /tmp/passt.log /run/given /run/returned /etc/resolv.conf /etc/passwd /etc/group
