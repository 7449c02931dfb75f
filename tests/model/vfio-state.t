#!/bin/bash
# SPDX-License-Identifier: MIT
# What a device that is passed through remembers, over the model of VFIO and its mtty: stopped and started with the
# machine, saved and loaded, and shown. TAP.
# shellcheck disable=SC2154 # of lib.sh
# shellcheck source=tests/model/vfio-lib.sh
. "$(dirname "$0")/vfio-lib.sh"
guest=(-k "$guests/mtty.flat" --kernel-format flat --nodefaults -m 32 -c 1)

# uses HOST SCRATCH OPTION...: the guest finds that in the register; OPTION is of --vfio.
uses() {
	host "$1"
	local scratch=$2 options
	shift 2
	printf -v options ',%s' "$@"
	launch 0 "$host" '' "${guest[@]}" --vfio "$uuid$options" && tr -d '\r' <out | grep -qx "scratch: $scratch" && grep -q written out
}
# cannot HOST TEXT OPTION...: one line, and no guest ran.
cannot() {
	host "$1"
	local text=$2 options
	shift 2
	printf -v options ',%s' "$@"
	refuses "$host" '' "$text" "${guest[@]}" --vfio "$uuid$options" && ! grep -q scratch out
}
# The states in which the device was, of the model's log.
states() { sed -n 's/^{"state": \([0-7]\),.*/\1/p' log | tr -d '\n'; }
went() {
	[ "$(states)" = "$1" ] || { echo "# states: $(states), not $1" && return 1; }
}

saves() { rm -f state && uses "$1" 0 state-out=state && [ "$(wc -c <state)" = 200 ]; }
for way in iommufd groups; do
	options=
	[ $way = iommufd ] || options=,$groups
	point "$way: a state is saved at the end" saves "mtty$options"
	point "$way: what there is while it runs, then the rest" went 6731
	point "$way: and loaded at the start" uses "mtty$options" 5a state-in=state
	point "$way: before the guest runs" went 514152
done
precopy() { saves mtty,mig=5 && went 631 && uses mtty,mig=5 5a state-in=state && went 1412; }
point 'a device without P2P' precopy
stop_copy() { saves mtty,mig=1 && went 131 && uses mtty,mig=1 5a state-in=state; }
point 'a device that is saved when it has stopped' stop_copy
reboots() {
	host mtty
	launch 0 "$host" '' "${guest[@]}" -p reboot --vfio $uuid,state-in=state || return
	[ "$(grep scratch out | tr -d '\r' | tr '\n' ' ')" = 'scratch: 5a scratch: 0 ' ] && return
	cat out
	return 1
}
point 'a reboot resets it' reboots

old() { saves mtty,mig=old-magic && cannot mtty 'refuses it: Invalid argument; another version of the driver' state-in=state; }
point "another version's state is refused by the driver" old
point 'and the device is reset' logged '"call": "VFIO_DEVICE_RESET"'
saves mtty >/dev/null
cut() { head -c 199 state >short && cannot mtty 'state-in=short: is cut' state-in=short; }
point 'a file that was cut' cut
damaged() { { head -c 150 state && printf '\1' && tail -c +152 state; } >bad && cannot mtty 'state-in=bad: is damaged' state-in=bad; }
point 'a file that is damaged' damaged
magic() { { echo x && tail -c +3 state; } >bad && cannot mtty "state-in=bad: is not a device's state" state-in=bad; }
point 'a file that is none of them' magic
other() { { head -c 32 state && printf 8 && tail -c +34 state; } >bad && cannot mtty '(8348:3253 subsystem' state-in=bad; }
point "another device's file" other
point 'the driver is not asked then' went ''
point 'no file' cannot mtty 'state-in=none: cannot open: No such file' state-in=none
point 'no folder for one' cannot mtty 'state-out=none/new: cannot create the file: No such file' state-out=none/new
point 'a device without migration' cannot mtty,mig=0 "state-out=: the device's driver does not save or load states" state-out=new
edu_too() { host edu && refuses "$host" '' "state-in=: the device's driver does not" "${guest[@]}" --vfio 01:00.0,state-in=state; }
point 'nor has edu' edu_too
nothing_new() { [ -z "$(find . -maxdepth 1 -name 'new*')" ] || { find . && return 1; }; }
point 'and no file is there' nothing_new
stuck() { cannot mtty,mig=fail-stop 'state-in=state: the device does not get to the state RESUMING but to ERROR' state-in=state; }
point 'a device that does not stop is not loaded' stuck

