#!/bin/bash
# SPDX-License-Identifier: MIT
# Disks over vhost-user, served by qemu-storage-daemon, and the life of a virtiofsd.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

head -c 1M /dev/urandom >disk
qsd=$(command -v qemu-storage-daemon)
server=

# serve WORD...: the disk, at ./socket; words for the export.
serve() {
	local words=$1
	rm -f socket
	"$qsd" --blockdev driver=file,node-name=f,filename=disk --blockdev driver=raw,file=f,node-name=r \
		--export "type=vhost-user-blk,id=e,addr.type=unix,addr.path=$PWD/socket,node-name=r$words" >server.log 2>&1 &
	server=$!
	wait_for listens "$PWD/socket"
}
unserve() {
	kill "$server" 2>/dev/null
	wait "$server" 2>/dev/null
	return 0
}
served() {
	local words=$1
	shift
	serve "$words" && "$@"
	set -- $?
	unserve
	return "$1"
}
pattern() {
	python3 -c '
import struct, sys
n, seed = int(sys.argv[1]) * 128, int(sys.argv[2])
sys.stdout.buffer.write(struct.pack("<%dI" % n, *((i * 2654435761 + seed) & 0xffffffff for i in range(n))))
' "$1" "$2"
}
part() { dd if=disk bs=512 skip="$1" count="$2" status=none; }

reads() {
	part 40 64 >part && guest 0 blk --virtio-transport "$1" -d vhost-user=socket -p "id at=40 count=64 read $2" &&
		says out "disk on $1: 2048 sectors" "id 'vhost_user_blk'" "checksum $(checksum part)" && quiet
}
interrupts() { reads "$1" '' && says out 'interrupts came'; }
writes() {
	guest 0 blk --virtio-transport "$1" -d vhost-user=socket,queues=2 -p 'write at=104 count=48 seed=7 flush' &&
		says out 'wrote 48 sectors' 'flush: status 0' && quiet && part 104 48 | cmp - <(pattern 48 7)
}
readonly_disk() { guest 0 blk -d vhost-user=socket,ro -p 'read' && says out ', ro'; }
# ro is a promise that only the back end can keep.
not_readonly() {
	guest 1 blk -d vhost-user=socket,ro -p read && says err 'make it read-only there' && [ "$(wc -l <err)" = 1 ]
}
too_many_queues() { guest 1 blk -d vhost-user=socket,queues=9 -p read && says err 'the back end has 2;'; }
# The guest starts again, and the ring from its beginning, any number of times.
twice() { interrupts pci && interrupts pci; }
nobody() {
	rm -f socket
	guest 1 blk -d vhost-user=socket -p read && says err '--disk vhost-user=socket: cannot connect: No such file' &&
		[ "$(wc -l <err)" = 1 ]
}
# The back end is killed: one line, and errors for the guest, which goes on until it ends by itself.
killed() {
	rm -f key held err
	mkfifo key && exec 8<>key
	"$lkvm" run --loglevel error -k "$guests/blk.flat" --kernel-format flat --nodefaults -m 32 -c 1 \
		--virtio-transport "$1" -d vhost-user=socket -p 'read wait again' <key >held 2>err 8<&- &
	holder=$!
	wait_for grep -q checksum held && { kill -KILL "$server" && wait "$server"; true; } 2>/dev/null &&
		wait_for grep -q 'the vhost-user back end closed the connection' err && kill -0 $holder && echo >&8 &&
		wait $holder && grep -q 'read at 0: status 1' held && [ "$(wc -l <err)" = 1 ]
}
# Its size changes while the guest runs.
qmp() { printf '{"execute":"qmp_capabilities"}%s' "$1" | python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("qmp")
s.sendall(sys.stdin.buffer.read())
s.shutdown(socket.SHUT_WR)
while s.recv(4096): pass
'; }
grows() {
	cp disk larger && rm -f socket qmp out
	"$qsd" --chardev socket,path=qmp,server=on,wait=off,id=c --monitor chardev=c \
		--blockdev driver=file,node-name=f,filename=larger --blockdev driver=raw,file=f,node-name=r \
		--export type=vhost-user-blk,id=e,addr.type=unix,addr.path=$PWD/socket,node-name=r,writable=on >server.log 2>&1 &
	server=$!
	wait_for listens "$PWD/socket"
	"$lkvm" run --loglevel error -k "$guests/blk.flat" --kernel-format flat --nodefaults -m 32 -c 1 \
		--virtio-transport "$1" -d vhost-user=socket -p 'grow again at=2048' >out 2>err </dev/null &
	holder=$!
	wait_for grep -q interrupts out && # it waits
		qmp '{"execute":"block_resize","arguments":{"node-name":"r","size":2097152}}' && wait $holder &&
		says out '4096 sectors now' again && ! grep -q status out && quiet
	set -- $?
	unserve
	return "$1"
}
# (This export begins with it off.)
wce() { guest 0 blk -d vhost-user=socket -p 'wce write flush' && says out 'write cache 0' 'flush: status 0' && quiet; }
# It is killed with a request under way. Whether it is one in that moment nobody can see from here: it is
# stopped before the guest asks.
killed_under_way() {
	rm -f key held err
	mkfifo key && exec 8<>key
	"$lkvm" run --loglevel error -k "$guests/blk.flat" --kernel-format flat --nodefaults -m 32 -c 1 \
		--virtio-transport "$1" -d vhost-user=socket -p 'read wait again' <key >held 2>err 8<&- &
	holder=$!
	wait_for grep -q interrupts held && kill -STOP "$server" && echo >&8 && wait_for grep -q again held &&
		{ kill -KILL "$server" && wait "$server"; true; } 2>/dev/null &&
		wait $holder && grep -q 'read at 0: status 1' held && [ "$(wc -l <err)" = 1 ]
}
# A back end that hangs up at once, and one that says nothing of use.
liar() {
	rm -f socket
	python3 - "$1" "$PWD/socket" <<-'EOF' &
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[2])
		s.listen()
		c, _ = s.accept()
		c.recv(12)
		c.sendall(bytes.fromhex(sys.argv[1]))
		c.close()
	EOF
	server=$!
	wait_for listens "$PWD/socket" && guest 1 blk -d vhost-user=socket -p read && says err "$2" && [ "$(wc -l <err)" = 1 ]
	set -- $?
	unserve
	return "$1"
}

