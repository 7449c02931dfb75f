# SPDX-License-Identifier: MIT
# What is behind a device goes away while the guest uses it: a tap is deleted, a disk's file is cut short, the reader of a
# port ends. The guest has errors and goes on, and so does lkvm, to the power-off.
# shellcheck shell=dash
only_on x86-64

# The guest waits for a key at each step.
take_away() {
	wait_for says 'LAB-L2 tap used'
	ip link del lab0
	printf '\r'
	wait_for says 'LAB-L2 disk used'
	: >/run/cut.img
	printf '\r'
	# It has opened the port, and waits for us to have it open.
	cat </run/screen >/run/heard &
	wait_for grep -q hello /run/heard
	kill $!
	wait_for says 'LAB-L2 port-ended'
}

prepare_removal() {
	rm -f /run/cut.img
	: >/run/heard
	make_pattern /run/cut.img 8
	tunctl -t lab0 >/dev/null
	ip addr add 10.82.0.1/24 dev lab0
	ip link set lab0 up
}

for transport in $(transports); do
	prepare=prepare_removal keys=take_away vm "removal-$transport" "$LAB_STABLE_KERNEL" lab.test=removal \
		--virtio-transport $transport -n mode=tap,tapif=lab0 -d /run/cut.img,format=raw --port screen,pty=/run/screen
	booted "$transport: a guest whose devices lose what is behind them"
	check_fact "$transport: a deleted tap is a link that is down" carrier 0
	check_fact "$transport: readers of a file that is cut short see errors" readers '4 of 4'
	check_fact "$transport: and so do later ones" read 'Input/output error'
	check_fact "$transport: a reader of a port that goes is the end of its file" port-ended yes
	check "$transport: each is told once" \
		[ "$(lines_of "^lkvm: .*lab0.*removed")/$(lines_of "^lkvm: .*cut.img")" = 1/1 ]
	ip link del lab0 2>/dev/null
done
rm -f /run/cut.img /run/heard
