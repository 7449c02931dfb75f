# SPDX-License-Identifier: MIT
# The Image in compressed forms.
# shellcheck shell=dash
only_on arm64 riscv64

image=vmlinuz.gz vm packed-gzip "$LAB_PACKED_KERNEL" ""
booted "an Image compressed by gzip boots"

image=vmlinuz.zboot vm packed-zboot "$LAB_PACKED_KERNEL" ""
booted "an EFI zboot image boots"
