# SPDX-License-Identifier: MIT
# A directory of the host's as a guest's root: L1's own, one that setup made, one as NixOS has it; by 9P, by virtio-fs, and
# what is left without both. One boot proves several things: what each guest is typed, or runs, is in one script.
# The kernels have 9P, virtio-fs, overlayfs and virtio as modules.
# shellcheck shell=dash

# rooted NAME KERNEL COMMAND [ARGUMENT...]: runs lkvm COMMAND with that kernel and its modules (those of $modules, where it is
# set), and our standard input. Sets log and status as vm does.
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
	# shellcheck disable=SC2086 # words
	timeout -s KILL "$LAB_LIMIT" $under lkvm "$rooted_command" -k "$vm_kernel/vmlinuz" \
		--modules "${modules:-$(modules_of "${vm_kernel##*/}")}" -m 512 -c 1 -p "$LAB_PARAMS" "$@" >"$log" 2>&1
	status=$?
	send_log "$vm_name"
}

# As the kernel's package has them, from the guests' initramfs.
modules_of() {
	[ -d "/run/modules/$1" ] || {
		mkdir -p "/run/modules/$1"
		(cd "/run/modules/$1" && cpio -id 'lib/*' <"/lab/kernels/$1/initrd" 2>/dev/null)
	}
	echo "/run/modules/$1"
}

# What each guest's shell is asked for first; the marks are made in the guest, a line that is typed does not show them.
tell_root() {
	echo 'echo is-up $((6*7)); grep " / " /proc/mounts; echo in "$(pwd)"; ls -d /dev/null /proc/1 /sys/class'
	echo 'date >/etc/made-by-guest && echo has-$(ls /etc/made-by-guest); echo lo $(ip link show lo | grep -c UP)'
}

# A tree at $1 with busybox in $1/$2.
make_tree() {
	mkdir -p "$1/$2" "$1/etc" "$1/dev" "$1/proc" "$1/sys" "$1/root" "$1/tmp" "$1/run" "$1/below"
	cp /bin/busybox "$1/$2/busybox"
	# Another file system in it, as a subvolume or a mount is.
	mount -t tmpfs tmpfs "$1/below" && echo below-is-seen >"$1/below/file"
}
applets='sh date grep ls ip cat mount touch mkdir poweroff'

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

modules=
under=
kernel=$LAB_FULL_KERNEL
generic=
for other in $LAB_KERNELS; do
	case $other in
	"$kernel") ;;
	*-generic) generic="$generic $other" ;;
	esac
done
# shellcheck disable=SC2086
set -- $generic
[ -z "$LAB_ALL" ] || set -- "$@" "$kernel"
own_root "$1"
[ -z "$LAB_ALL" ] || for other in "$@"; do
	[ "$other" = "$1" ] || own_root "$other"
done

# The host of this one is mounted without "ro" in the guest: that lkvm lets nothing be written is what it meets.
export HOME=/run/home
mkdir -p $HOME
lkvm_says root-setup setup box
check "setup: makes a root" [ -d $HOME/.lkvm/box/host ]
{
	tell_root
	echo 'echo runs-on $(ls -d /host/lab/kernels); grep " /host " /proc/mounts; mkdir /host/made-by-guest; exit 0'
} >/run/typed
rooted setup "$kernel" run -d box </run/typed
check "setup: its guest runs the host's shell" says 'is-up 42'
check "setup: its root is a directory, by 9P" says '^lkvm-root / 9p rw'
check "setup: it sees the host in /host" says '^runs-on /host/lab/kernels'
check "setup: its files are its own" [ -s $HOME/.lkvm/box/etc/made-by-guest ]
check "setup: the host is there to be written" says '^hostfs /host 9p rw'
check "setup: and cannot be" says 'Read-only file system'
check "setup: it begins in its home" says '^in /root'
rm -rf $HOME /made-by-guest

# As NixOS has it: no shell in /bin, links into a store.
nix=/run/nixtree
make_tree $nix nix/store/programs
mkdir -p $nix/nix/store/system/sw/bin
for applet in $applets; do ln -s /nix/store/programs/busybox $nix/nix/store/system/sw/bin/$applet; done
ln -s /nix/store/system $nix/run/current-system
{
	echo 'PATH=/run/current-system/sw/bin'
	tell_root
	echo 'echo cards $(ls /sys/class/net); cat /below/file; echo >/below/made-by-guest && echo below-is-written; exit 0'
} >/run/typed
rooted sandbox "$kernel" sandbox -d $nix --virtio-transport mmio </run/typed
check "sandbox: a shell, on a root as NixOS has it, over mmio" says 'is-up 42'
check "sandbox: it has no network" says '^cards lo'
check "sandbox: it writes to memory" says 'has-/etc/made-by-guest'
check "sandbox: the host has nothing of that" [ ! -e $nix/etc/made-by-guest ]
check "sandbox: a file system that is mounted in it is seen" says '^below-is-seen'
check "sandbox: and written, in memory too" says '^below-is-written'
check "sandbox: which the host does not see" [ ! -e $nix/below/made-by-guest ]
umount $nix/below
rm -rf $nix

