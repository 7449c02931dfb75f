# SPDX-License-Identifier: MIT
# Directories by virtio-fs, which a virtiofsd serves that lkvm starts; and what guests see when it is killed, or the
# program that serves a disk.
# shellcheck shell=dash
only_on x86-64

share=/run/share
# L1's root is the one that cannot be exchanged: the daemon shuts itself in by chroot.
mkdir -p /run/bin
cat >/run/bin/virtiofsd <<-'END'
	#!/bin/sh
	words=$#
	for word; do
		[ "$word" = namespace ] && word=chroot
		set -- "$@" "$word"
	done
	shift "$words"
	exec /usr/bin/virtiofsd "$@"
END
chmod +x /run/bin/virtiofsd
PATH=/run/bin:$PATH
ulimit -n 65536

prepare_share() {
	umount $share /run/other 2>/dev/null
	mkdir -p $share /run/other
	mount -t tmpfs tmpfs $share
	mount -t tmpfs tmpfs /run/other
	cp /lab/programs/fs-exerciser $share/
	echo hello >$share/from-host
	echo other >/run/other/from-host
	# When the guest asks for it, both daemons end.
	(
		until [ -e $share/kill ]; do
			sleep 0.2
		done
		killall -KILL virtiofsd
	) &
	killer=$!
}

# Linux's FUSE loses the size of a file that several processes make longer at once, and maps no file shared that it does not
# cache.
share_it() {	# share_it NAME KERNEL CACHE WITHOUT [LKVM ARGUMENT...]
	share_title="virtio-fs, cache=$3, Linux $2"
	share_name=virtiofs-$1
	share_kernel=$2
	share_cache=$3
	share_without=$4
	shift 4
	prepare=prepare_share vm "$share_name" "$share_kernel" \
		"lab.test=virtiofs lab.entries=100 lab.ops=100 lab.without=$share_without" "$@" \
		--virtiofs "$share,share,cache=$share_cache" --virtiofs "/run/other,other,ro"
	kill $killer 2>/dev/null
	booted "$share_title: a guest with two shares"
	check_fact "$share_title: it reads what the host wrote" reads hello
	check "$share_title: the host reads what it wrote" grep -qx from-guest $share/from-guest
	check_fact "$share_title: the exerciser" exerciser "fs-exerciser: 28 checks, 0 failed"
	check_fact "$share_title: mounted once more" again from-guest
	check_fact "$share_title: the read-only share can be read" ro-reads other
	check_fact "$share_title: and refuses changes" ro-refused 4
	check_fact "$share_title: it is unmounted" unmounted yes
	check_fact "$share_title: virtiofsd is killed: whoever is reading is told" killed-reader "not connected"
	check_fact "$share_title: and whoever comes later" killed-later "not connected"
	check_fact "$share_title: it is unmounted then" killed-umount yes
	check_fact "$share_title: and cannot be mounted" killed-mount refused
	check "$share_title: one line for each daemon" [ "$(grep -c 'vhost-user back end' "$log")" = 2 ]
}

if [ -e /usr/bin/virtiofsd ] && [ -e /lab/programs/fs-exerciser ]; then
	# shellcheck disable=SC2086 # a list of words
	share_it auto "$(corners $LAB_KERNELS | cut -d' ' -f1)" auto concurrent
	share_it never "$LAB_FULL_KERNEL" never concurrent,mmap --virtio-transport mmio
else
	skip 'virtio-fs' 'the lab has no virtiofsd, or no compiler for its programs'
fi

# A disk whose server is killed while several read and write.
disk=/run/served
serve_disk() {
	rm -f $disk.*
	truncate -s 64M $disk.img
	truncate -s 1M $disk.mark
	qemu-storage-daemon --blockdev driver=file,node-name=f,filename=$disk.img \
		--export type=vhost-user-blk,id=e,addr.type=unix,addr.path=$disk.sock,node-name=f,writable=on,num-queues=2 &
	server=$!
	until grep -q " 00010000 .* $disk.sock$" /proc/net/unix; do sleep 0.1; done
	(
		until grep -q kill $disk.mark; do
			sleep 0.2
		done
		kill -KILL $server
	) &
	killer=$!
}
# Which requests it had not returned is an estimate where it replies in any order.
if [ -z "$LAB_ALL" ]; then
	exit 0
elif [ -e /usr/bin/qemu-storage-daemon ]; then
	title="a disk whose server is killed"
	cpus=2 prepare=serve_disk vm vhost-user-killed "$LAB_KERNEL" lab.test=disk-killed \
		-d $disk.mark,format=raw,serial=mark -d vhost-user=$disk.sock,queues=2
	kill $killer 2>/dev/null
	booted "$title: the guest goes on"
	check_fact "$title: it was in use" in-use yes
	check_fact "$title: all that was under way has failed" failed "8 of 8"
	check_fact "$title: what comes later fails" later "Input/output error"
	check "$title: rings are sound" sh -c "! grep -q 'is not a head' $log"
else
	skip 'a disk whose server is killed' 'the lab has no qemu-storage-daemon'
fi
