#!/bin/bash
# SPDX-License-Identifier: MIT
# Bad input: each has its exit status and one line that says what and why; nothing stays behind.
# shellcheck disable=SC2154
# In a session of its own, so that nothing but its own processes is looked for at the end.
[ -n "${OWN_SESSION:-}" ] || OWN_SESSION=1 exec setsid -w "$0"
. "$(dirname "$0")/lib.sh"

hello="$guests/hello.flat"
flat=(-k "$hello" --kernel-format flat -c 1)
: >empty
head -c 6144 /dev/zero >odd
mkdir directory
head -c 100 "$guests/hello.elf" >short.elf
head -c 3000 "$guests/hello.elf" >shorter.elf
cp "$guests/hello.elf" arm.elf && printf '\267\0' | dd of=arm.elf bs=1 seek=18 conv=notrunc status=none
# A segment at 64-bit -4096 (p_paddr), and one with 2^63 bytes (p_memsz).
cp "$guests/hello.elf" wild.elf && printf '\0\360\377\377\377\377\377\377' | dd of=wild.elf bs=1 seek=88 conv=notrunc status=none
cp "$guests/hello.elf" huge.elf && printf '\0\0\0\0\0\0\0\200' | dd of=huge.elf bs=1 seek=104 conv=notrunc status=none
head -c 64K /dev/urandom >noise
# What looks like an x86 bzImage: HdrS, protocol 2.15 with a 64-bit entry, and the release at 0x400.
head -c 64K /dev/zero >linux
put() { printf "$2" | dd of=linux bs=1 seek=$(($1)) conv=notrunc status=none; }
put 0x1f1 '\004' && put 0x1fe '\125\252' && put 0x202 'HdrS\017\002' && put 0x20e '\000\002' && put 0x211 '\001' && put 0x236 '\001'
put 0x400 '6.6.6-test (nobody)'
truncate -s 200M big.initrd
truncate -s 1M disk
printf 'QFI\373\0\0\0\3' >qcow2 && truncate -s 256K qcow2
printf 'KDMV' >vmdk && truncate -s 256K vmdk
gzip <disk >disk.gz
truncate -s 17M zeroes && gzip -1 <zeroes >zeroes.gz
head -c 64K /dev/zero | tr '\0' '\377' >blank
# A static program: the last of its program headers names RELRO.
cp "$guests/hello.elf" program && printf '\122\345\164\144' | dd of=program bs=1 seek=120 conv=notrunc status=none

# bad STATUS REGEX ARGUMENT...: one line on standard error that matches, nothing on standard output.
bad() {
	local want=$1 regex=$2 status
	shift 2
	limited "$lkvm" run --nodefaults --loglevel warning "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] && [ "$(wc -l <err)" = 1 ] && grep -qE -- "$regex" err && [ ! -s out ] && return 0
	echo "# 'run $*': status $status, not $want, or not one line like '$regex':"
	head -n 5 err | sed 's/^/# err: /'
	head -n 2 out | sed 's/^/# out: /'
	return 1
}

