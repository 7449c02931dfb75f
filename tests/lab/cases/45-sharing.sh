# SPDX-License-Identifier: MIT
# Directories that the host shares by 9P: each kernel runs a program that tries a file system, on both transports.
# shellcheck shell=dash

# A guest that caches names keeps a file of the server's open for each. Init systems give more than the kernel's 4096.
ulimit -n 65536

share=/run/share
prepare_share() {
	umount $share /run/other 2>/dev/null
	mkdir -p $share /run/other
	mount -t tmpfs tmpfs $share
	mount -t tmpfs tmpfs /run/other
	cp /lab/programs/fs-exerciser $share/
	echo hello >$share/from-host
	echo other >/run/other/from-host
	echo secret >/run/secret
	ln -s /run/secret $share/link-outside
}

exercise() {	# exercise NAME KERNEL "WORDS" [LKVM ARGUMENT...]: a guest that mounts and tries it
	exercise_title="$1, Linux $2"
	exercise_name=$1-$2
	exercise_kernel=$2
	exercise_words=$3
	shift 3
	prepare=prepare_share vm "9p-$exercise_name" "$exercise_kernel" "lab.test=9p $exercise_words" "$@" \
		--9p $share,share --9p /run/other,other,ro
	booted "$exercise_title: a guest with two shares"
	check_fact "$exercise_title: it reads what the host wrote" reads hello
	check "$exercise_title: the host reads what it wrote" grep -qx from-guest $share/from-guest
	check_fact "$exercise_title: the exerciser" exerciser "fs-exerciser: 28 checks, 0 failed"
	check_fact "$exercise_title: a link to outside leads nowhere on the host" outside ""
	check_fact "$exercise_title: mounted once more" again from-guest
	check_fact "$exercise_title: the read-only share can be read" ro-reads other
	check_fact "$exercise_title: and refuses changes" ro-refused 4
	check "$exercise_title: the read-only share is as before" [ "$(ls /run/other)" = from-host ]
}

if [ ! -e /lab/programs/fs-exerciser ]; then
	skip "directories that the host shares" "there is no compiler for the program that tries them"
	exit 0
fi
# Kernels for clouds have no 9p.
generic=
for kernel in $LAB_KERNELS; do
	case $kernel in
	*-generic) generic="$generic $kernel" ;;
	esac
done
# Each way to cache once: the oldest kernel has none, the newest the others; all kernels with TEST_ALL. Without a cache there
# are no shared mappings that may be written.
# An emulated riscv64 takes a second for each entry.
entries=100 ops=100
if [ -n "$LAB_SLOW" ]; then
	entries=30 ops=30
elif [ -n "$LAB_ALL" ]; then
	entries=2000 ops=600
fi
# shellcheck disable=SC2086
set -- $generic
[ -n "$LAB_ALL" ] || set -- "$1"
for kernel; do
	exercise nocache "$kernel" "lab.9p=cache=none lab.without=mmap lab.entries=$entries lab.ops=$ops"
done
exercise mmap "$LAB_FULL_KERNEL" "lab.9p=cache=mmap lab.entries=$entries lab.ops=$ops" --virtio-transport mmio
exercise loose "$LAB_FULL_KERNEL" "lab.9p=cache=loose,msize=512000 lab.entries=$entries lab.ops=$ops"
umount $share /run/other

# A root file system in a directory, as docs/sharing.md has it.
root=/run/root
mkdir -p $root/bin $root/sbin $root/dev $root/proc
cp /bin/busybox $root/bin/
ln -s busybox $root/bin/sh
cat >$root/sbin/init <<-'END'
	#!/bin/sh
	/bin/busybox mount -t devtmpfs dev /dev
	exec >/dev/console 2>&1
	/bin/busybox mount -t proc proc /proc
	echo "LAB-L2 root $(/bin/busybox awk '$2 == "/" { print $3 }' /proc/mounts | /bin/busybox tail -n 1)"
	echo written >/here
	/bin/busybox stty echo </dev/console
	/bin/busybox poweroff -f
END
chmod +x $root/sbin/init
vm 9p-root "$LAB_FULL_KERNEL" "lab.test=9p-root root=/dev/root rootfstype=9p rootflags=trans=virtio,version=9p2000.L" \
	--9p $root,/dev/root
booted "a guest whose root file system is a directory"
check_fact "its root is the share" root 9p
check "what it writes is in the directory" grep -qx written $root/here
rm -rf $root
