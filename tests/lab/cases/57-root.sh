# SPDX-License-Identifier: MIT
# A directory of the host's as a guest's root: L1's own, written over or through, one by name, one that is made by setup.
# The kernels have 9P, overlayfs and virtio as modules.
# shellcheck shell=dash

# rooted NAME KERNEL COMMAND [ARGUMENT...]: runs lkvm COMMAND with that kernel and its modules, and our standard input.
# Sets log and status as vm does.
rooted() {
	vm_name=root-$1-$2
	vm_kernel=/lab/kernels/$2
	rooted_command=$3
	log=/out/logs/$vm_name.log
	# shellcheck disable=SC2034 # they are the case library's
	shown_log=
	# shellcheck disable=SC2034
	vm_missing=
	if ! [ -e "$vm_kernel" ] && [ -e "/lab/missing/$2" ]; then
		# shellcheck disable=SC2034
		read -r vm_missing <"/lab/missing/$2"
		cat >/dev/null
		return
	fi
	shift 3
	modules_of "${vm_kernel##*/}"
	timeout -s KILL "$LAB_LIMIT" lkvm "$rooted_command" -k "$vm_kernel/vmlinuz" --modules "$modules" -m 512 -c 1 \
		-p "$LAB_PARAMS" "$@" >"$log" 2>&1
	status=$?
	send_log "$vm_name"
}

# As the kernel's package has them, from the guests' initramfs.
modules_of() {
	modules=/run/modules/$1
	[ ! -d "$modules" ] || return
	mkdir -p "$modules"
	(cd "$modules" && cpio -id 'lib/*' </lab/kernels/"$1"/initrd 2>/dev/null)
}

# What each guest's shell is asked for first; the marks are made in the guest, a line that is typed does not show them.
tell_root() {
	echo 'echo is-up $((6*7)); grep " / " /proc/mounts; echo in "$(pwd)"; ls -d /dev/null /proc/1 /sys/class'
	echo 'date >/etc/made-by-guest && echo has-$(ls /etc/made-by-guest); echo lo $(ip link show lo | grep -c UP)'
}

own_root() {	# own_root KERNEL: without anything but a kernel
	rm -f /etc/made-by-guest
	{ tell_root; echo 'exit 0'; } >/run/typed
	cd /lab/kernels && rooted own "$1" run </run/typed
	cd /
	check "Linux $1: this host's root, and a shell" says 'is-up 42'
	check "Linux $1: under an overlay" says '^overlay / overlay rw'
	check "Linux $1: it begins in the directory of lkvm" says '^in /lab/kernels'
	check "Linux $1: it can write" says 'has-/etc/made-by-guest'
	check "Linux $1: which the host does not see" [ ! -e /etc/made-by-guest ]
	check "Linux $1: the loopback interface is up" says '^lo 1'
	check "Linux $1: the end of the shell ends the machine" [ "$status" = 0 ]
}

generic=
for kernel in $LAB_KERNELS; do
	case $kernel in
	*-generic) generic="$generic $kernel" ;;
	esac
done
# shellcheck disable=SC2086
for kernel in $(corners $generic); do
	own_root "$kernel"
done

kernel=$LAB_FULL_KERNEL
echo 'date >/etc/made-by-guest; echo is-up $((6*7)); exit 0' >/run/typed
rooted rw "$kernel" run --rw </run/typed
check "--rw: a shell" says 'is-up 42'
check "--rw: the host has what the guest wrote" [ -s /etc/made-by-guest ]
rm -f /etc/made-by-guest

root=/run/tree
mkdir -p $root/bin $root/etc $root/dev $root/proc $root/sys $root/root $root/tmp
cp /bin/busybox $root/bin/busybox
for applet in sh date grep ls ip; do ln -sf busybox $root/bin/$applet; done
{ tell_root; echo 'exit 0'; } >/run/typed
rooted directory "$kernel" run -d $root </run/typed
check "-d DIR: its shell" says 'is-up 42'
check "-d DIR: is the root, by 9P" says '^lkvm-root / 9p rw'
check "-d DIR: has what the guest wrote" [ -s $root/etc/made-by-guest ]
rm -f $root/etc/made-by-guest
# Another init of its own, where /bin is a link: merged /usr.
mkdir -p $root/usr
mv $root/bin $root/usr/bin
ln -s usr/bin $root/bin
ln -s busybox $root/usr/bin/poweroff
printf '%s\n' '#!/bin/sh' 'echo own-init $$ $((6*7)); date >/etc/made-by-guest && echo has-$(ls /etc/made-by-guest)' 'poweroff -f' \
	>$root/usr/bin/started
chmod +x $root/usr/bin/started
rooted readonly "$kernel" run -d $root,ro --virtio-transport mmio -p init=/bin/started </dev/null
check "-d DIR,ro, over mmio, init=: the root's own init is process 1" says 'own-init 1 42'
check "-d DIR,ro: it writes to memory" says 'has-/etc/made-by-guest'
check "-d DIR,ro: has nothing of that" [ ! -e $root/etc/made-by-guest ]

export HOME=/run/home
mkdir -p $HOME
lkvm_says root-setup setup box
check "setup: makes a root" [ -d $HOME/.lkvm/box/host ]
{ tell_root; echo 'echo runs-on $(ls -d /host/lab/kernels)'; echo 'exit 0'; } >/run/typed
rooted setup "$kernel" run -d box </run/typed
check "setup: its guest runs the host's shell" says 'is-up 42'
check "setup: it sees the host in /host" says '^runs-on /host/lab/kernels'
check "setup: its files are its own" [ -s $HOME/.lkvm/box/etc/made-by-guest ]

# As NixOS has it: no shell in /bin, links into a store.
nix=/run/nixtree
mkdir -p $nix/dev $nix/proc $nix/sys $nix/etc $nix/tmp $nix/run $nix/nix/store/system/sw/bin
mv $root/usr/bin $nix/nix/store/programs
for applet in sh date grep ls ip; do ln -s /nix/store/programs/busybox $nix/nix/store/system/sw/bin/$applet; done
ln -s /nix/store/system $nix/run/current-system
{ echo 'PATH=/run/current-system/sw/bin'; tell_root; echo 'echo cards $(ls /sys/class/net)'; echo 'exit 0'; } >/run/typed
rooted sandbox "$kernel" sandbox -d $nix </run/typed
check "sandbox: a shell, on a root as NixOS has it" says 'is-up 42'
check "sandbox: it has no network" says '^cards lo'
check "sandbox: it writes to memory" says 'has-/etc/made-by-guest'
check "sandbox: the host has nothing of that" [ ! -e $nix/etc/made-by-guest ]
rm -rf $root $nix $HOME
