# SPDX-License-Identifier: MIT
# The memory balloon: memory that the guest hands over, and what it reports as free, is the host's again; the guest takes
# pages back before it runs out.
# shellcheck shell=dash
only_on x86-64

resident() {	# KiB of lkvm's memory that are there
	sed -n 's/^Rss: *\([0-9]*\) kB/\1/p' "/proc/$(pidof lkvm)/smaps_rollup"
}

fell_to() {
	[ "$(resident)" -lt "$1" ]
}

# The guest waits for a key at each step. What it filled is there; then it is freed, and reported in the guest's own time.
watch_balloon() {
	wait_for says 'LAB-L2 filled'
	resident >/run/filled
	printf '\r'
	wait_for says 'LAB-L2 freed'
	# Of 160 MiB a part stays in the kernel's smaller pieces.
	wait_for fell_to $(($(cat /run/filled) - 100 * 1024)) && touch /run/reported
	printf '\r'
}

for transport in $(transports); do
	kernel=$LAB_KERNEL
	[ $transport = pci ] || kernel=${LAB_KERNELS%% *}
	rm -f /run/filled /run/reported
	mem=512 keys=watch_balloon vm "balloon-$transport" "$kernel" lab.test=balloon --virtio-transport $transport \
		--balloon --balloon-size 128M
	title="$transport, Linux $kernel"
	booted "$title: a guest with a balloon"
	# Bits 1, 2 and 5 (VIRTIO 1.3, 5.5.3); pages poisoned or not is the guest's choice.
	check_fact "$title: statistics, deflate on oom and reporting are agreed upon" features 111
	check_fact "$title: it hands over what it is asked for" inflated yes
	check "$title: it filled the rest" [ -s /run/filled ]
	check "$title: what it freed went back to the host" [ -e /run/reported ]
	check_fact "$title: it takes pages back rather than run out of memory" deflated yes
	check_says_not "$title: and kills nothing" 'Out of memory|oom-kill'
done
