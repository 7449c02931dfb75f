# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What the tests of guests over the model of VFIO share.
# shellcheck disable=SC2034,SC2154 # for those that read this, and of lib.sh
# shellcheck source=tests/model/lib.sh
. "${BASH_SOURCE%/*}/lib.sh"
[ "$(uname -m)" = x86_64 ] || skip_all 'the guest is for x86-64'
{ : <>/dev/kvm; } 2>/dev/null || skip_all 'no access to /dev/kvm'
uuid=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001
groups=iommufd=off,cdev=off

# Every case has a host of its own: DEVICES[,OPTION...].
host() {
	rm -rf "$LKVM_MODEL_ROOT" && mkdir "$LKVM_MODEL_ROOT"
	host=plain,kvm=host,vfio=$1
}