# A machine in the background, and what is asked of it.
begin() {
	host "$1"
	shift
	modelled "$host" '' "$lkvm" run --name held --loglevel warning "${guest[@]}" -p wait "$@" >out 2>err </dev/null &
	pid=$!
	wait_for grep -q written out
}
ask() { "$lkvm" "$@" >answer 2>&1 || { cat answer && return 1; }; }
pauses() {
	begin mtty --vfio $uuid,state-out=new && ask pause held && went 51 && ask resume held && went 5152 &&
		ask pause held && went 515251 && ask stop --timeout 0 held
	wait $pid
	went 51525131 && [ "$(wc -c <new)" = 200 ] && nothing_left
}
point 'a machine that is paused stops it, and is saved when it ends' pauses
rm -f new
fails_to_stop() {
	begin mtty,mig=fail-stop --vfio $uuid && ask pause held && ask resume held && ask stop --timeout 0 held
	wait $pid
	went 50 && one_line 'the device does not stop: Input/output error; it is in the state ERROR until it is reset'
}
point 'a device that does not stop' fails_to_stop

# A disk of one page, which is taken.
disk_full() {
	mkdir -p disk && host mtty
	export host
	limited unshare -rm sh -c 'mount -t tmpfs -o size=4k none disk && head -c 4096 /dev/zero >disk/taken && exec "$@"' sh \
		env LKVM_MODEL="$host" LD_PRELOAD="$model" ASAN_OPTIONS=verify_asan_link_order=0 "$lkvm" run --loglevel warning "${guest[@]}" \
		--vfio "$1,state-out=disk/new" >out 2>err </dev/null
	[ $? = 1 ] && grep -q written out && one_line 'state-out=disk/new: cannot write: No space left on device'
}
if unshare -rm sh -c 'mkdir -p disk && mount -t tmpfs none disk' 2>/dev/null; then
	point 'a full disk, which the exit status tells' disk_full $uuid
	point 'a full disk, and an mdev that is made' disk_full mdev=mtty/mtty-mtty-1
else
	skip 'a full disk, which the exit status tells' 'no mount name space of its own'
	skip 'a full disk, and an mdev that is made' 'no mount name space of its own'
fi

# What `lkvm vfio state` shows.
shows() {
	host "$1"
	local text
	modelled "$host" '' "$lkvm" vfio state "$2" >out 2>err </dev/null || { cat err && return 1; }
	shift 2
	for text; do
		grep -qE "^ +$text\$" out || { echo "# not shown: $text" && cat out && return 1; }
	done
}
point 'state: what it can do' shows mtty $uuid 'migration +STOP_COPY, P2P, PRE_COPY' 'state +RUNNING' 'to be saved +72 bytes' \
	'dirty tracking +none: all guest memory counts as written' 'PASID +no'
point 'state: by groups' shows "mtty,$groups" $uuid 'migration +STOP_COPY, P2P, PRE_COPY'
point 'state: without migration' shows mtty,mig=0 $uuid 'migration +none: its driver does not save or load states'
point 'state: dirty tracking by the IOMMU' shows edu 0000:01:00.0 'dirty tracking +by the IOMMU'
point 'state: PASIDs' shows edu,pasid=20 01:00.0 'PASID +20 bits'
json() {
	host mtty
	modelled "$host" '' "$lkvm" vfio state --json $uuid >out 2>err </dev/null &&
		grep -qF '"migration":["STOP_COPY","P2P","PRE_COPY"],"state":"RUNNING","stop_copy_bytes":72' out
}
point 'state: as JSON' json
in_use() {
	host "$1"
	modelled "$host" '' "$lkvm" vfio state 01:00.0 >out 2>err </dev/null
	[ $? = 1 ] && one_line 'Device or resource busy'
}
point 'state: a device in use' in_use edu,busy=edu
point 'state: a device in use, by groups' in_use edu,busy=edu,$groups
no_device() {
	host edu
	modelled "$host" '' "$lkvm" vfio state >out 2>err </dev/null
	[ $? = 2 ] && one_line 'vfio state: a DEVICE is missing'
}
point 'state: which one' no_device
finish
