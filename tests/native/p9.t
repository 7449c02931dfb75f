#!/bin/bash
# SPDX-License-Identifier: MIT
# A directory of the host that the guest shares, with a client in the guest.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

mkdir share other
head -c 300000 /dev/urandom >share/data
echo secret >secret
ln -s ../secret share/out
sum=$(checksum share/data)

reads() {
	guest 0 p9 --virtio-transport "$1" --9p share,tag -p read &&
		says out "share 'tag', messages of 65560 bytes, attach: status 0" "read: status 0, 300000 bytes, checksum $sum" &&
		quiet
}
writes() {
	rm -f share/made
	guest 0 p9 --virtio-transport "$1" --9p share,tag -p 'write count=123457' && says out 'wrote: status 0' && quiet &&
		[ "$(stat -c %s share/made)" = $((123457 * 4)) ] && [ "$(stat -c %a share/made)" = 640 ] &&
		cmp share/made <(python3 -c '
import struct, sys
sys.stdout.buffer.write(struct.pack("<123457I", *(i * 2654435761 & 0xffffffff for i in range(123457))))')
}
escapes() {
	# 2: ENOENT, 40: ELOOP
	guest 0 p9 --9p share,tag -p escape && says out 'beside: 1 of 2 names' 'path: status 2' 'link: status 0' \
		'open of the link: status 40' && [ "$(cat secret)" = secret ]
}
refuses() {
	cp share/data other/data
	# 30: EROFS
	guest 0 p9 --9p other,tag,ro -p 'ro read' && says out 'create: status 30' 'mkdir: status 30' 'unlink: status 30' \
		"checksum $sum" && [ "$(ls other)" = data ] && quiet
}
broken() {
	guest 0 p9 --9p share,tag -p bad && says out 'device status 4f' && says err 'has no header or no room'
}
# Read while another process changes files and directories.
busy() {
	while :; do
		mkdir -p share/d/e && touch share/d/e/f && rm -rf share/d
	done 2>/dev/null &
	local other=$!
	guest 0 p9 --9p share,tag -p 'read loop=30 attributes=500' && says out "read: status 0, 9000000 bytes" 'attributes: status 0'
	local status=$?
	kill $other
	wait $other 2>/dev/null
	return $status
}
wrong() {
	run 1 -k "$guests/p9.flat" --9p nowhere,tag && says err '--9p nowhere: cannot open: No such file or directory' &&
		run 1 -k "$guests/p9.flat" --9p share/data,tag && says err '--9p share/data: is not a directory' &&
		run 2 -k "$guests/p9.flat" --9p share && says err '--9p share: needs a directory and a tag' &&
		run 2 -k "$guests/p9.flat" --9p share,a --9p other,a && says err '--9p other,a: the tag is given twice'
}
# An end while a session is open.
ends() {
	: >held
	mkfifo key 2>/dev/null
	exec 8<>key
	"$lkvm" run --loglevel warning -k "$guests/p9.flat" --kernel-format flat --nodefaults -m 32 -c 1 --9p share,tag \
		-p 'read wait' <key >held 2>&1 8<&- &
	local pid=$!
	wait_for grep -q checksum held
	kill -TERM $pid
	wait $pid
	[ $? = 143 ] && exec 8<&-
}

echo 1..9
point 'reads on PCI' reads pci
point 'reads on MMIO' reads mmio
point 'writes' writes pci
point 'nothing outside can be reached' escapes
point 'a read-only share refuses changes' refuses
point 'what is no message needs a reset' broken
point 'files come and go on the host' busy
point 'what cannot be shared' wrong
point 'the end of a guest that has it mounted' ends
