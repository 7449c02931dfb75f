# SPDX-License-Identifier: MIT
# A guest on two macvtaps of L1: one by its name, one as a descriptor that lkvm inherits. The other ends of the pairs of
# interfaces below are L1's own addresses.
# shellcheck shell=dash

serve_macvtap() {
	stop_macvtap
	for port in 7401 7402; do
		nc -l -p $port -e dd if=/run/given bs=64k 2>/dev/null &
		macvtap_helpers="$macvtap_helpers $!"
	done
}

stop_macvtap() {
	# shellcheck disable=SC2086 # a list of process ids
	[ -z "$macvtap_helpers" ] || kill $macvtap_helpers 2>/dev/null
	macvtap_helpers=
}

for number in 0 1; do
	ip link add low$number type veth
	ip link set veth0 name high$number
	ip addr add 10.81.$number.1/24 dev high$number
	ip link add link low$number name mv$number type macvtap
	for link in low high mv; do
		ip link set $link$number up
	done
done
make_pattern /run/given 2
sum=$(sum_of /run/given)
read -r address </sys/class/net/mv0/address
read -r inherited </sys/class/net/mv1/address
read -r index </sys/class/net/mv1/ifindex
# What a device manager does.
for number in 0 1; do
	for dev in /sys/class/net/mv$number/macvtap/tap*/dev; do
		IFS=: read -r major minor <"$dev"
		node=${dev%/dev}
		[ -e "/dev/${node##*/}" ] || mknod "/dev/${node##*/}" c "$major" "$minor"
	done
done
prepare=serve_macvtap vm macvtap "$LAB_STABLE_KERNEL" lab.test=macvtap \
	-n mode=macvtap,tapif=mv0 -n "fd=9,guest_mac=$inherited" 9<>"/dev/tap$index"
stop_macvtap
booted "a guest on two macvtaps"
check_fact "its card has the macvtap's address" address "$address"
check_fact "a file comes by the macvtap" received-0 "$sum"
check_fact "a file comes by the inherited descriptor" received-1 "$sum"
for number in 0 1; do
	ip link del low$number
done
rm -f /run/given