# A stand-in for virtiofsd that says what it was given, then serves nothing.
fake_virtiofsd() {
	mkdir -p bin share
	printf '#!/bin/sh\necho "$@" >%s/given\necho "no space for %s" >&2\nexit 3\n' "$dir" "$1" >bin/virtiofsd
	chmod +x bin/virtiofsd
}
fs_fails() {
	fake_virtiofsd shares
	PATH=$dir/bin:$PATH TMPDIR=$dir guest 1 blk -d disk --virtiofs "share,tag,ro,cache=never" -p read &&
		says err 'virtiofsd: no space for shares' '--virtiofs share: the vhost-user back end closed the connection' &&
		says given '--fd=3 --shared-dir share --cache never' '--readonly' && [ -z "$(ls -d lkvm-* 2>/dev/null)" ]
}
# Namespaces are for root, and pivot_root(2) cannot put / in the place of /.
fs_sandbox() {
	local word=none whole=none
	[ "$(id -u)" = 0 ] && word=namespace whole=chroot
	fake_virtiofsd shares
	PATH=$dir/bin:$PATH TMPDIR=$dir guest 1 blk -d disk --virtiofs "share,tag" -p read && says given "--sandbox $word" &&
		PATH=$dir/bin:$PATH TMPDIR=$dir guest 1 blk -d disk --virtiofs "/,tag" -p read && says given "--sandbox $whole"
}
fs_missing() {
	local real=$lkvm status
	mkdir -p share
	printf '#!/bin/sh\nPATH=/nonexistent exec %s "$@"\n' "$real" >pathless && chmod +x pathless
	lkvm=$dir/pathless
	guest 1 blk -d disk --virtiofs share,tag -p read &&
		says err '--virtiofs share: there is no virtiofsd in PATH or /usr/libexec; install the package virtiofsd'
	status=$?
	lkvm=$real
	return $status
}
fs_no_dir() { guest 1 blk -d disk --virtiofs nothing,tag && says err '--virtiofs nothing: cannot share it: No such file'; }
fs_words() {
	guest 2 blk --virtiofs share && says err 'has no tag' &&
		guest 2 blk --virtiofs share,a --virtiofs other,a && says err 'another share has this tag' &&
		guest 2 blk --virtiofs socket=x,tag=a,ro && says err 'keep socket= and tag=' &&
		guest 2 blk --virtiofs share,a,cache=maybe && says err "'maybe'"
}
# A card that nobody serves, and words that do not fit.
net_words() {
	guest 1 blk -d disk --network mode=vhost-user,socket=nothing &&
		says err '--network mode=vhost-user,socket=nothing: cannot connect: No such file' &&
		guest 2 blk --network mode=vhost-user && says err 'needs socket=PATH' &&
		guest 2 blk --network mode=tap,socket=x && says err 'socket: is for mode=vhost-user; omit it' &&
		guest 2 blk --network mode=vhost-user,socket=x,queues=2 && says err 'has one pair of queues; omit queues' &&
		guest 2 blk --network mode=vhost-user,socket=x,tapif=lt0 && says err 'keep socket, guest_mac and mtu' &&
		limited "$lkvm" run --dry-run -k "$guests/blk.flat" --kernel-format flat \
			--network mode=vhost-user,socket=x,mtu=1400 >out 2>&1 &&
		says out 'mode=vhost-user,socket=x,mtu=1400'
}

