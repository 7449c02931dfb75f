#!/bin/bash
# SPDX-License-Identifier: MIT
# What a start asks of the host.
# shellcheck disable=SC2154
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
program=$(dirname "$lkvm")/native/calls
mkdir -m 700 "$XDG_RUNTIME_DIR/lkvm" # as it is but for the first start
exec "$program" "$lkvm" "$guests"
