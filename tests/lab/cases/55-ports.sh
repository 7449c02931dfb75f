# SPDX-License-Identifier: MIT
# Ports of virtio-console.
# shellcheck shell=dash

for transport in $(transports); do
	dir=/tmp/ports-$transport
	mkdir $dir
	mkfifo $dir/agent.in $dir/agent.out
	# Holds both open, so that neither side waits for the other.
	(
		exec 3<>$dir/agent.out 4<>$dir/agent.in
		read -r line <&3
		echo "the host heard: $line" >&4
		sleep 1000
	) &
	host=$!
	vm ports-$transport "$LAB_STABLE_KERNEL" lab.test=ports --virtio-transport $transport \
		--port agent,pipe=$dir/agent --port log,file=$dir/log --port screen,file=$dir/screen,console
	kill $host
	booted "$transport: a guest with three ports"
	check_fact "$transport: the guest knows them by name" ports "agent log screen "
	check_fact "$transport: both directions of a port" answer "the host heard: the guest speaks"
	check "$transport: 5000 lines arrive whole" [ "$(seq 1 5000 | md5sum)" = "$(md5sum <$dir/log)" ]
	check "$transport: a port that is a console" grep -q "on the second console" $dir/screen
done