table=(
	'a missing kernel' 1 'Fatal: Unable to open kernel nosuch: No such file' '-k nosuch'
	'an empty kernel' 1 'kernel empty: the file is empty' '-k empty'
	'a directory as kernel' 1 'kernel directory: it is a directory' '-k directory'
	'a device as kernel' 1 '/dev/zero: not a regular file' '-k /dev/zero'
	'a kernel that is noise' 1 "noise: neither bzImage, ELF" '-k noise'
	'a kernel cut within its headers' 1 'truncated|beyond the end of the file' '-k short.elf'
	'a kernel cut within a segment' 1 'truncated|beyond the end of the file' '-k shorter.elf'
	'a kernel for another architecture' 1 'for arm64, and the guest is x86-64' '-k arm.elf'
	'a kernel that fits nowhere' 1 "--kernel wild.elf: " '-k wild.elf'
	'a kernel with an enormous segment' 1 "--kernel huge.elf: " '-k huge.elf'
	'the wrong format' 1 'no PVH entry note' "-k $guests/hello.elf --kernel-format pvh"
	'an unknown format' 2 "--kernel-format elfs: is not one of .*; did you mean 'elf'" '-k noise --kernel-format elfs'
	'a missing initrd' 1 'Unable to open initrd nosuch' '@ -i nosuch'
	'an initrd that does not fit' 1 '--initrd: does not fit: needs 200M.*increase --mem' '@ -m 64 -i big.initrd'
	'a missing firmware' 1 'Unable to open firmware nosuch' '-f nosuch'
	'firmware that is too short' 1 'firmware' '-f noise2'
	'no memory' 2 "-m 0: is too small; the minimum is 1M" '@ -m 0'
	'too little memory' 1 'needs at least .* increase --mem' '@ -m 1'
	'more memory than any host has' 2 'more than any host can address' '@ -m 9999T'
	'an invalid size' 2 "-m 12Q: is not a size; write it like" '@ -m 12Q'
	'no CPUs' 2 '-c 0: is too small; the minimum is 1' '@ -c 0'
	'too many CPUs' 2 'the maximum on .* [0-9]+ vcpus' '@ -c 100000'
	'more CPUs than the irqchip reaches' 2 'full irqchip serves at most 255.*--irqchip split' '@ -c 300 --irqchip full'
	'an unknown option' 2 "unknown option '--cpuss'; did you mean '--cpus'" '@ --cpuss 3'
	'an option without argument' 2 'needs an argument' '@ -m'
	'no such KVM device' 1 '/dev/nosuch: ' '@ --dev /dev/nosuch'
	'a device that is not KVM' 1 '/dev/null: is not KVM' '@ --dev /dev/null'
	'a damaged qcow2 image as disk' 1 '--disk qcow2: is not a proper qcow2 image: it has clusters.*qemu-img check.*format=raw' '@ -d qcow2'
	'a damaged qcow2 image as disk, read-only, past the page cache' 1 '--disk qcow2: is not a proper qcow2' '@ -d qcow2,ro,direct'
	'a VMDK image as disk' 1 '--disk vmdk: is a VMDK image.*qemu-img convert -O raw.*format=raw' '@ -d vmdk'
	'a raw disk said to be qcow2' 1 '--disk disk.gz: is not a qcow2 image, but gzip' '@ -d disk.gz,format=qcow2'
	'a compressed disk' 1 '--disk disk.gz: is compressed by gzip.*unpack it with: gunzip' '@ -d disk.gz'
	'another format of a disk by name' 2 'format=vmdk: is not one of raw, qcow2' '@ -d disk,format=vmdk'
	'a disk that is not whole blocks' 1 '--disk odd: block-size=4096: its 6144 bytes are not whole blocks; make it longer' '@ -d odd,block-size=4096'
	'a qcow2 image as kernel' 1 'a qcow2 disk image; pass disks with -d' '-k qcow2'
	'a program as kernel' 1 'a program or library for an operating system' '-k program'
	'firmware that is blank' 1 'nothing to run at the reset vector: 16 bytes of 0xff' '-f blank'
	'an image larger than memory when unpacked' 1 "unpacked by gzip it is larger than the guest.s memory .16M" '-m 16 -k zeroes.gz'
	'a missing disk' 1 "--disk nosuch: cannot open: No such file.*truncate" '@ -d nosuch'
	'a directory as disk' 1 "--disk directory: is a directory, which only Linux can have as its root" '@ -d directory'
	'a directory as disk, with more words' 2 "--disk directory: is a directory, of which only 'ro'" '@ -d directory,direct'
	'two directories as disks' 2 "--disk /tmp: another directory is the root already" '@ -d directory -d /tmp'
	'a directory as disk, and an initrd' 2 "--disk directory: cannot be combined with --initrd" '@ -d directory -i noise'
	'modules that are not there' 1 "--modules directory: has neither modules.dep nor lib/modules" '-k linux -d directory --modules directory'
	'an empty disk' 1 "--disk empty: is empty" '@ -d empty'
	'a character device as disk' 1 'neither a regular file nor a block device' '@ -d /dev/null'
	'a disk named twice' 2 "--disk disk: is given twice" '@ -d disk -d disk'
	"QEMU's word after a disk" 2 "unknown 'readonly=on'; did you mean 'ro'" '@ -d disk,readonly=on'
	'a slip in it' 2 "unknown 'raed-only'; did you mean 'ro'" '@ -d disk,raed-only'
	'an unknown word after a disk' 2 "unknown 'rq'; did you mean 'r" '@ -d disk,rq'
	'a missing tap' 1 "tapif=nosuchtap: no such interface; create it with: .*ip tuntap add dev nosuchtap" '@ -n mode=tap,tapif=nosuchtap'
	'an interface that is not a tap' 1 "tapif=lo: is not a tap" '@ -n mode=tap,tapif=lo'
	'a bad MAC address' 2 'guest_mac' '@ -n mode=tap,guest_mac=1:2'
	'a missing hugetlbfs' 1 '--hugetlbfs /nosuch: ' '@ --hugetlbfs /nosuch'
	'a directory that is not a hugetlbfs' 1 '--hugetlbfs /tmp: is not on a hugetlbfs mount; make one' '@ --hugetlbfs /tmp'
)

