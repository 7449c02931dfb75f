# SPDX-License-Identifier: MIT
# Leaves things where the next case wants its own.
# shellcheck shell=dash

mkdir -p /run/left/under
mount -t tmpfs tmpfs /run/left/under
: >/run/left/under/file
: >/run/.left
: >"/run/left behind"
check "a case leaves a mount, a folder and files" grep -q ' /run/left/under ' /proc/mounts
