#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages (12 and 13) that are missing for the groups named: build, test,
# cross, lint, lab, lab-kernel, package; without a name: build. Says nothing when all are there.
set -eu

packages_of() {
	case $1 in
	build)
		echo gcc make libc6-dev linux-libc-dev libfdt-dev zlib1g-dev libzstd-dev liburing-dev nettle-dev
		;;
	test)
		# prove is perl's, iasl acpica-tools', dtc device-tree-compiler's, nm binutils', pgrep procps';
		# qemu-img is qemu-utils', qemu-storage-daemon qemu-system-common's; clang and musl are for the builds beside gcc's.
		# passt is for --network mode=user, gdb-multiarch for --gdb. zsh and fish complete, as bash does.
		echo passt gdb-multiarch perl binutils procps iproute2 util-linux python3 git xz-utils zstd gzip libcmocka-dev acpica-tools \
			device-tree-compiler qemu-utils qemu-system-common clang libclang-rt-dev musl-tools \
			zsh fish
		;;
	cross)
		# No gcc-multilib: apt removes the cross compilers for it. gcc -m32 needs gcc-VERSION-multilib alone.
		# For arm64 and riscv64 on another machine; their libraries come by tests/lab/lab libs. qemu-user runs the unit tests.
		echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user
		;;
	lint)
		# nm is binutils'.
		echo python3 binutils clang-format clang-tidy cppcheck shellcheck mandoc
		;;
	lab)
		# QEMU and the guests are the lab's own: it needs what checks and unpacks them.
		echo python3 debian-archive-keyring ca-certificates
		;;
	lab-kernel)
		# For tests/lab/lab kernel; objtool, which a kernel's build runs, reads ELF files.
		echo gcc make libc6-dev flex bison bc libelf-dev xz-utils
		;;
	package)
		# For make deb, and what looks at its result: 35 MB, and a C++ compiler that dpkg-buildpackage insists on.
		echo git build-essential dpkg-dev debhelper lintian
		;;
	*)
		echo "install-deps: unknown group '$1'; there are build, test, cross, lint, lab, lab-kernel and package" >&2
		return 2
		;;
	esac
}

wanted=
for group in "${@:-build}"; do
	packages=$(packages_of "$group") || exit 2
	wanted="$wanted $packages"
done

missing=
for package in $wanted; do
	case " $missing " in *" $package "*) continue ;; esac
	# Only "ii" counts: a package that was removed may have left its settings behind.
	case $(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null || :) in
	ii*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "install-deps: this is not Debian: install what these packages contain by hand:$missing" >&2
	exit 1
fi
sudo=
if [ "$(id -u)" -ne 0 ]; then
	sudo=sudo
	if ! command -v sudo >/dev/null; then
		echo "install-deps: not root and no sudo; as root: apt-get install$missing" >&2
		exit 1
	fi
fi

echo "install-deps: installing$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" \
		</dev/null >>"$log" 2>&1
}
# A list that cannot be refreshed is not a failure yet: the old one may do.
apt update || :
# shellcheck disable=SC2086 # a list of words
if ! apt install -y --no-install-recommends $missing; then
	cat "$log" >&2
	echo "install-deps: apt-get could not install$missing (see above)" >&2
	exit 1
fi
