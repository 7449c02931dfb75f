#!/bin/bash
# SPDX-License-Identifier: MIT
# lkvm measure over the real binary, without KVM: what is refused, and how; of each kind that this lkvm has, that the answer
# is the same everywhere, what counts, and both outputs. TAP.
# shellcheck disable=SC2154 # of tap.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/native/tap.sh
. tests/native/tap.sh
lkvm=$(realpath "${LKVM:-build/lkvm}")
guests=$(realpath "${GUESTS:-build/guests}")
vectors=$PWD/tests/vectors
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# wrong TEXT ARGUMENT...: wrong usage: status 2, nothing on standard output, one line that has TEXT.
wrong() {
	local text=$1 status
	shift
	limited "$lkvm" measure "$@" >out 2>err </dev/null
	status=$?
	[ $status = 2 ] || { echo "# 'measure $*': status $status, not 2" && return 1; }
	grep -qF -- "$text" err || { echo "# 'measure $*': no '$text' in: $(cat err)" && return 1; }
	[ ! -s out ] && [ "$(wc -l <err)" = 1 ] || { echo "# 'measure $*': more than one line" && return 1; }
}

ordinary() {
	wrong 'measure: this guest is an ordinary one' && wrong 'an ordinary one' -k nosuch -c 2 -m 64 --json &&
		wrong 'an ordinary one' --event-log log -k nosuch && [ ! -e log ]
}
wrong_words() {
	wrong "unknown option '--nosuch'" --nosuch && wrong '--event-log: needs an argument' --event-log &&
		wrong '--event-log' --event-log '' && wrong "'b'" a b
}
# Another architecture's, which has its own lkvm.
elsewhere() {
	case $(uname -m) in
	x86_64) wrong '--protected is an option of arm64' --protected -k nosuch ;;
	*) wrong '--host-bridge is an option of x86-64' --host-bridge generic -k nosuch ;;
	esac
}
helps() {
	limited "$lkvm" help measure >out 2>err && grep -qF 'usage: lkvm measure' out && grep -qF -- '--event-log FILE' out &&
		grep -qF "The options of a machine are those of 'lkvm help run'." out && [ ! -s err ]
}
tells_library() {
	limited "$lkvm" version >out && grep -qE '^SHA-2: (nettle|libcrypto) [0-9]|^SHA-2: no$' out
}

point 'an ordinary guest has no measurement' ordinary
point 'wrong words are wrong here, too' wrong_words
point "another architecture's option is refused" elsewhere
point 'the help names its own options, and run for the others' helps
point 'lkvm version tells whose SHA-2 it is' tells_library

