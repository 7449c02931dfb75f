# SPDX-License-Identifier: MIT
# A failure with diagnostics after it.
# shellcheck shell=dash

vm fails "$LAB_KERNEL" ""
not_ok "this is to fail"
ok "this is not"
