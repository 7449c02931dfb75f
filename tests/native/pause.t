#!/bin/bash
# SPDX-License-Identifier: MIT
# Pausing a busy guest: a program over liblkvm.a.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
program=$(dirname "$lkvm")/native/pause
exec "$program" "$guests"
