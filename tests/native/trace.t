#!/bin/bash
# SPDX-License-Identifier: MIT
# --trace: what a guest did, line by line, and files that cannot be written.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

# Every line has a time, none of which goes back, and is one of those that docs/trace.md describes.
well_formed() {
	python3 - "$1" <<-'EOF'
		import re, sys
		number, word = r'\d+', r'0x[0-9a-f]+'
		lines = [
		    rf'vcpu{number} exit (io|mmio) (read|write) {word} [1248](\*{number})? {word} [\w.-]+ {number} ns',
		    rf"vcpu{number} exit (io|mmio) (read|write) {word} [1248](\*{number})? {word} nobody's {number} ns",
		    rf'vcpu{number} exit x86-(rd|wr)msr {word} {word} {number} ns',
		    rf'vcpu{number} exit [a-z0-9-]+ ({number} )?{number} ns',
		    rf'virtio [\w-]+ queue {number} pop {number} out {number} in {number}',
		    rf'virtio [\w-]+ queue {number} push {number} len {number}',
		    rf'virtio [\w-]+ queue {number} interrupt',
		    rf'irq line {number} (high|low|pulse)',
		    rf'irq msi {number} {word} {word} (off|masked|sent)',
		]
		last = 0.0
		for line in open(sys.argv[1]):
		    time, text = line.rstrip('\n').split(' ', 1)
		    if not re.fullmatch(r'\d+\.\d{9}', time) or float(time) < last:
		        sys.exit(f'# time: {line}')
		    if not any(re.fullmatch(form, text) for form in lines):
		        sys.exit(f'# form: {line}')
		    last = float(time)
	EOF
}

# What the guest printed is what it wrote to the serial port.
printed() {
	python3 - "$1" <<-'EOF'
		import re, sys
		out = bytes(int(m[1], 16) for line in open(sys.argv[1])
		            if (m := re.search(r' exit io write 0x3f8 1 (0x[0-9a-f]+) serial0 ', line)))
		sys.stdout.buffer.write(out)
	EOF
}

exits() {
	guest 0 hello --trace exits=trace && well_formed trace && printed trace | tr -d '\r' | cmp - <(tr -d '\r' <out) &&
		! grep -qE ' (irq|virtio) ' trace && quiet
}
requests() {
	guest 0 blk -d disk,ro --trace virtio,irq=trace -p 'at=0 count=8 read' && well_formed trace &&
		says out 'interrupts came' && ! grep -q ' exit ' trace &&
		grep -q ' virtio virtio-blk0 queue 0 pop [0-9]* out 16 in 4097$' trace &&
		grep -A 1 ' virtio virtio-blk0 queue 0 push [0-9]* len 4097$' trace | grep -q ' queue 0 interrupt$' &&
		grep -q ' irq msi [0-9]* 0xfee[0-9a-f]* 0x[0-9a-f]* sent$' trace
}
# The interrupt of a card without MSI-X is a line.
lines() {
	guest 0 blk -d disk,ro --virtio-transport mmio --trace irq=trace -p 'at=0 count=8 read' && well_formed trace &&
		grep -qE ' irq line [0-9]+ (high|pulse)$' trace
}
fails() {
	run 1 --trace exits=missing/trace -k "$guests/hello.flat" &&
		says err '--trace missing/trace: cannot open: No such file or directory' && [ "$(wc -l <err)" = 1 ]
}
full() {
	guest 0 hello --trace exits=/dev/full && says out hello &&
		says err '--trace /dev/full: cannot write: No space left on device; the trace ends here' && [ "$(wc -l <err)" = 1 ]
}
refused() {
	run 2 --trace exists=trace -k none && says err "--trace: unknown 'exists'; did you mean 'exits'?" &&
		run 2 --trace exits -k none && says err '--trace exits: must be KIND[,KIND...]=FILE' &&
		run 2 --trace =trace -k none && run 2 --trace exits= -k none && [ ! -e trace ]
}
saved() {
	"$lkvm" run --trace irq,exits=trace -k "$guests/hello.flat" --save-config config &&
		grep -q 'trace *= *exits,irq=trace' config && rm -f trace &&
		run 0 --config config --kernel-format flat --nodefaults -m 32 -c 1 && well_formed trace
}
# A guest that is ended from outside leaves all that was gathered.
ended() {
	: >out
	"$lkvm" run --loglevel warning -m 32 -c 1 -k "$guests/busy.flat" --kernel-format flat --nodefaults \
		-p rounds=1000000000 --trace exits=trace >out 2>err </dev/null &
	wait_for test -s out || return 1
	kill -TERM $! && wait $!
	[ $? = 143 ] && well_formed trace && printed trace | head -c "$(stat -c %s out)" | tr -d '\r' | cmp - <(tr -d '\r' <out)
}

head -c 1M /dev/urandom >disk
point 'exits: what a guest wrote to its serial port' exits
rm -f trace
point 'virtio: a request, its reply, its interrupt; irq: the message' requests
rm -f trace
point 'irq: a line' lines
rm -f trace
point 'a file that cannot be opened' fails
point 'a full disk ends the trace, not the guest' full
point 'kinds that there are not' refused
point 'it is saved with the configuration' saved
rm -f trace
point 'a guest that is ended from outside' ended
echo "1..$n"
