#!/bin/bash
# SPDX-License-Identifier: MIT
# What a reset puts back: a program over liblkvm.a.
# shellcheck disable=SC2154
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
program=$(dirname "$lkvm")/native/reset
exec "$program" "$guests"