permission() {
	cp "$lkvm" lkvm && chmod 755 . lkvm
	setpriv --reuid=65534 --regid=65534 --clear-groups ./lkvm run -k nosuch-but-later >out 2>err </dev/null
	setpriv --reuid=65534 --regid=65534 --clear-groups timeout -k 5 "$LIMIT" ./lkvm run "${flat[@]/$hello/hello.flat}" \
		--loglevel warning >out 2>err </dev/null
	[ $? = 1 ] && [ "$(wc -l <err)" = 1 ] && says err '/dev/kvm: permission denied' && grep -qE 'group|root' err
}
long_cmdline() {
	bad 1 'command line has 70000 characters.*--params' "${flat[@]}" -p "$(head -c 70000 /dev/zero | tr '\0' x)"
}
# With less address space than the guest is to have.
no_memory() { (ulimit -v 4000000 && bad 1 '--mem: cannot map .*decrease it' "${flat[@]}" --loglevel error -m 64G); }
# Nothing that ran here is still there, and nobody made a file or an interface.
nothing_left() {
	wait_for nothing_is_left && return
	echo "# left: $left"
	return 1
}
nothing_is_left() {
	left="$(pgrep -s 0 -x -a lkvm) $(ls -A tmp) $(find /dev/shm -name "*lkvm*")"
	left+=" $(comm -13 <(echo "$nets") <(ls /sys/class/net))"
	[ -z "${left// /}" ]
}

head -c 100 noise >noise2
cp "$hello" hello.flat
nets=$(ls /sys/class/net)
mkdir tmp && export TMPDIR=$dir/tmp
echo "1..$((${#table[@]} / 4 + 4))"
for ((i = 0; i < ${#table[@]}; i += 4)); do
	read -ra words <<<"${table[i + 3]}"
	[ "${words[0]}" != @ ] || words=("${flat[@]}" "${words[@]:1}")
	point "${table[i]}" bad "${table[i + 1]}" "${table[i + 2]}" "${words[@]}"
done
point 'a command line that is too long' long_cmdline
if ! nm "$lkvm" 2>/dev/null | grep -q __asan_init; then
	point 'memory that the host does not give' no_memory
else
	skip 'memory that the host does not give' 'AddressSanitizer needs address space of its own'
fi
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && [ "$(stat -c %a /dev/kvm)" != 666 ]; then
	point 'no permission for /dev/kvm' permission
else
	skip 'no permission for /dev/kvm' 'needs root, setpriv and a /dev/kvm that is not for everyone'
fi
point 'nothing stays behind' nothing_left
