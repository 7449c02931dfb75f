# SPDX-License-Identifier: MIT
# --vfio on a host without an IOMMU, as this one is: one line with the remedy.
# shellcheck shell=dash

only_on x86-64

# Every machine of this type has this function, a disk controller.
lkvm_says vfio-no-iommu run -k "/lab/kernels/$LAB_KERNEL/vmlinuz" --vfio 00:1f.2
check "a device without an IOMMU before it is refused" [ "${status:?}" = 1 ]
check_says "the error has the remedy" 'error: --vfio .*00:1f\.2.*no IOMMU.*in the firmware.*intel_iommu=on'
check "and is the only one" [ "$(lines_of error:)" = 1 ]
