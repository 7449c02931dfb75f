#!/bin/bash
# SPDX-License-Identifier: MIT
# virtio-blk with a driver in the guest: what it reads and writes is what is in the file.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

head -c 1M /dev/urandom >disk
before=$(sha256sum <disk)

# pattern COUNT SEED: what `blk write` puts into COUNT sectors.
pattern() {
	python3 -c '
import struct, sys
n, seed = int(sys.argv[1]) * 128, int(sys.argv[2])
sys.stdout.buffer.write(struct.pack("<%dI" % n, *((i * 2654435761 + seed) & 0xffffffff for i in range(n))))
' "$1" "$2"
}
part() { dd if=disk bs=512 skip="$1" count="$2" status=none; }

reads() {
	part 40 64 >part && guest 0 blk --virtio-transport "$1" $3 -d "disk$2" -p 'id at=40 count=64 read' &&
		says out "disk on $1: 2048 sectors" "id 'lkvm-disk0'" "checksum $(checksum part)" 'interrupts came' &&
		[ "$(sha256sum <disk)" = "$before" ] && quiet
}
writes() {
	part 0 2048 >old && guest 0 blk --virtio-transport "$1" -d "disk$3" -p "write at=104 count=48 seed=$2 flush $4" &&
		says out 'wrote 48 sectors' 'flush: status 0' && part 104 48 | cmp - <(pattern 48 "$2") &&
		cmp <(head -c $((104 * 512)) old) <(part 0 104) &&
		cmp <(tail -c +$((152 * 512 + 1)) old) <(part 152 1896) && before=$(sha256sum <disk)
}
refuses() {
	guest 0 blk --virtio-transport "$1" -d disk,ro -p bad &&
		says out ', ro' 'beyond the end: status 1' 'over the end: status 1' 'half a sector: status 1' \
			'unknown: status 2' 'write: status 1' 'device status 4f' &&
		says err 'read-only disk' 'beyond the end' 'is broken' && [ "$(sha256sum <disk)" = "$before" ]
}
zeroes() {
	cp disk zdisk && guest 0 blk -d zdisk -p 'zero at=16 count=100' && says out 'zeroes: status 0' 'discard: status 0' &&
		[ "$(stat -c %s zdisk)" = 1048576 ] && cmp -n $((16 * 512)) zdisk disk &&
		cmp <(tail -c +$((116 * 512 + 1)) zdisk) <(tail -c +$((116 * 512 + 1)) disk) &&
		dd if=zdisk bs=512 skip=16 count=100 status=none | cmp - <(head -c 51200 /dev/zero)
}
# What the user says of a disk: a name, whole blocks, several queues, which way its requests go, a limit.
asked_for() {
	part 40 64 >part &&
		guest 0 blk -d "disk,serial=a,,b-20-characters-ab,block-size=4096,queues=4,cache=writethrough,$1" \
			-p 'id at=40 count=64 read' &&
		says out 'disk on pci: 2048 sectors' "id 'a,b-20-characters-ab'" "checksum $(checksum part)" && quiet
}
# A burst that is more than all, and one that is less than the first request.
at_a_rate() {
	part 40 64 >part && guest 0 blk -d "disk,rate=1M:64M,ops=100:1000" -p 'at=40 count=64 read' &&
		says out "checksum $(checksum part)" && quiet &&
		guest 0 blk -d "disk,rate=1G:1,ops=1000:1" -p 'at=40 count=64 read' && says out "checksum $(checksum part)" && quiet
}
# The file becomes shorter while the guest runs: errors for what is gone, one line for it, and no hang.
cut_short() {
	cp disk shorter && hold "shorter,aio=$1" 'read wait again at=1984 count=64' && truncate -s 512K shorter && release &&
		[ "$(grep -c 'read at [0-9]*: status 1' held)" = 8 ] && [ "$(grep -c 'lkvm: ' held)" = 1 ] &&
		says held '--disk shorter: cannot read at sector 1984: Input/output error; the guest gets'
}
# A host whose policy forbids io_uring (system call 425 everywhere, io_uring_setup): threads serve, and who insists is
# told. BPF: load the number; if it is 425 return EPERM, else allow.
forbidden() {
	python3 -c '
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (6, 0, 0, 0x00050001), (6, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
fprog = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, fprog, 0, 0):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])' "$lkvm" run -k "$guests/blk.flat" --kernel-format flat --nodefaults -m 32 -c 1 "$@" \
		>out 2>err </dev/null
}
no_uring() {
	part 40 64 >part && forbidden -d disk -p 'at=40 count=64 read' --loglevel debug && says out "checksum $(checksum part)" &&
		says err '--disk disk: no io_uring: Operation not permitted'
	forbidden -d disk,aio=io_uring -p read --loglevel warning
	[ $? = 1 ] && says err '--disk disk: aio=io_uring: there is no io_uring (' 'io_uring_disabled); use aio=threads' &&
		[ "$(wc -l <err)" = 1 ]
}
two_disks() {
	head -c 64K /dev/urandom >second && part 0 8 >part &&
		guest 0 blk -d disk -d second -p 'read count=8' && says out 'disk on pci: 2048 sectors' "checksum $(checksum part)"
}
# The host's disk is full: the guest is told, and lkvm lives on.
no_space() {
	local unshare
	for unshare in 'unshare -m' 'unshare -rm'; do
		$unshare true 2>/dev/null || continue
		mkdir -p small && $unshare bash -c '
			mount -t tmpfs -o size=256k none small && truncate -s 8M small/disk || exit 1
			timeout -k 5 "$2" "$0" run -k "$1/blk.flat" --kernel-format flat --nodefaults -m 32 -c 1 \
				-d small/disk -p "fill flush" >out 2>err </dev/null' "$lkvm" "$guests" "$LIMIT" &&
			says out ': status 1' 'read: status 0' 'interrupts came' && says err 'No space left on device' &&
			[ "$(grep -c 'No space left' err)" = 1 ]
		return
	done
}
# Started with "wait", the guest keeps the disk until a key comes.
hold() {
	: >held # what an earlier guest said would end the wait
	mkfifo key 2>/dev/null
	exec 8<>key
	"$lkvm" run --loglevel warning -k "$guests/blk.flat" --kernel-format flat --nodefaults -m 32 -c 1 \
		-d "$1" -p "${2:-read wait}" <key >held 2>&1 8<&- &
	holder=$!
	wait_for grep -q checksum held
}
release() {
	echo >&8
	wait $holder
}
locked() {
	hold disk && guest 1 blk -d disk && says err "--disk disk: locked by process $holder" && [ "$(wc -l <err)" = 1 ] &&
		guest 1 blk -d disk,ro && says err locked && release && guest 0 blk -d disk -p 'read'
}
shared() {
	hold disk,ro && guest 0 blk -d disk,ro -p read && guest 1 blk -d disk && says err locked && release
}
killed() {
	hold disk && kill -KILL $holder && { wait $holder 2>/dev/null || true; } && guest 0 blk -d disk -p read
}

