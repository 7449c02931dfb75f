#!/bin/bash
# SPDX-License-Identifier: MIT
# lkvm run --vfio over the model of VFIO: devices that a guest uses on the host's KVM, by each way, and what stands in
# the way. TAP.
# shellcheck disable=SC2154 # of lib.sh
# shellcheck source=tests/model/vfio-lib.sh
. "$(dirname "$0")/vfio-lib.sh"
guest=(-k "$guests/passed.flat" --kernel-format flat --nodefaults -m 32 -c 1)

# uses HOST ARGUMENT...: the guest finds nothing wrong.
uses() {
	host "$1"
	shift
	launch 0 "$host" '' "${guest[@]}" "$@" && { ! grep -q wrong out || ! sed 's/^/# out: /' out; }
}
# cannot HOST TEXT ARGUMENT...: one line, status 1.
cannot() {
	host "$1"
	local text=$2
	shift 2
	refuses "$host" '' "$text" "${guest[@]}" "$@"
}
# fails SCRIPT HOST TEXT ARGUMENT...: the same, when a call fails.
fails() {
	local script=$1 text=$3
	host "$2"
	shift 3
	refuses "$host" "$script" "$text" "${guest[@]}" "$@"
}
saw() {
	local text
	for text; do
		grep -qF -- "$text" out || { echo "# not on the console: $text" && sed 's/^/# out: /' out && return 1; }
	done
}

interrupts=('intx: ok' 'intx again: ok' 'msi: ok' 'msix: ok' 'msix masked: ok' 'msix unmasked: ok')
edu_works() { uses "$@" && saw 'registers: ok' 'alive: ok' 'mapped: ok' 'dma: ok' "${interrupts[@]}" 'flr: ok'; }
twice() { uses "$@" -p reboot && [ "$(grep -c 'dma: ok' out)" = 2 ] && [ "$(grep -c 'unmasked: ok' out)" = 2 ]; }
for way in iommufd groups; do
	options=
	[ $way = iommufd ] || options=,$groups
	point "$way: registers, a mapped BAR, DMA, interrupts, a reset of the function" edu_works "edu$options" --vfio 0000:01:00.0
	point "$way: the same after a reboot" twice "edu$options" --vfio 0000:01:00.0
	point "$way: with more memory than goes into one map" edu_works "edu$options,max-map=0x20000000" --vfio 01:00.0 -m 1280
	point "$way: the same by KVM's own IOAPIC" edu_works "edu$options" --vfio 0000:01:00.0 --irqchip full
	point "$way: vectors that cannot be added to those that are on" edu_works "edu,noresize$options" --vfio 0000:01:00.0
	point "$way: registers on the page of an MSI-X table" uses "edu+nvme$options" --vfio 0000:02:00.0 -p nvme
	point "$way: nvme is as it was" saw 'registers: ok' "${interrupts[@]:3}"
	point "$way: its vectors cannot be added" uses "edu+nvme,noresize$options" --vfio 0000:02:00.0 -p nvme
	point "$way: two of one group" edu_works "edu+nvme,together$options" --vfio 0000:01:00.0 --vfio 0000:02:00.0
	point "$way: DMA from one to the other" uses "edu+nvme$options" --vfio 0000:01:00.0 --vfio 0000:02:00.0 -p peer
	point "$way: which says so" saw 'peer: ok'
	point "$way: an mdev" uses "mtty$options" --vfio $uuid -p list
	point "$way: which the guest sees" grep -q ': 32534348' out
	point "$way: by its path" uses "mtty$options" --vfio /sys/bus/mdev/devices/$uuid -p list
	point "$way: a device that lies is no danger" uses "liar$options" --vfio 0000:01:00.0 -p list
	point "$way: and is told of" says 'the chain is broken'

	point "$way: a device with a driver of the host's" cannot "edu,host=edu$options" 'lkvm vfio bind 0000:01:00.0' --vfio 0000:01:00.0
	point "$way: a device without a driver" cannot "edu,loose=edu$options" 'lkvm vfio bind 0000:01:00.0' --vfio 0000:01:00.0
	point "$way: a device that somebody else uses" cannot "edu,busy=edu$options" 'Device or resource busy' --vfio 0000:01:00.0
	point "$way: a device that does not exist" cannot "edu$options" 'lkvm vfio list' --vfio 0000:09:00.0
	point "$way: a host without an IOMMU" cannot "edu,iommu=off$options" 'intel_iommu=on' --vfio 0000:01:00.0
	point "$way: more memory than may be locked" cannot "edu,memlock=0x1000000$options" 'ulimit -l' --vfio 0000:01:00.0
	point "$way: a window of messages amid memory" cannot "edu,msi=0x800000$options" \
		'memory at 0x0-0x1ffffff includes 0x800000-0x8fffff, which the IOMMU reserves for interrupts' --vfio 0000:01:00.0
	point "$way: an IOMMU with few address bits" cannot "edu,aperture=24$options" 'the IOMMU only to 0xffffff' --vfio 0000:01:00.0
