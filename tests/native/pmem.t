#!/bin/bash
# SPDX-License-Identifier: MIT
# Persistent memory: what the guest reads and writes there is what is in the file.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

head -c 4M /dev/urandom >file
cp file before
head -c 64K /dev/urandom >disk

# pattern BYTES SEED: what the guest's `write` puts there.
pattern() {
	python3 -c '
import struct, sys
n, seed = int(sys.argv[1]) // 4, int(sys.argv[2])
sys.stdout.buffer.write(struct.pack("<%dI" % n, *((i * 2654435761 + seed) & 0xffffffff for i in range(n))))
' "$1" "$2"
}
part() { tail -c +$(($2 + 1)) "$1" | head -c "$3"; }

reads() { # TRANSPORT [,WORDS]
	part file 2097152 8192 >part && guest 0 pmem --virtio-transport "$1" --pmem "file${2-}" -p 'at=2097152 count=8192 read flush' &&
		says out "pmem on $1: 4194304 at 100000000" "checksum $(checksum part)" 'flush 0' && quiet && cmp file before
}
writes() {
	cp before file && guest 0 pmem --virtio-transport "$1" --pmem file -p "at=4190208 count=4096 seed=$2 write flush" &&
		says out 'wrote 4096 bytes' 'flush 0' && quiet && part file 4190208 4096 | cmp - <(pattern 4096 "$2") &&
		cmp -n 4190208 file before && cp before file
}
# Its memory is there once more after a reset, with what the guest wrote.
flood() { guest 0 pmem --virtio-transport "$1" --pmem file -p 'flood' && says out 'flood of 32: 0 bad' && quiet; }
bad() {
	guest 0 pmem --virtio-transport "$1" --pmem file -p 'bad flush' &&
		says out 'unknown 1, no type 1, half a type 1' 'flush 0' && says err 'it is not a flush' 'it has no type'
}
short() { guest 0 pmem --pmem file -p short && says out 'short: status 4f' && says err 'no room for its answer'; }
resets() { guest 0 pmem --virtio-transport "$1" --pmem file -p 'reset' && says out 'after a reset: flush 0' && quiet; }
# Devices read and write it: a guest's direct I/O with a mapped file.
as_buffer() {
	cp disk disk2 && guest 0 pmem --pmem file -d disk2 -p 'at=512 count=512 out' && says out 'disk out: status 0' &&
		quiet && cmp -n 512 disk2 <(part file 512 512) && cp before file &&
		guest 0 pmem --pmem file -d disk -p 'at=512 count=512 in read' && says out 'disk in: status 0' && quiet &&
		cmp -n 512 disk <(part file 512 512) && cp before file
}
# What is read-only can be written to a disk, and not be read into; what the guest writes has no effect.
read_only() {
	reads pci ,ro && cp disk disk2 && guest 0 pmem --pmem file,ro -d disk2 -p 'at=512 out' &&
		says out 'disk out: status 0' && quiet && cmp -n 512 disk2 <(part file 512 512) &&
		guest 0 pmem --pmem file,ro -d disk -p 'in' && says out 'disk in: nothing, status 4f' &&
		says err 'a buffer is not in RAM' && cmp file before && chmod a-w file &&
		guest 0 pmem --pmem file,ro -p 'count=16 write flush' &&
		says out 'wrote 16 bytes' 'flush 0' && says err "cannot be written (--pmem file)" && cmp file before
	local status=$?
	chmod u+w file
	return $status
}
several() {
	truncate -s 3G huge && guest 0 pmem --pmem huge,size=2G --pmem file,size=2M --virtio-transport mmio -p 'nth=1 count=4096 read' &&
		part file 0 4096 >part && says out 'pmem on mmio: 2097152 at 180000000' "checksum $(checksum part)" && quiet &&
		guest 0 pmem --pmem huge,size=2G --pmem file && says out 'pmem on pci: 2147483648 at 100000000'
	local status=$?
	rm -f huge
	return $status
}
# An image of any length can be looked at; what is behind its end is zeroes.
odd_length() {
	head -c 2100000 before >odd && { tail -c +$((2097152 + 1)) odd && head -c 13536 /dev/zero; } | head -c 16384 >part &&
		guest 0 pmem --pmem odd,ro -p 'at=2097152 count=16384 read' &&
		says out 'pmem on pci: 4194304 at' "checksum $(checksum part)" && quiet &&
		guest 0 pmem --pmem odd,ro -p 'at=3145728 count=4096 read' && head -c 4096 /dev/zero >part &&
		says out "checksum $(checksum part)"
}
# refused STATUS TEXT ARGUMENT...: one line.
refused() {
	local status=$1 text=$2
	shift 2
	guest "$status" pmem "$@" && says err "$text" && [ "$(wc -l <err)" = 1 ]
}
refusals() {
	head -c 2100000 before >odd && : >empty && mkdir -p folder && head -c 1M before >small &&
		refused 1 '--pmem odd: its 2100000 bytes are not a multiple of 2M; make it longer with: truncate -s %2M odd' --pmem odd &&
		refused 1 '--pmem empty: is empty; give it a size' --pmem empty &&
		refused 1 '--pmem folder: is a directory' --pmem folder &&
		refused 1 '--pmem none: cannot open: No such file' --pmem none &&
		refused 1 '--pmem file: size=6M: it has only 4194304 bytes' --pmem file,size=6M &&
		refused 2 'size=3M: must be a multiple of 2M' --pmem file,size=3M &&
		refused 2 "unknown 'rx'; did you mean 'ro'?" --pmem file,rx &&
		refused 2 'the name is empty' --pmem ,ro &&
		refused 1 'locked' --pmem file --pmem file &&
		refused 1 'locked' --pmem file -d file,ro &&
		guest 0 pmem --pmem file,ro --pmem file,ro
}
words() {
	guest 0 pmem --pmem file --pmem 'file,ro,size=2M' --dry-run && says out 'pmem: file' 'file,ro,size=2M' &&
		"$lkvm" run -k /dev/null --pmem file,size=2M --save-config saved && says saved 'pmem = file,size=2M'
}
# Started with "wait", the guest keeps it until a key comes.
hold() {
	rm -f held key && mkfifo key
	exec 8<>key
	"$lkvm" run --loglevel warning -k "$guests/pmem.flat" --kernel-format flat --nodefaults -m 32 -c 1 \
		"$@" <key >held 2>&1 8<&- &
	holder=$!
	wait_for grep -q waiting held
}
release() {
	echo >&8
	wait $holder
	status=$?
	exec 8>&-
	return 0
}
# The file becomes shorter while the guest runs: whoever touches what is gone ends the machine, in one line.
cut_short() {
	cp before cut && hold --pmem cut -d disk -p "at=2097152 wait $1" && truncate -s 1M cut && release &&
		[ "$status" = 102 ] && [ "$(grep -c 'lkvm: ' held)" = 1 ] &&
		says held "--pmem cut: the guest's memory is gone at byte"
}
# A device's access by a system call: the request fails, and nothing more.
cut_short_disk() {
	cp before cut && hold --pmem cut -d "disk,aio=$1" -p "at=2097152 wait later" && truncate -s 1M cut && release &&
		[ "$status" = 0 ] && says held 'disk in: status 1' 'Bad address'
}
uncut() { cp before cut && hold --pmem cut -d disk -p "at=2097152 wait again" && release && [ "$status" = 0 ]; }
huge_pages() {
	mkdir -p pages && unshare -m bash -c '
		mount -t hugetlbfs none pages && truncate -s 4M pages/file &&
		exec timeout -k 5 "$2" "$0" run -k "$1/pmem.flat" --kernel-format flat --nodefaults -m 32 -c 1 \
			--pmem pages/file -p "write flush read" >out 2>err </dev/null' "$lkvm" "$guests" "$LIMIT" &&
		says out 'flush 0' && quiet
}
dumped() {
	rm -rf dump && guest 0 pmem --pmem file --dump-boot dump && [ -s dump/plan.json ] && cmp file before
}


point 'it is the file, on PCI' reads pci
point 'on MMIO' reads mmio
point 'what is written is in the file, on PCI' writes pci 5
point 'on MMIO' writes mmio 6
point 'many flushes at once, on PCI' flood pci
point 'on MMIO' flood mmio
point 'requests that fail, on PCI' bad pci
point 'on MMIO' bad mmio
point 'a request without an answer' short
point 'a reset with flushes under way, on PCI' resets pci
point 'on MMIO' resets mmio
point 'disks read and write it' as_buffer
point 'read-only' read_only
point 'several, and parts of files' several
point 'a read-only file of any length' odd_length
point 'what is refused' refusals
point 'its words' words
point 'a file that stays is fine' uncut
point 'a file that ends, touched by the guest' cut_short again
point 'a file that ends, touched by a disk, in io_uring' cut_short_disk io_uring
point 'and in threads' cut_short_disk threads
if ! unshare -m true 2>/dev/null; then
	skip 'a file of huge pages' 'a mount namespace is not allowed'
elif grep -q 'HugePages_Free: *[01]$' /proc/meminfo; then
	skip 'a file of huge pages' 'the host has none to spare'
else
	point 'a file of huge pages' huge_pages
fi
point 'a description alone' dumped
echo "1..$n"