# A disk whose writes wait until the test lets each go: slow-disk.c.
slow() {
	rm -f key gate begun out
	mkfifo key gate && exec 7<>gate 8<>key
	LD_PRELOAD=$guests/slow-disk.so ASAN_OPTIONS=verify_asan_link_order=0 SLOW_DISK=disk SLOW_LOG=begun SLOW_GATE=gate \
		"$lkvm" run --loglevel "${2:-warning}" -k "$guests/blk.flat" --kernel-format flat --nodefaults -m 32 -c 1 \
		--virtio-transport "$1" -d "disk${3:-}" -p flood <key >out 2>err 7<&- 8<&- &
	slow=$!
	meets grep -q begun begun
}
# Wait until a command is true; lkvm that hangs is ended.
meets() {
	wait_for "$@" && return
	kill -KILL "$slow"
	return 1
}
let_go() { printf '%*s' "$1" '' >&7; }
ended() { ! kill -0 "$slow"; }
# Registers answer while the host is at work, and each completion comes when there is one.
while_busy() {
	local status
	slow "$1" && echo >&8 && meets grep -q 'registers answer: status f, sectors 2048' out && ! grep -q 'done' out &&
		let_go 1 && meets grep -q 'done 1' out && ! grep -q 'done 2' out && let_go 5 && meets ended
	wait "$slow"
	status=$?
	[ $status = 0 ] && says out 'done 5' '0 of 5 failed'
}
# The device goes while the host is at work: errors for what is under way and for all that comes later, one line, no hang.
vanished() {
	slow "$1" warning ,aio=threads && printf xxxxxxxx >&7 && echo >&8 && meets ended
	wait "$slow"
	local status=$?
	[ $status = 0 ] && says out 'done 5' '5 of 5 failed, the last: status 1' && [ "$(grep -c 'lkvm: ' err)" = 1 ] &&
		grep -q -- '--disk disk: cannot write at sector [0-9]*: No such device; the guest gets an I/O error' err
}
# What is not with the host yet is not begun any more. The first write is let go when the end has begun: after the
# registers, of which the code at the instruction pointer is the last line.
ending() { grep -q 'debug:   code' err; }
nr_begun() { grep -c begun begun; }
# Let go whatever the host has got; true once lkvm has ended.
let_all_go() {
	local n
	n=$(nr_begun)
	[ "$n" -le "$gone" ] || let_go $((n - gone))
	gone=$n
	ended
}
sigterm() {
	local gone=0
	slow pci debug && kill -TERM "$slow" && meets ending && ! ended && meets let_all_go
	wait "$slow"
	status=$?
	[ $status = 143 ] && [ "$(nr_begun)" -lt 5 ] && ! grep -v '^lkvm: debug' err
}