done
point 'virtio: capabilities of its vendor' uses virtio --vfio 0000:01:00.0 -p list
point 'virtio: all four of them' grep -qE ': 10411af4.*( 9@[0-9a-f]+){4}' out
bus_reset() { edu_works edu,noreset --vfio 0000:01:00.0 && logged '"call": "VFIO_DEVICE_PCI_HOT_RESET", "on": "vfio", "ret": 0'; }
point 'iommufd: a device that is only reset with its bus' bus_reset
# One device's BARs are not mapped for others, and what was not mapped is not unmapped when the guest resets it.
alone() { edu_works edu --vfio 0000:01:00.0 && ! grep -E '^."refused|DMA_BUF|MAP_FILE' log; }
point 'iommufd: a BAR that nobody else reaches' alone
two() { edu_works edu+nvme --vfio 0000:01:00.0 --vfio 0000:02:00.0 && ! grep '^."refused' log && logged '"call": "IOMMU_IOAS_MAP_FILE"'; }
point 'iommufd: BARs that two devices reach' two
no_peer() {
	host edu+nvme,dmabuf=off
	launch 1 "$host" '' "${guest[@]}" --loglevel info --vfio 0000:01:00.0 --vfio 0000:02:00.0 -p peer && saw 'peer: wrong' &&
		says 'do not reach its BAR 2: the kernel gives no dma-buf of it'
}
point 'iommufd: a kernel without dma-bufs of BARs' no_peer
bus_reset() { edu_works "$@" && logged '"call": "VFIO_DEVICE_PCI_HOT_RESET", "on": "vfio", "ret": 0' && ! says 'not reset'; }
point 'iommufd: a device that is only reset with its bus' bus_reset edu,noreset --vfio 0000:01:00.0
point 'groups: a device that is only reset with its bus' bus_reset "edu,noreset,$groups" --vfio 0000:01:00.0
for options in '' ",$groups"; do
	point "with its bus, where another of its group is that nobody uses${options:+: by groups}" \
		bus_reset "edu+nvme,together,noreset$options" --vfio 0000:01:00.0
	point "with its bus, where another of the machine's is${options:+: by groups}" \
		bus_reset "edu+nvme,together,noreset$options" --vfio 0000:02:00.0 --vfio 0000:01:00.0
done
pasids() {
	edu_works edu,pasid=16 --vfio 0000:01:00.0,pasid=on && says 'sees PASIDs of 16 bits (capability at 0xff8), but can use none' &&
		logged '"call": "VFIO_DEVICE_ATTACH_IOMMUFD_PT", "on": "vfio", "ret": 0'
}
point 'pasid=on: shown, and said to be of no use' pasids
point 'pasid=on: an IOMMU without' cannot edu 'has no PASIDs; omit it' --vfio 0000:01:00.0,pasid=on
point 'pasid=on: a kernel that attaches none' fails 'fail VFIO_DEVICE_ATTACH_IOMMUFD_PT 2 EINVAL' edu,pasid=16 'attaches no PASIDs' --vfio 0000:01:00.0,pasid=on
point 'pasid=on: by groups' cannot "edu,$groups" 'needs iommufd' --vfio 0000:01:00.0,pasid=on
point 'pasid=on: an mdev' cannot mtty 'a software device has no IOMMU' --vfio $uuid,pasid=on
# told HOST TEXT: it says that, and the machine goes on; the guest never ends by itself. The shell is not over the model.
# shellcheck disable=SC2016 # for the inner shell
told() {
	host "$1"
	rm -f err
	modelled "$host" '' env -u LD_PRELOAD SO="$model" TEXT="$2" sh -c 'LD_PRELOAD=$SO "$0" "$@" 2>err &
		until grep -qF -- "$TEXT" err || ! kill -0 $!; do sleep 0.1; done
		kill -TERM $! && wait $!' "$lkvm" run "${guest[@]/passed/exit}" -p hang --vfio 0000:01:00.0 >out 2>/dev/null </dev/null
	[ $? = 143 ] && one_line "$2" && return
	sed 's/^/# /' out err && return 1
}
point 'the host wants the device back' told edu,tells=req "the host wants the device back, and waits for it: stop the machine ('lkvm list', 'lkvm stop NAME')"
point 'the device has an error' told edu,tells=err 'error: --vfio 0000:01:00.0: the device had an uncorrected error'
point 'groups: the device has an error' told "edu,tells=err,$groups" 'the device had an uncorrected error'
bus_reset() { edu_works edu,noreset --vfio 0000:01:00.0 && logged '"call": "VFIO_DEVICE_PCI_HOT_RESET", "on": "vfio", "ret": 0'; }
point 'iommufd: a device that is only reset with its bus' bus_reset
point 'groups: beside a device of the host' cannot "edu+nvme,host=nvme,together,$groups" 'lkvm vfio bind --group 0000:01:00.0' --vfio 0000:01:00.0
point 'iommufd: beside a device of the host' cannot edu+nvme,host=nvme,together '0000:02:00.0 (nvme)' --vfio 0000:01:00.0
point 'groups: no more maps' cannot "edu,$groups,dma-avail=1" dma_entry_limit --vfio 0000:01:00.0 -m 5000
point 'iommufd, and a kernel without cdevs: by groups' edu_works edu,cdev=off --vfio 0000:01:00.0
point 'iommufd=on on a kernel without cdevs' cannot edu,cdev=off CONFIG_VFIO_DEVICE_CDEV --vfio 0000:01:00.0,iommufd=on
point 'iommufd=on on a host without' cannot "edu,$groups" iommufd=on --vfio 0000:01:00.0,iommufd=on
# Root without the right to lock what it likes has limits; the soft one is lkvm's to raise.
limited_to() {
	local limit=$1
	shift
	# shellcheck disable=SC2034 # lib.sh uses it
	(ulimit -S -l 64 && ulimit -H -l "$limit" && runner=(setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock) && "$@")
}
if [ "$(id -u)" = 0 ] && (ulimit -H -l 8192 && setpriv --bounding-set=-ipc_lock true) 2>/dev/null; then
	point 'a limit of locked memory' limited_to 64 cannot edu 'needs 32M of locked memory, the limit is 64K: raise it (ulimit -l 32768,' --vfio 0000:01:00.0
	point 'a soft limit of locked memory' limited_to 8192 edu_works edu --vfio 0000:01:00.0 -m 7
