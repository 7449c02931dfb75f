#!/bin/bash
# SPDX-License-Identifier: MIT
# scripts/layers.py on small trees: what goes down passes; what goes up, or in a circle, is named with its line. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
check=$PWD/scripts/layers.py
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
n=0

point() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@"; then echo "ok $n - $name"; else echo "not ok $n - $name"; fi
}

# tree: a clean one: top.c calls middle.c and a room, which call base.c; base.c calls an architecture by its contract.
tree() {
	rm -rf t && mkdir -p t/include/lkvm t/room t/x86 t/arm && cd t || exit 1
	cat >ARCHITECTURE.md <<-'END'
		| layer | where | what |
		|---|---|---|
		| top | `top.c` | |
		| architecture | `x86/` or `arm/` | |
		| rooms | `room/`, `middle.c` | |
		| base | `base.c`, `more-*.c` | |
		| contract | `include/lkvm/arch.h` | `arch.h` is no row |

		| other | table |
		|---|---|
		| `nothing.c` | |
	END
	echo 'int arch_word(void);' >include/lkvm/arch.h
	local subject arch
	for subject in base middle room; do
		echo "int ${subject}_word(void);" >include/lkvm/$subject.h
	done
	printf '#include "lkvm/arch.h"\n#include "lkvm/base.h"\nint base_word(void)\n{\n\treturn arch_word();\n}\n' >base.c
	echo '/* base_more is called by nobody. */ int more_word(void); int more_word(void) { return 0; }' >more-base.c
	printf '#include "lkvm/middle.h"\n#include "lkvm/base.h"\nint middle_word(void)\n{\n\treturn base_word();\n}\n' >middle.c
	printf '#include "lkvm/room.h"\n#include "lkvm/middle.h"\nint room_word(void)\n{\n\treturn middle_word();\n}\n' >room/room.c
	printf '#include <stdio.h>\n#include "lkvm/room.h"\nint main(void)\n{\n\treturn room_word();\n}\n' >top.c
	echo '#define LOCAL 1' | tee x86/local.h >arm/local.h
	for arch in x86 arm; do
		printf '#include "local.h"\n#include "lkvm/arch.h"\n#include "lkvm/base.h"\nint arch_word(void)\n{\n\treturn LOCAL;\n}\n' >$arch/arch.c
	done
	cd ..
}

# layers STATUS: compiles the tree and checks it; keeps out.
layers() {
	local want=$1 status
	(cd t && find . -name '*.c' ! -path './arm/*' | while read -r file; do
		mkdir -p "obj/$(dirname "$file")" && ${CC:-cc} -std=gnu17 -O0 -Iinclude -c -o "obj/${file%.c}.o" "$file" || exit
	done) || return 1
	python3 "$check" --tree t t/obj >out 2>&1
	status=$?
	[ $status = "$want" ] && return 0
	echo "# status $status, not $want:"
	sed 's/^/# /' out
	return 1
}

says() {
	local text
	for text; do
		grep -qxF -- "$text" out && continue
		echo "# not said: $text"
		sed 's/^/# /' out
		return 1
	done
}