# Kinds. Some are a branch's: what is not there yet is skipped.
has() { "$lkvm" help run | grep -qE "^ +--$1( |\$)"; }
# of KIND WORDS...: the words of a small guest of that kind.
of() {
	local kind=$1
	shift
	set -- "--$kind" -k kernel -i initrd --nodefaults "$@"
	case " $* " in *' -c '*) ;; *) set -- "$@" -c 2 ;; esac
	case " $* " in *' -m '*) ;; *) set -- "$@" -m 256M ;; esac
	printf '%s\n' "$@"
}
# tells FILE COMMAND... -- KIND WORDS...: COMMAND measures, quietly; what it tells is in the file.
tells() {
	local file=$1 words before=()
	shift
	while [ "$1" != -- ]; do
		before+=("$1")
		shift
	done
	shift
	mapfile -t words < <(of "$@")
	limited "${before[@]}" measure --loglevel warning "${words[@]}" >"$file" 2>err </dev/null && [ ! -s err ] && return 0
	echo "# measure ${words[*]}: $(cat err)" && return 1
}
same() {
	cmp "$1" "$2" || { diff "$1" "$2" && return 1; }
}
differ() {
	! cmp -s "$1" "$2" || { echo "# the same: $(cat "$1")" && return 1; }
}
everywhere() {
	local kind=$1
	mkdir -p elsewhere && cp kernel initrd elsewhere
	tells here "$lkvm" -- "$kind" && tells there setarch --uname-2.6 "$lkvm" -- "$kind" && same here there &&
		tells there env -i HOME=/nonexistent TZ=Asia/Tokyo LC_ALL=C "$lkvm" -- "$kind" && same here there &&
		tells there "$lkvm" -- "$kind" --dev /nonexistent && same here there &&
		(cd elsewhere && tells ../there "$lkvm" -- "$kind") && same here there &&
		tells there taskset 1 "$lkvm" -- "$kind" && same here there
}
counts() {
	local kind=$1
	tells here "$lkvm" -- "$kind" &&
		tells there "$lkvm" -- "$kind" -m 512M && differ here there &&
		tells there "$lkvm" -- "$kind" -c 3 && differ here there &&
		tells there "$lkvm" -- "$kind" -p quiet && differ here there &&
		tells there "$lkvm" -- "$kind" -i initrd && differ here there
}
counts_not() {
	local kind=$1 net='mode=none,guest_mac=02:00:00:00:00:0'
	head -c 4096 /dev/zero >a.img && head -c 8192 /dev/zero >b.img
	tells here "$lkvm" -- "$kind" -d a.img -n "${net}1" && tells there "$lkvm" -- "$kind" -d b.img -n "${net}2" &&
		same here there && tells there "$lkvm" -- "$kind" -d nosuch.img -n "${net}2" --name other && same here there
}
# Both outputs say the same, and the log ends with what they say.
outputs() {
	local kind=$1
	tells text "$lkvm" -- "$kind" --event-log steps && tells json "$lkvm" -- "$kind" --json --event-log steps.json &&
		python3 - "$kind" <<-'EOT'
			import json, sys
			result = json.load(open("json"))
			parts = [dict(l.split(": ", 1) for l in part.splitlines()) for part in open("text").read().split("\n\n")]
			assert result["kind"] == sys.argv[1], result["kind"]
			want = [{k: str(v) for k, v in r.items()} for r in result["results"]]
			assert parts == want, (parts, want)
			steps = [json.loads(line) for line in open("steps.json")]
			lines = [line.split() for line in open("steps")]
			assert len(steps) == len(lines) > 3
			assert [s["after"] for s in steps] == [line[-1] for line in lines]
			last = {s["measurement"]: s["after"] for s in steps}
			for value in last.values():
			    assert any(value in r.values() or value.ljust(128, "0") in r.values() for r in want), value
		EOT
}
# The firmware of tests/vectors, as QEMU would launch it.
snp_firmware() {
	cp "$vectors/tiny-fw.bin" fw && limited "$lkvm" measure --snp -f fw -c 1 -m 64M >out 2>err || { cat err && return 1; }
	grep -q "\"ld\": \"$(sed -n 's/^launch-digest: //p' out)\"" "$vectors/snp-firmware.json"
}
tdx_firmware() {
	cp "$vectors/tiny-fw.bin" fw && limited "$lkvm" measure --tdx -f fw -c 1 -m 64M >out 2>err || { cat err && return 1; }
	grep -q "\"mrtd\": \"$(sed -n 's/^mrtd: //p' out)\"" "$vectors/tdx-mrtd.json"
}
one_kind() { wrong '--snp and --tdx: a guest is of one kind' --snp --tdx -k kernel -c 2 -m 64; }
other_kind() { wrong 'measure: --realm is measured by the lkvm of arm64' --realm -k kernel -c 2 -m 64; }

# The guests are for x86-64.
can_measure() { [ "$(uname -m)" = x86_64 ] && ! "$lkvm" version | grep -qx 'SHA-2: no'; }
# if_has KIND... -- NAME COMMAND...: a test where these kinds are.
if_has() {
	local all=1
	while [ "$1" != -- ]; do
		has "$1" || all=0
		shift
	done
	shift
	if [ $all = 1 ] && can_measure; then point "$@"; else skip "$1" 'this lkvm cannot'; fi
}
[ -e "$guests/hello.elf" ] || { echo 'Bail out! run make all guests first' && exit 1; }
cp "$guests/hello.elf" kernel
yes initrd | head -c 20000 >initrd
for kind in snp tdx; do
	if_has $kind -- "$kind: the same everywhere" everywhere $kind
	if_has $kind -- "$kind: memory, vcpus, parameters and images count" counts $kind
	if_has $kind -- "$kind: what is behind devices does not count" counts_not $kind
	if_has $kind -- "$kind: text, JSON and the event log say the same" outputs $kind
	if_has $kind -- "$kind: firmware, by its known answer" ${kind}_firmware
done
if_has snp tdx -- 'a guest is of one kind' one_kind
if [ "$(uname -m)" = x86_64 ] && "$lkvm" help --man run | grep -q 'Fl .-realm'; then
	point "another architecture's kind" other_kind
else
	skip "another architecture's kind" 'this lkvm cannot'
fi
echo "1..$n"