else
	skip 'a limit of locked memory' 'it cannot be set here'
	skip 'a soft limit of locked memory' 'it cannot be set here'
fi
# A signal while memory is pinned ends lkvm as any program, with nothing of the machine left.
ended() {
	host "$1"
	launch 143 "$host" "signal $2 2 sig=15" "${guest[@]}" --vfio 0000:01:00.0 -m 1280
}
point 'iommufd: a signal while memory is pinned' ended edu IOMMU_IOAS_MAP
point 'groups: a signal while memory is pinned' ended edu,$groups VFIO_IOMMU_MAP_DMA
point 'a binding that fails' fails 'fail VFIO_DEVICE_BIND_IOMMUFD 1 ENOMEM' edu 'Cannot allocate memory' --vfio 0000:01:00.0
point 'a map that fails' fails 'fail IOMMU_IOAS_MAP 1 ENOMEM' edu 'Cannot allocate memory' --vfio 0000:01:00.0
point 'groups: a map that fails' fails 'fail VFIO_IOMMU_MAP_DMA 2 ENOMEM' "edu,$groups" 'LimitMEMLOCK=' --vfio 0000:01:00.0 -m 1280
balloon() {
	host edu
	launch 0 "$host" '' "${guest[@]}" --loglevel info --vfio 0000:01:00.0 --balloon && says 'balloon: gives nothing back'
}
point 'a balloon says that it gives nothing back' balloon
point 'a container that fails' fails 'fail VFIO_SET_IOMMU 1 ENOMEM' "edu,$groups" 'Cannot allocate memory' --vfio 0000:01:00.0

# tool STATUS ARGUMENT...: `lkvm vfio` on the host as it is; keeps out and err.
tool() {
	local want=$1 status
	shift
	modelled "$host" '' "$lkvm" vfio "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] && return 0
	echo "# 'vfio $*': status $status, not $want" && sed 's/^/# /' out err && return 1
}
# Runs on the host as it is.
runs() { launch 0 "$host" '' "${guest[@]}" "$@" && saw 'dma: ok'; }
there_and_back() {
	host "edu,host=edu$1"
	tool 0 bind 01:00.0 && saw '0000:01:00.0: vfio-pci has it (before: edu-host)' && runs --vfio 01:00.0 &&
		tool 0 unbind 01:00.0 && saw '0000:01:00.0: edu-host has it' &&
		refuses "$host" '' 'lkvm vfio bind 0000:01:00.0' "${guest[@]}" --vfio 01:00.0
}
whole_group() {
	host "edu+nvme,host=edu+nvme,together$1"
	tool 0 bind 01:00.0 && one_line '0000:02:00.0 (nvme); --group' && tool 0 bind --group 01:00.0 && runs --vfio 01:00.0 &&
		tool 0 unbind --group 02:00.0 && saw 'edu-host has it' 'nvme has it'
}
no_iommu() {
	host edu,host=edu,iommu=off
	tool 1 bind 01:00.0 && one_line 'intel_iommu=on'
}
for way in iommufd groups; do
	options=
	[ $way = iommufd ] || options=,$groups
	point "$way: bound by lkvm, used, and back" there_and_back "$options"
	point "$way: a whole group, too" whole_group "$options"
