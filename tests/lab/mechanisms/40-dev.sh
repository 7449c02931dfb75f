# SPDX-License-Identifier: MIT
# L1's /dev has what test runners and their shells expect of any.
# shellcheck shell=dash

check "standard input, output and error have names" \
	[ "$(echo word | sh -c 'cat /dev/stdin >/dev/stdout; echo error >/dev/stderr' 2>&1)" = "word
error" ]
check "so has every descriptor" [ "$(cat /dev/fd/3 3</lab/settings)" = "$(cat /lab/settings)" ]
check "there are terminals" [ -c /dev/ptmx ]
check "a file in /dev/shm is everybody's" [ "$(stat -c %a /dev/shm)" = 1777 ]
