#!/bin/bash
# SPDX-License-Identifier: MIT
# Pausing a busy guest: a program over liblkvm.a.
# shellcheck disable=SC2154
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
program=$(dirname "$lkvm")/native/pause
exec "$program" "$guests"
