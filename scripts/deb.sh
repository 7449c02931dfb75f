#!/bin/sh
# SPDX-License-Identifier: MIT
# deb.sh VERSION DIR: builds a Debian package of this tree with debhelper, in DIR. A copy of the tree is packed, so nothing
# is written anywhere else, and root is not needed. The changelog is written here: the version is the tree's own.
set -eu
version=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."

for tool in dpkg-buildpackage dh; do
	command -v $tool >/dev/null && continue
	echo "lkvm: deb: no $tool; install it: 'scripts/install-deps.sh package'" >&2
	exit 1
done

copy=$out/lkvm-$version
rm -rf "$copy" "$out"/lkvm_* "$out"/lkvm-dbgsym_*
mkdir "$copy"
# Of a checkout what git knows of; of an unpacked tree everything but what was built.
if git rev-parse --git-dir >/dev/null 2>&1; then
	git ls-files -z | tar -c --null --files-from=- | tar -x -C "$copy"
else
	tar -c --exclude=./build --exclude="$2" . | tar -x -C "$copy"
fi
mkdir "$copy/debian"
cp -R packaging/debian/* "$copy/debian/"

# Who builds a package answers for it.
email=${DEBEMAIL:-$(git config user.email 2>/dev/null || echo "$(id -un)@$(hostname)")}
name=${DEBFULLNAME:-$(git config user.name 2>/dev/null || id -un)}
sed "s/@MAINTAINER@/$name <$email>/" packaging/debian/control.in >"$copy/debian/control"
rm "$copy/debian/control.in"

# The same tree gives the same package: the date is that of the last commit.
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
{
	echo "lkvm ($version) unstable; urgency=medium"
	echo
	echo "  * Version $version."
	echo
	echo " -- $name <$email>  $(LC_ALL=C date -u -R -d "@$date")"
} >"$copy/debian/changelog"
sed -e '1,4d' -e 's/^$/./' -e 's/^/ /' LICENSE >>"$copy/debian/copyright"

log=$out/build.log
echo "lkvm: building a package in $out (see build.log)" >&2
if ! (cd "$copy" && dpkg-buildpackage -b -us -uc) >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "lkvm: deb: the package could not be built; all of it is in $log" >&2
	exit 1
fi
rm -rf "$copy"
ls "$out"/lkvm_*.deb
