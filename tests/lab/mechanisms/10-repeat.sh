# SPDX-License-Identifier: MIT
# A guest that ends with a status that an emulated processor may be the reason for.
# shellcheck shell=dash

vm breaks-once "$LAB_KERNEL" ""
booted "a guest that a triple fault ended runs again"
check "the first log is kept" grep -qx first /out/logs/breaks-once.1.log
rm /run/was-here
wanted=101 vm breaks-wanted "$LAB_KERNEL" ""
check "one that was to end so does not" [ "$status" = 101 ]