done
point 'without an IOMMU nothing is bound' no_iommu
point 'a word that is no device' tool 2 bind e1000e
point 'no word' tool 2 unbind

# no_more: the mdevs that there are at first, and no other.
no_more() { [ "$(ls "$LKVM_MODEL_ROOT/sys/bus/mdev/devices")" = $uuid ] || { ls "$LKVM_MODEL_ROOT/sys/bus/mdev/devices" && return 1; }; }
made=mdev=mtty/mtty-mtty-1
made_and_gone() { uses "mtty$1" --vfio $made -p list && saw ': 32534348' && logged '"text": "1"' && no_more; }
made_twice() { uses "mtty$1" --vfio $made --vfio $made -p list && [ "$(grep -c ': 32534348' out)" = 2 ] && no_more; }
made_in_vain() { cannot "edu+mtty,host=edu$1" 'lkvm vfio bind' --vfio $made --vfio 01:00.0 && no_more; }
late_failure() { fails 'fail KVM_CREATE_VCPU 1 ENOMEM' "mtty$1" 'Cannot allocate memory' --vfio $made && no_more; }
mdev_by_hand() {
	host mtty
	local new
	tool 0 mdev create mtty mtty-mtty-1 && new=$(cat out) && launch 0 "$host" '' "${guest[@]}" --vfio "$new" -p list && saw ': 32534348' &&
		tool 0 mdev list && saw "    $new" '2 more' && tool 0 mdev remove "$new" && tool 1 mdev remove "$new" && one_line 'no mdev' && no_more
}
all_made() {
	host mtty
	for _ in 1 2 3; do tool 0 mdev create mtty mtty-mtty-1 || return; done
	tool 1 mdev create mtty mtty-mtty-1 && one_line 'has no more of type mtty-mtty-1'
}
# As soon as it is there; the guest never ends by itself. The shell is not over the model.
# shellcheck disable=SC2016 # for the inner shell
terminated() {
	host mtty
	modelled "$host" '' env -u LD_PRELOAD SO="$model" sh -c 'LD_PRELOAD=$SO "$0" "$@" &
		until [ "$(ls "$LKVM_MODEL_ROOT/sys/bus/mdev/devices" | wc -l)" = 2 ] || ! kill -0 $!; do sleep 0.1; done
		kill -TERM $! && wait $!' "$lkvm" run "${guest[@]/passed/exit}" -p hang --vfio $made >out 2>err </dev/null
	[ $? = 143 ] && no_more && return
	sed 's/^/# /' out err && return 1
}
for way in iommufd groups; do
	options=
	[ $way = iommufd ] || options=,$groups
	point "$way: an mdev that is made for the machine" made_and_gone "$options"
	point "$way: two of one type" made_twice "$options"
	point "$way: one that is made, and then another device cannot be had" made_in_vain "$options"
	point "$way: one that is made, and then there is no CPU" late_failure "$options"
done
point 'an mdev that is made, and SIGTERM at once' terminated
# Held as long as there is an mdev, and yet heard between two pieces.
ended_with_mdev() {
	host "edu+mtty$1"
	launch 143 "$host" "signal $2 2 sig=15" "${guest[@]}" --vfio $made --vfio 0000:01:00.0 -m 1280 && ! grep -q lkvm: err && no_more &&
		[ "$(grep -c "\"call\": \"$2\"" log)" -le 2 ]
}
point 'iommufd: a signal while memory is pinned beside it' ended_with_mdev '' IOMMU_IOAS_MAP
point 'groups: a signal while memory is pinned beside it' ended_with_mdev ,$groups VFIO_IOMMU_MAP_DMA
point 'an mdev made by hand, used and removed' mdev_by_hand
point 'no mdev is left' all_made
point 'no such type' cannot mtty "has no type 'mty-mtty-1'; did you mean 'mtty-mtty-1'" --vfio mdev=mtty/mty-mtty-1
point 'no such parent' cannot mtty 'what does: mtty' --vfio mdev=mtti/mtty-mtty-1
point 'no type' wrong "$host" 'must be mdev=PARENT/TYPE' "${guest[@]}" --vfio mdev=mtty
point 'no parent' wrong "$host" 'must be mdev=PARENT/TYPE' "${guest[@]}" --vfio mdev=/mtty-1
point 'a device and one to be made' wrong "$host" 'names a second device' "${guest[@]}" --vfio 01:00.0,mdev=mtty/mtty-1
finish