echo 1..27
point 'reads on PCI with MSI-X' reads pci '' ''
point 'reads on MMIO' reads mmio '' ''
for chip in full split; do
	point "reads on PCI, $chip irqchip" reads pci ',ro' "--irqchip $chip"
	point "reads on MMIO, $chip irqchip" reads mmio ',ro' "--irqchip $chip"
done
point 'writes on PCI' writes pci 5 '' ''
point 'writes on MMIO' writes mmio 77 '' poll
point 'requests that must fail, on PCI' refuses pci
point 'requests that must fail, on MMIO' refuses mmio
point 'write zeroes and discard' zeroes
point 'words about a disk, with threads' asked_for aio=threads
point 'words about a disk, the way that is best' asked_for aio=auto
point 'limits' at_a_rate
point 'a file that is cut short, with threads' cut_short threads
point 'a file that is cut short' cut_short auto
if ! "$lkvm" version | grep -q 'io_uring: yes'; then
	skip 'a host without io_uring' 'this build has none'
elif ! python3 -c 'import ctypes' 2>/dev/null; then
	skip 'a host without io_uring' 'this python3 has no ctypes'
else
	point 'a host without io_uring' no_uring
fi
point 'two disks' two_disks
point 'no space on the host is an I/O error in the guest' no_space
point 'a disk in use is refused, its user is named' locked
point 'readers share a disk' shared
point 'a killed lkvm leaves no lock' killed
if LD_PRELOAD=$guests/slow-disk.so ASAN_OPTIONS=verify_asan_link_order=0 SLOW_DISK=disk SLOW_LOG=try SLOW_GATE=disk \
	"$lkvm" version >/dev/null 2>&1 && [ -s try ]; then
	point 'registers and completions while the host is slow, on PCI' while_busy pci
	point 'registers and completions while the host is slow, on MMIO' while_busy mmio
	point 'a device that goes with writes under way, on PCI' vanished pci
	point 'a device that goes with writes under way, on MMIO' vanished mmio
	point 'SIGTERM waits for what is under way, not for the queue' sigterm
else
	for name in PCI MMIO gone-PCI gone-MMIO SIGTERM; do skip "a slow disk: $name" 'nothing can be preloaded into this binary'; done
fi
