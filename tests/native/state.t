#!/bin/bash
# SPDX-License-Identifier: MIT
# Saving a machine and loading it into another: a program over liblkvm.a.
# shellcheck disable=SC2154
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
program=$(dirname "$lkvm")/native/state
exec "$program" "$guests"
