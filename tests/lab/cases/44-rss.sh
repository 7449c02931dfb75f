# SPDX-License-Identifier: MIT
# RSS on a tap with two pairs of queues: /proc/interrupts shows that packets of many flows follow the table that the guest
# gives to its card. Linux's own steering of flows would not bring all of them to the second pair.
# shellcheck shell=dash
only_on x86-64

serve_rss() {
	rss_helpers=
	for port in $(seq 7201 7232); do
		nc -l -p "$port" -e dd if=/run/given bs=64k 2>/dev/null &
		rss_helpers="$rss_helpers $!"
	done
}

if [ -e /lab/programs/rss-table ]; then
	make_pattern /run/given 1
	sum=$(for port in $(seq 7201 7216); do cat /run/given; done | sha256sum | cut -d' ' -f1)
	dd if=/lab/programs/rss-table of=/run/rss.img bs=4096 conv=sync 2>/dev/null
	truncate -s 2M /run/rss.img
	prepare=serve_rss vm rss 7.2-cloud lab.test=rss -c 2 \
		-n mode=tap,queues=2,host_ip=10.79.0.1/24 -d /run/rss.img,ro,format=raw
	booted "a guest that programs RSS"
	check_fact "a table that names the second pair alone is taken" second-table 128
	check_fact "16 connections bring their files whole by it" second-sum "$sum"
	check_fact "none by the first pair" second-0 few
	check_fact "but all by the second" second-1 many
	check_fact "a table that names both is taken" both-table 128
	check_fact "16 more bring theirs" both-sum "$sum"
	check_fact "some by the first pair" both-0 many
	check_fact "and some by the second" both-1 many
	# shellcheck disable=SC2086 # a list of process ids
	kill $rss_helpers 2>/dev/null
	rm -f /run/given /run/rss.img
else
	skip "RSS by the guest's table" "the lab has no compiler for its programs"
fi
