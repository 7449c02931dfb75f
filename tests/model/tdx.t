#!/bin/bash
# SPDX-License-Identifier: MIT
# lkvm run --tdx over the model of TDX: launches, refusals, exits of the guest. TAP.
# shellcheck disable=SC2154 # of lib.sh
# shellcheck source=tests/model/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(uname -m)" = x86_64 ] || skip_all 'TDX is of x86-64'
"$lkvm" help --words run | grep -q -e '--tdx' || skip_all 'this lkvm has no --tdx'
# What every launch has besides.
small=(-k "$guests/hello.flat" --kernel-format flat --nodefaults -m 64 -c 1 --tdx)

point 'a launch' launch 0 tdx '' "${small[@]}"
point 'its digest' same_digest tdx "${small[@]}"
point 'no key is left' refuses tdx,keys=0 '' '--tdx' "${small[@]}"
point 'a host without it' refuses tdx,tdx=off '' '--tdx' "${small[@]}"
finish
