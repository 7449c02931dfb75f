#!/bin/bash
# SPDX-License-Identifier: MIT
# --dump-boot: what a guest starts from, the same bytes whatever host makes them, without KVM.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.." || exit 1
lkvm=$(realpath "${LKVM:-build/lkvm}")
guests=$(realpath "${GUESTS:-build/guests}")
arm64=$(realpath -q "${LKVM_ARM64:-build/arm64/lkvm}")
arm64_libs=$PWD/build/lab/arm64/libs
# shellcheck source=tests/native/tap.sh
. "$here/tap.sh"

[ "$(uname -m)" = x86_64 ] || skip_all 'the guests are for x86-64'
[ -x "$lkvm" ] && [ -d "$guests" ] || { echo 'Bail out! run make all guests first' && exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
head -c 300000 /dev/urandom >initrd

# Each is a machine: what it starts from, and whatever its description depends on.
machines=(
	'-k hello.pvh -c 3 -m 5G -p quiet -i initrd'
	'-k hello.elf -c 1 -m 64 -d nosuch.img -d other.img,ro --virtio-transport mmio --no-rng'
	'-k hello.multiboot -c 300 -m 64 -i initrd -i initrd'
	'-k hello.flat --kernel-format flat -c 2 -m 64 --irqchip split --console virtio -n mode=tap,tapif=nosuch'
	'-f rom -m 64 -c 1'
	'-k hello.elf'
)
head -c 65536 /dev/urandom >rom
cp "$guests"/hello.{pvh,elf,multiboot,flat} .

# dump DIR WORDS COMMAND...: COMMAND run WORDS --dump-boot DIR
dump() {
	local to=$1 words=$2
	shift 2
	# shellcheck disable=SC2086
	limited "$@" run --loglevel warning $words --dump-boot "$to" >out 2>err </dev/null && [ ! -s err ] && return 0
	echo "# $* run $words:"
	sed 's/^/#   /' out err
	return 1
}

# same AWAY...: every machine, here and with AWAY in front of lkvm.
same() {
	local words n=0
	for words in "${machines[@]}"; do
		rm -rf home away
		dump home "$words" "$lkvm" && dump away "$words" "$@" && diff -r home away || return 1
		[ "$(ls home | wc -l)" -ge 3 ] || return 1
		n=$((n + 1))
	done
	[ $n = ${#machines[@]} ]
}
another_kernel() { same setarch --uname-2.6 "$lkvm"; }
another_environment() { same env -i HOME=/nonexistent TZ=Asia/Tokyo LC_ALL=C "$lkvm"; }
another_user() { chmod 755 . && chmod 644 ./* && mkdir -m 777 free && same sh -c 'umask 022; exec "$@"' sh "$lkvm"; }
no_kvm() {
	local words
	for words in "${machines[@]}"; do
		rm -rf home away
		dump home "$words" "$lkvm" && dump away "$words --dev /nonexistent" "$lkvm" && diff -r home away || return 1
	done
}
# What the C library tells of a host: CPUs, memory, kernel.
another_host() {
	cat >shim.c <<-'EOT'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <string.h>
		#include <sys/sysinfo.h>
		#include <sys/utsname.h>
		#include <unistd.h>
		long sysconf(int name)
		{
			long (*real)(int) = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");

			switch (name) {
			case _SC_NPROCESSORS_ONLN:
			case _SC_NPROCESSORS_CONF:
				return 77;
			case _SC_PHYS_PAGES:
			case _SC_AVPHYS_PAGES:
				return 1L << 30;
			}
			return real(name);
		}
		int get_nprocs(void) { return 77; }
		int get_nprocs_conf(void) { return 77; }
		int sysinfo(struct sysinfo *info)
		{
			memset(info, 0, sizeof(*info));
			info->totalram = 1UL << 42;
			info->mem_unit = 1;
			return 0;
		}
		int uname(struct utsname *uts)
		{
			memset(uts, 0, sizeof(*uts));
			strcpy(uts->sysname, "Linux");
			strcpy(uts->nodename, "elsewhere");
			strcpy(uts->release, "99.9.9-other");
			strcpy(uts->machine, "x86_64");
			return 0;
		}
	EOT
	"${CC:-cc}" -shared -fPIC -o shim.so shim.c -ldl && same env LD_PRELOAD="$PWD/shim.so" "$lkvm"
}
# qemu-user has CPUs of its own, and no KVM.
another_cpu() { same qemu-x86_64 -cpu qemu64 "$lkvm"; }

# The list is sorted, has no overlaps, and its sizes are those of its files, all of them.
adds_up() {
	local words
	for words in "${machines[@]}"; do
		rm -rf home
		dump home "$words" "$lkvm" && python3 - home <<-'EOT' || return 1
			import json, os, sys
			d = sys.argv[1]
			plan = json.load(open(d + '/plan.json'))
			assert isinstance(plan['registers'], dict)
			end, files, total = 0, {'plan.json'}, 0
			for p in plan['pages']:
			    assert set(p) == {'gpa', 'size', 'kind', 'measured', 'file'}, p
			    assert p['gpa'] >= end and p['gpa'] % 4096 == 0, p
			    assert p['size'] > 0 and p['size'] % 4096 == 0 and p['measured'] is True, p
			    assert p['kind'] in ('kernel', 'firmware', 'initrd', 'tables', 'stub', 'zero'), p
			    end = p['gpa'] + p['size']
			    assert (p['file'] is None) == (p['kind'] == 'zero'), p
			    if p['file']:
			        assert os.path.getsize(d + '/' + p['file']) == p['size'], p
			        files.add(p['file'])
			        total += p['size']
			assert files == set(os.listdir(d)), files
			assert total > 0
		EOT
	done
}
# The initrd is in there as it is, where the guest finds it.
holds_initrd() {
	rm -rf home && dump home '-k hello.pvh -c 1 -m 64 -i initrd' "$lkvm" &&
		cat home/*-initrd.bin | head -c 300000 | cmp - initrd
}

refused() {
	local want=$1 to=$2
	shift 2
	! limited "$lkvm" run --loglevel warning "$@" --dump-boot "$to" >out 2>err </dev/null &&
		[ "$(wc -l <err)" = 1 ] && grep -q -- "$want" err && return 0
	sed 's/^/# err: /' err
	return 1
}
not_empty() {
	mkdir full && : >full/mine && refused '--dump-boot full: is not empty; name a new directory' full -k hello.pvh -m 64 &&
		[ "$(ls full)" = mine ] && refused 'mine' full/mine -k hello.pvh -m 64
}
empty_is_fine() { mkdir made && dump made '-k hello.pvh -m 64 -c 1' "$lkvm" && [ -s made/plan.json ]; }
# At every limit of descriptors it works, or says so and leaves nothing.
few_descriptors() {
	local count
	for count in {4..40}; do
		(ulimit -n "$count" && exec "$lkvm" run -k hello.pvh -c 1 -m 64 -i initrd --loglevel warning --dump-boot few) \
			>out 2>err </dev/null && break
		[ "$(wc -l <err)" = 1 ] && grep -q 'ulimit -n' err && [ ! -e few ] && continue
		echo "# ulimit -n $count:" && cat err
		return 1
	done
	[ "$count" -gt 4 ] && [ -s few/plan.json ]
}
nothing_stays() {
	refused 'cannot create the directory' nosuch/there -k hello.pvh -m 64 || return 1
	(ulimit -f 100 && refused 'cannot write .*initrd' half -k hello.pvh -c 1 -m 64 -i initrd) &&
		[ ! -e half ] || return 1
	mkdir kept && (ulimit -f 100 && refused 'cannot write' kept -k hello.pvh -c 1 -m 64 -i initrd) &&
		[ -d kept ] && [ -z "$(ls kept)" ]
}
bad_kernel() { refused 'neither bzImage' none -k initrd -m 64 && [ ! -e none ]; }

# Another VM has the flash.
lock_flash() {
	truncate -s 1M flash.img && exec 9<>flash.img && python3 - <<-'EOT'
		import fcntl, struct
		fcntl.fcntl(9, fcntl.F_OFD_SETLK, struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0))
	EOT
}
arm64() {
	local words
	lock_flash || return 1
	for words in '-c 5 -m 3G -i initrd -p quiet' '-c 2 -m 256 --irqchip gicv2m --virtio-transport mmio' \
		'-c 2 -m 256 --protected' '-c 3 -m 128 --realm planes=1' '-c 1 -m 64 --kaslr-seed 7 --flash flash.img' ''; do
		words="-k hello.flat --kernel-format flat $words"
		rm -rf home away
		dump home "$words" "${qemu[@]}" -cpu max "$arm64" && dump away "$words" "${qemu[@]}" -cpu cortex-a53 -r 5.10.0 \
			 "$arm64" && diff -r home away && grep -q '"x0"' home/plan.json || return 1
		dump away2 "$words --dump-dtb tree.dtb" "${qemu[@]}" "$arm64" && cmp -n "$(stat -c %s tree.dtb)" tree.dtb \
			away2/*-tables.bin || return 1
		rm -rf away2
	done
}
qemu=(qemu-aarch64 -U LD_PRELOAD -L /usr/aarch64-linux-gnu
	-E "LD_LIBRARY_PATH=$arm64_libs/usr/lib/aarch64-linux-gnu:$arm64_libs/lib/aarch64-linux-gnu")

echo 1..14
point 'the same bytes on another kernel' another_kernel
point 'the same bytes in another environment' another_environment
point 'the same bytes with another umask' another_user
point 'the same bytes without KVM' no_kvm
# Sanitizers go together neither with another C library's calls nor with qemu-user.
sanitized() { grep -q libasan "$lkvm"; }
if ! sanitized && command -v "${CC:-cc}" >/dev/null; then
	point 'the same bytes on another host, as the C library tells of it' another_host
else
	skip 'the same bytes on another host, as the C library tells of it' 'no compiler, or sanitizers'
fi
if ! sanitized && command -v qemu-x86_64 >/dev/null; then
	point 'the same bytes on another CPU' another_cpu
else
	skip 'the same bytes on another CPU' 'no qemu-x86_64, or sanitizers'
fi
point 'plan.json: sorted, no overlap, sizes add up' adds_up
point 'the initrd is in it' holds_initrd
point 'a folder that is not empty is refused and left alone' not_empty
point 'an empty one is taken' empty_is_fine
point 'after a failure nothing half-made stays' nothing_stays
point 'nor with few descriptors' few_descriptors
point 'a kernel that cannot be started leaves no folder' bad_kernel
if [ -x "$arm64" ] && command -v qemu-aarch64 >/dev/null; then
	point 'arm64: the same bytes on another CPU and kernel' arm64
else
	skip 'arm64: the same bytes on another CPU and kernel' 'no build/arm64/lkvm or no qemu-aarch64'
fi