# Neither 9P nor virtio-fs: the lists of modules are without them. The program has libraries, if the lab has one.
modules=/run/modules/without
cp -r "$(modules_of "$kernel")" $modules
sed -i '/^\(.*\/\)\?\(9p\|9pnet.*\|virtiofs\)\.ko/d' $modules/lib/modules/*/modules.dep $modules/lib/modules/*/modules.builtin
set -- busybox echo 'GNU gdb'
[ -e /usr/bin/gdb ] && set -- gdb --version
rooted program "$kernel" smoke --timeout 0 --expect '^GNU gdb' -- "$@" </dev/null
check "neither 9P nor virtio-fs: it is told" says 'has no 9P .* the guest gets .* and what that needs'
check "neither 9P nor virtio-fs: the program runs, and smoke sees it" says 'GNU gdb'
check "neither 9P nor virtio-fs: smoke has passed" [ "$status" = 0 ]
modules=

if [ -n "$LAB_ALL" ]; then
	rooted up "$kernel" smoke --timeout 0 </dev/null
	check "smoke: this host's root is reached, and that is all" says '^lkvm init: the guest is up'
	check "smoke: it has passed" [ "$status" = 0 ]
	root=/run/tree
	make_tree $root usr/bin
	ln -s usr/bin $root/bin
	for applet in $applets; do ln -sf busybox $root/bin/$applet; done
	printf '%s\n' '#!/bin/sh' 'echo own-init $$ $((6*7)); date >/etc/made-by-guest && echo has-$(ls /etc/made-by-guest)' \
		'poweroff -f' >$root/usr/bin/started
	chmod +x $root/usr/bin/started
	rooted readonly "$kernel" run -d $root,ro -p init=/bin/started </dev/null
	check "-d DIR,ro, init=: the root's own init is process 1" says 'own-init 1 42'
	check "-d DIR,ro: it writes to memory" says 'has-/etc/made-by-guest'
	check "-d DIR,ro: has nothing of that" [ ! -e $root/etc/made-by-guest ]
	umount $root/below
	rm -rf $root
fi

# Virtio-fs and no 9P: kernels for clouds.
case $LAB_KERNEL in
*-cloud) [ -e /usr/bin/virtiofsd ] || { skip 'virtio-fs' 'the lab has no virtiofsd' && exit 0; } ;;
*) exit 0 ;;
esac
# This root is the one that cannot be exchanged, and is shared as a whole. The guest mounts it again without "ro".
rm -f /etc/made-by-guest
tell_root >/etc/script
cat >>/etc/script <<-'END'
	mkdir -p /mnt/again && mount -t virtiofs lkvm-root /mnt/again && mount -o remount,rw /mnt/again
	grep " /mnt/again " /proc/mounts
	touch /mnt/again/etc/made-by-guest
	exit 3
END
rooted virtiofs "$LAB_KERNEL" smoke --timeout 0 -- sh /etc/script </dev/null
check "virtio-fs: this host's root, under an overlay" says '^overlay / overlay rw'
check "virtio-fs: the command runs" says '^is-up 42'
check "virtio-fs: it can write" says '^has-/etc/made-by-guest'
check "virtio-fs: a guest that mounts it to be written" says '^lkvm-root /mnt/again virtiofs rw'
check "virtio-fs: cannot write" says '/mnt/again/etc/made-by-guest: Read-only file system'
check "virtio-fs: the host has nothing of it" [ ! -e /etc/made-by-guest ]
check "smoke: a command that fails is a failure" [ "$status" = 1 ]
check "smoke: with its status" says 'failed after .*lkvm init: failed with status 3'

# On a root that can be exchanged, as hosts have one.
mkdir -p /run/pivot
cat >/run/pivot.sh <<-'END'
	mount -t tmpfs tmpfs /run/pivot && cd /run/pivot || exit
	for name in /*; do
		if [ -L "$name" ]; then
			cp -d "$name" .
		elif [ -d "$name" ]; then
			mkdir "./$name" && mount --rbind "$name" "./$name" || exit
		fi
	done
	mount --move . / && exec chroot . "$@"
END
root=/run/tree
make_tree $root usr/bin
ln -s usr/bin $root/bin
for applet in $applets; do ln -sf busybox $root/bin/$applet; done
{ tell_root; echo 'cat /below/file; exit 0'; } >/run/typed
under='unshare -m sh /run/pivot.sh' rooted virtiofs-directory "$LAB_KERNEL" run -d $root </run/typed
check "virtio-fs, -d DIR: its shell, where /bin is a link" says 'is-up 42'
check "virtio-fs, -d DIR: is the root" says '^lkvm-root / virtiofs rw'
check "virtio-fs, -d DIR: has what the guest wrote" [ -s $root/etc/made-by-guest ]
check "virtio-fs, -d DIR: a file system that is mounted in it is seen" says '^below-is-seen'
umount $root/below
rm -rf $root