storage() {
	if [ -n "$qsd" ]; then point "$@"; else skip "$1" 'no qemu-storage-daemon'; fi
}
echo 1..25
storage 'reads on PCI with MSI-X' served '' interrupts pci
storage 'reads on MMIO' served '' interrupts mmio
storage 'reads on PCI without interrupts' served '' reads pci poll
storage 'writes on PCI, two queues' served ,writable=on,num-queues=2 writes pci
storage 'writes on MMIO, two queues' served ,writable=on,num-queues=2 writes mmio
storage 'a read-only export' served '' readonly_disk
storage 'ro of a writable export' served ,writable=on not_readonly
storage 'more queues than there are' served ,num-queues=2 too_many_queues
storage 'one machine after the other' served '' twice
storage 'the back end is killed, PCI' served '' killed pci
storage 'the back end is killed, MMIO' served '' killed mmio
# Older ones keep a new size to themselves; tests/unit/test_vhost.c has a back end that does not.
growing() {
	case $("$qsd" --version 2>/dev/null) in
	*'version '[1-7].*) skip "$1" 'this qemu-storage-daemon is from before 8.0' ;;
	*) storage "$@" ;;
	esac
}
growing 'the disk grows, PCI' grows pci
growing 'the disk grows, MMIO' grows mmio
storage 'the write cache is switched off' served ,writable=on wce
storage 'it is killed with requests under way, PCI' served '' killed_under_way pci
storage 'it is killed with requests under way, MMIO' served '' killed_under_way mmio
point 'nobody listens' nobody
point 'a back end that hangs up' liar '' 'closed the connection'
point 'a back end that answers something else' liar 020000000500000008000000ffffffffffffffff 'not an answer'
point 'virtiofsd fails' fs_fails
point 'virtiofsd is shut in as far as it can be' fs_sandbox
if [ -e /usr/libexec/virtiofsd ]; then
	skip 'there is no virtiofsd' 'there is one'
else
	point 'there is no virtiofsd' fs_missing
fi
point 'there is nothing to share' fs_no_dir
point 'words of --virtiofs' fs_words
point 'words of a card' net_words