clean() {
	tree && layers 0 && [ ! -s out ]
}
include_up() {
	tree && sed -i '1i /* a line */' t/base.c && sed -i '2i #  include "lkvm/room.h"' t/base.c && layers 1 &&
		says "base.c:2: includes include/lkvm/room.h: 'rooms' is above 'base'" && [ "$(wc -l <out)" = 1 ]
}
header_up() {
	tree && echo '#include "lkvm/middle.h"' >>t/include/lkvm/base.h && layers 1 &&
		says "include/lkvm/base.h:2: includes include/lkvm/middle.h: 'rooms' is above 'base'"
}
# By a declaration of its own, so that no #include tells.
call_up() {
	tree && sed -i 's/return arch_word()/extern int room_word(void); return arch_word() + room_word()/' t/base.c && layers 1 &&
		says "base.c:5: needs room_word of room/room.c: 'rooms' is above 'base'"
}
# The contract is for what is below: a higher layer calls down, the same one directly.
contract_has_no_other() {
	tree && echo 'int arch_more(void);' >>t/include/lkvm/arch.h && echo 'int arch_more(void) { return 0; }' >>t/room/room.c &&
		sed -i 's/return base_word()/extern int arch_more(void); return base_word() + arch_more()/' t/middle.c && layers 1 &&
		says 'these 2 files need each other: middle.c, room/room.c' '  middle.c:5: needs arch_more of room/room.c' \
			'  room/room.c:5: needs middle_word of middle.c'
}
circle() {
	tree && printf 'int c_a(void); int c_b(void);\nint c_a(void)\n{\n\treturn c_b();\n}\n' >t/more-a.c &&
		printf '/* c_c */\nint c_b(void); extern int c_c;\nint c_b(void)\n{\n\treturn c_c;\n}\n' >t/more-b.c &&
		printf 'int c_a(void); extern int c_c, (*c_more)(void);\nint c_c, (*c_more)(void) = c_a;\n' >t/more-c.c && layers 1 &&
		says 'these 3 files need each other: more-a.c, more-b.c, more-c.c' '  more-a.c:1: needs c_b of more-b.c' \
			'  more-b.c:2: needs c_c of more-c.c' '  more-c.c:1: needs c_a of more-a.c' && [ "$(wc -l <out)" = 4 ]
}
other_architecture() {
	tree && sed -i 's,"local.h","../arm/local.h",' t/x86/arch.c && layers 1 &&
		says 'x86/arch.c:1: includes arm/local.h: x86 and arm are never linked together'
}
# What is not compiled here is read all the same.
not_compiled() {
	tree && echo '#include "../x86/local.h"' >>t/arm/arch.c && layers 1 &&
		says 'arm/arch.c:8: includes x86/local.h: arm and x86 are never linked together'
}
other_program() {
	tree && mkdir t/guest && echo '#define G 1' >t/guest/g.h && echo '#include "guest/g.h"' >>t/base.c &&
		sed -i 's,"guest/g.h","./guest/g.h",' t/base.c &&
		printf '\n| layer | where |\n|---|---|\n| guest | `guest/` |\n' >>t/ARCHITECTURE.md && layers 1 &&
		says "base.c:7: includes guest/g.h: 'base' and 'guest' are layers of different programs"
}
no_layer() {
	tree && echo 'int lost;' >t/lost.c && echo >t/include/lkvm/lost.h && layers 1 &&
		says 'lost.c: no layer has it: name it in the table of ARCHITECTURE.md' \
			'include/lkvm/lost.h: no layer has it: name it in the table of ARCHITECTURE.md'
}
no_such_file() {
	tree && sed -i 's/`base.c`/`base.c`, `gone.c`/' t/ARCHITECTURE.md && layers 1 &&
		says "ARCHITECTURE.md: layer 'base': there is no \`gone.c\`"
}
no_objects() {
	tree && mkdir t/empty && ! python3 "$check" --tree t t/empty >out 2>&1 && says 't/empty: no objects of these sources; build first'
}
no_table() {
	tree && echo 'no table' >t/ARCHITECTURE.md && ! python3 "$check" --tree t >out 2>&1 && grep -q "no table with the columns" out
}

echo 1..13
point 'a tree whose calls go down' clean
point 'an #include that goes up' include_up
point 'one in a header' header_up
point 'a call that goes up' call_up
point 'a contract is for lower layers alone' contract_has_no_other
point 'a circle of three, data included' circle
point 'a header of another architecture' other_architecture
point 'the same where nothing is compiled' not_compiled
point 'a header of another program' other_program
point 'a file without a layer' no_layer
point 'a row that names what is not there' no_such_file
point 'no objects' no_objects
point 'no table' no_table
