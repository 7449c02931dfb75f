# SPDX-License-Identifier: MIT
# Devices as before VIRTIO 1.0, with the drivers that Linux has for them: disk, network, entropy, balloon, 9P, console.
# shellcheck shell=dash

mkdir -p /run/legacy /run/share
mount -t tmpfs tmpfs /run/legacy
cd /run/legacy || exit 1
echo hello >/run/share/from-host

serve() {
	rm -f /run/share/from-guest
	serve_file given.img
}

legacy() {	# legacy TRANSPORT KERNEL [LKVM ARGUMENT...]
	title="$1, Linux $2"
	transport=$1
	kernel=$2
	shift 2
	make_pattern given.img 1
	truncate -s 1M copy.img
	tunctl -t lab0 >/dev/null
	ip addr add 10.77.0.1/24 dev lab0
	ip link set lab0 up
	# Not console=hvc0: the driver is a module in Linux 6.1 here, and without a console init cannot start.
	prepare=serve vm "$transport-$kernel" "$kernel" lab.test=legacy --virtio-transport "$transport" \
		--console virtio -d given.img,ro -d copy.img -n mode=tap,tapif=lab0 --rng --balloon --9p /run/share,share "$@"
	booted "$title: a guest with a device of each kind"
	check_fact "$title: no device says VERSION_1" modern 0
	check "$title: the disk that it wrote is what it read" cmp given.img copy.img
	check_fact "$title: 1 MiB by TCP reach it whole" received "$(sum_of given.img)"
	check "$title: and come back whole" cmp given.img returned
	check_fact "$title: the entropy device gives bytes" rng-bytes 512
	check_fact "$title: the balloon has its driver" balloon virtio_balloon
	case $kernel in
	*-generic) # kernels for clouds have no 9P
		check_fact "$title: it reads what the host wrote" reads hello
		check "$title: the host reads what it wrote" grep -qx from-guest /run/share/from-guest
		;;
	esac
	check "$title: 100 lines on the virtio console arrive whole" [ "$(lines_of '^line [0-9]{4} of the legacy test$')" = 100 ]
	stop_serving
	tunctl -d lab0 >/dev/null
}

# The oldest kernel of the lab, and the newest.
oldest=
for kernel in $LAB_KERNELS; do
	case $kernel in
	*-generic) oldest=${oldest:-$kernel} ;;
	esac
done
legacy pci-legacy "$oldest"
legacy mmio-legacy "$LAB_FULL_KERNEL"
if [ -n "$LAB_ALL" ]; then
	legacy pci-legacy "$LAB_FULL_KERNEL"
	legacy mmio-legacy "$oldest"
fi
cd /out && umount -l /run/legacy
rm -rf /run/share
