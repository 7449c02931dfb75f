# SPDX-License-Identifier: MIT
# A disk that is a guest's, by its character device and iommufd.
# shellcheck shell=dash

# shellcheck source=/dev/null
. /lab/cases/lib

# shellcheck disable=SC2034 # of try_disk
vfio_options=,iommufd=on
try_disk nvme 01:00.0 nvme lab.rebind=1
check_fact "nvme: interrupts come by MSI-X" interrupts "msix "
check_fact "nvme: the guest's driver leaves and comes back" rebound "${sum:?}"
