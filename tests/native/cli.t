#!/bin/bash
# SPDX-License-Identifier: MIT
# The command line without a guest: help, version, wrong usage, dry run, closed descriptors. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/native/tap.sh
. tests/native/tap.sh
lkvm=$(realpath "${LKVM:-build/lkvm}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# run STATUS ARGUMENT...: runs lkvm, keeps out and err, compares the status.
run() {
	local want=$1 status
	shift
	limited "$lkvm" "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] || { echo "# '$*': status $status, not $want" && return 1; }
}

# says FILE TEXT...: each text is in the file.
says() {
	local file=$1 text
	shift
	for text; do
		grep -qF -- "$text" "$file" || { echo "# no '$text' in: $(cat "$file")" && return 1; }
	done
}

# wrong TEXT ARGUMENT...: wrong usage: status 2, nothing on standard output, one line that has TEXT.
wrong() {
	local text=$1
	shift
	run 2 "$@" && says err "$text" && [ ! -s out ] && [ "$(wc -l <err)" = 1 ]
}

helps() {
	for words in --help -h help; do
		run 0 "$words" && says out 'The most commonly used lkvm commands are:' '  run ' || return 1
		[ ! -s err ] || return 1
	done
	run 2 && says err 'The most commonly used'
}
helps_run() {
	run 0 help run && says out 'usage: lkvm run' '-k, --kernel FILE' && cp out first &&
		run 0 run --help && cmp out first
}
versions() {
	for words in --version version; do
		run 0 "$words" && says out 'lkvm ' 'architecture: ' 'zlib: ' 'zstd: ' || return 1
	done
}
wrong_commands() {
	wrong "did you mean 'run'?" rnu && wrong "'lkvm run vmlinuz' boots" vmlinuz &&
		wrong "'lkvm run -k" -k vmlinuz && wrong "did you mean 'version'?" help verson &&
		wrong 'one command at a time' help run version && wrong 'no arguments' version x
}
# What other VMMs call their commands and options is explained, not guessed at.
foreign_words() {
	wrong 'crosvm has it; here use lkvm pause' suspend && wrong 'krunvm has it; here use lkvm run' start x &&
		wrong "'--tty': kvmtool has it; here use --port NAME,pty,console" run -k x --tty 1 &&
		run 0 run --dry-run -k x --vnc && says err 'warning: --vnc: has no effect' &&
		wrong "unknown option '-initrd'; did you mean '--initrd'?" run -k x -initrd i.cpio &&
		printf 'kernel x\nmemory 1G\n' >foreign.conf &&
		wrong "foreign.conf:2: unknown option 'memory': firectl, cloud-hypervisor and virtme-ng have it" run --config foreign.conf
}
# What people type instead of what they mean: one line, status 2.
habits() {
	wrong "'lkvm run bzImage' boots" bzImage && wrong "'lkvm run -k" -k x && wrong "'lkvm run --kernel ...'" -kernel x &&
		wrong "'-nographic' without a command: QEMU has it" -nographic && wrong 'needs an argument: FILE' run --kernel &&
		wrong 'the name is empty' run --kernel= && wrong "unexpected word 'b'" run a b &&
		wrong "the kernel is 'a' already" run -k a b && wrong 'every card is a virtio card' run -k x --network virtio &&
		wrong 'is not a size' run -k x -m -512 && wrong 'is too small' run -k x -m 0 && wrong 'is too large' run -k x -m 16384P &&
		wrong "memory begins at 0x" run -k x -m 512M@0x1000 && wrong 'the name comes first: -d x' run -k x -d path=x,readonly=on &&
		run 0 run --dry-run -k x -m 1.5G -p a -p b=c --nodefaults && says out 'mem: 1536M' 'cmdline: a b=c' &&
		run 0 run --dry-run -k x --debug && says out 'kernel: x'
}
wrong_options() {
	wrong "did you mean '--mem'?" run --mme 512 && wrong 'needs an argument' run -k &&
		wrong 'not a size' run -m much && wrong 'too small' run -c 0 &&
		wrong 'is for mode=user' run -n mode=tap,forward=tcp:80:80 -k x && wrong 'more than any host' run -k x -m 9999P &&
		wrong 'only one of them' run -k x -f y
}
dry_run() {
	run 0 run --dry-run -k x -m 512 -c 3 -d d.img -p quiet --name t &&
		says out 'name: t' 'cpus: 3' 'mem: 512M' 'kernel: x' 'disk: d.img' \
			'root=/dev/vda rw quiet' && says err 'lkvm: info: kernel parameters: added' &&
		run 0 run --dry-run --kernel x --cpus 1 --nodefaults --network mode=none \
			--loglevel=warning && [ ! -s err ] && says out 'cmdline: ' 'network: none' &&
		run 0 run --dry-run -k x --kernel-format flat -p word && grep -qx 'cmdline: word' out
}
# A configuration that was saved is the same machine; what comes after it replaces.
saves() {
	run 0 run --save-config vm.conf -k x -c 3 -d 'a,,b,ro' -p ' quiet' --rng --name t &&
		says vm.conf '# lkvm run --config' 'cpus = 3' 'mem = ' 'disk = a,,b,ro' 'params = " quiet"' && [ ! -s out ] &&
		run 0 run --dry-run -k x -c 3 -d 'a,,b,ro' -p ' quiet' --rng --name t && cp out first &&
		run 0 run --config vm.conf --dry-run && cmp out first &&
		run 0 run --config vm.conf --save-config - && cmp out vm.conf &&
		printf 'loglevel debug\nsdl\n' | cat vm.conf - | "$lkvm" run --config - --save-config - >piped 2>err && cmp piped vm.conf &&
		says err 'warning: -:11: --sdl: has no effect' && "$lkvm" run --config vm.conf --save-config /dev/stdout >piped 2>err &&
		cmp piped vm.conf && [ -h /dev/stdout ] &&
		run 0 run --config vm.conf --save-config again.conf && cmp vm.conf again.conf &&
		run 0 run --config vm.conf -c 2 --no-rng --dry-run && says out 'cpus: 2' 'rng: no' 'disk: a,,b,ro' &&
		run 0 run --save-config unnamed.conf -k x && ! grep -q '^name' unnamed.conf &&
		run 1 run --config vm.conf --save-config nosuch/vm.conf &&
		says err '--save-config nosuch/vm.conf: cannot write: No such file or directory'
}
# The words of a disk come back as they were given, in one order.
disk_words() {
	local words='direct,format=raw,aio=threads,cache=writethrough,queues=4,block-size=4096,serial=a,,b,rate=50M:100M,ops=1000'
	run 0 run --dry-run -k x -d "d.img,$words" && says out "disk: d.img,$words" &&
		run 0 run --save-config disk.conf -k x -d "d.img,$words" && run 0 run --config disk.conf --dry-run &&
		says out "disk: d.img,$words" &&
		run 0 run --dry-run -k x -d 'd.img,ops=5,cache=none,aio=io_uring,block-size=512' &&
		says out 'disk: d.img,direct,aio=io_uring,block-size=512,ops=5' &&
		wrong "aio=: unknown 'io-uring'; did you mean 'io_uring'" run -k x -d d,aio=io-uring &&
		wrong "cache=: unknown 'unsafe'; it is not one of writeback, writethrough" run -k x -d d,cache=unsafe &&
		wrong 'queues=0: must be a number from 1 to 64' run -k x -d d,queues=0 &&
		wrong 'queues=65: must be' run -k x -d d,queues=65 &&
		wrong 'block-size=1024: must be 512 or 4096' run -k x -d d,block-size=1024 &&
		wrong 'serial=: must be 1 to 20 printable' run -k x -d d,serial= &&
		wrong 'serial=123456789012345678901: must be' run -k x -d d,serial=123456789012345678901 &&
		wrong 'serial=a/b: must be' run -k x -d d,serial=a/b &&
		wrong 'rate=5: must be SIZE' run -k x -d d,rate=5 && wrong "did you mean 'queues='" run -k x -d d,queue=4
}
# What the command line starts is started, not what the file does.
replaces() {
	printf 'kernel a\n' >kernel.conf && printf 'firmware f\n' >firmware.conf && printf 'cpus 2\n' >cpus.conf &&
		run 0 run --config kernel.conf --dry-run && says out 'kernel: a' &&
		run 0 run --config kernel.conf b --dry-run && says out 'kernel: b' &&
		run 0 run --config kernel.conf -k b --dry-run && says out 'kernel: b' &&
		run 0 run --config kernel.conf -f g --dry-run && says out 'kernel: none' 'firmware: g' &&
		run 0 run --config firmware.conf -k b --dry-run && says out 'kernel: b' 'firmware: none' &&
		run 0 run --config firmware.conf b --dry-run && says out 'kernel: b' 'firmware: none' &&
		run 0 run --config firmware.conf --dry-run && says out 'firmware: f' &&
		run 0 run --config firmware.conf --config kernel.conf --config cpus.conf --dry-run &&
		says out 'kernel: a' 'firmware: none' 'cpus: 2' &&
		run 0 run -k b --config firmware.conf --dry-run && says out 'kernel: none' 'firmware: f' &&
		run 0 run -k b --config cpus.conf --dry-run && says out 'kernel: b' &&
		wrong "the kernel is 'b' already" run --config kernel.conf -k b c
}
wrong_files() {
	printf 'cpus 2\nmem much\n' >bad.conf
	wrong 'bad.conf:2: --mem much: is not a size' run --config bad.conf -k x &&
		wrong '--config nosuch: cannot read: No such file' run --config nosuch && printf 'config bad.conf\n' >self.conf &&
		wrong 'self.conf:1: --config: belongs on the command line' run --config self.conf &&
		printf 'kernel x\n\nloglevel loud\n' >loud.conf &&
		wrong 'loud.conf:3: --loglevel loud: is not one of error' run --config loud.conf
}
other_architectures() {
	case $(uname -m) in
	x86_64) wrong '--psci is an option of arm64; this lkvm is for x86-64' run --psci user -k x ;;
	*) wrong "pvh: is not one of" run --kernel-format pvh -k x ;;
	esac && "$lkvm" help --man run >list && says list 'Only on arm64' 'Only on x86-64' 'psci' 'multiboot'
}
no_kernel() {
	run 1 run -k nosuch && says err 'Fatal: Unable to open kernel nosuch' && touch bzImage &&
		run 0 run --dry-run && says out 'kernel: ./bzImage'
}
full_output() {
	limited "$lkvm" help >/dev/full 2>err
	[ $? = 1 ] && says err 'cannot write: No space left on device'
}
# Closed descriptors 0, 1 and 2 are /dev/null: not the next file that is opened.
closed_descriptors() {
	limited "$lkvm" version <&- >&- 2>&- && cp "$lkvm" kernel &&
		limited "$lkvm" run -k kernel --dev /nosuch <&- >&- 2>&-
	[ $? = 1 ] && cmp kernel "$lkvm"
}

echo 1..16
point 'help has the words that test runners look for' helps
point 'help run and run --help are the same' helps_run
point 'version names the optional parts' versions
point 'a wrong command is one line with the nearest' wrong_commands
point 'a wrong option is one line with the remedy, status 2' wrong_options
point "other VMMs' words are explained" foreign_words
point 'what people type instead is one line, status 2' habits
point 'a dry run prints the configuration' dry_run
point 'a saved configuration is the same machine' saves
point 'the words of a disk' disk_words
point 'what the command line starts replaces what the file does' replaces
point 'a wrong configuration file is named with the line' wrong_files
point "other architectures' options are in the manual alone" other_architectures
point 'a missing kernel is named, a kernel in the directory is found' no_kernel
point 'a full standard output is an error' full_output
point 'closed standard descriptors do no harm' closed_descriptors
