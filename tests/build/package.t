#!/bin/bash
# SPDX-License-Identifier: MIT
# The Debian package: `make deb` builds it without root, lintian has nothing to say, it installs and goes without a trace. TAP.
# shellcheck disable=SC2034,SC2154 # of tap.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
unset MAKEFLAGS MFLAGS MAKELEVEL

for tool in dpkg-buildpackage dh lintian; do
	command -v $tool >/dev/null && continue
	echo "1..0 # SKIP $tool is not installed: scripts/install-deps.sh package"
	exit 0
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
echo 1..9

log=$dir/log
# shellcheck source=tests/build/tap.sh
. tests/build/tap.sh

# An ordinary user, also where root runs the tests; git trusts the checkout of another one all the same.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
# A name that is nobody's: lintian looks at it.
export DEBFULLNAME='The lkvm authors' DEBEMAIL=lkvm@lists.lkvm.org
user() {
	if [ "$(id -u)" -eq 0 ]; then
		HOME=$dir/out setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	else
		"$@"
	fi
}
mkdir "$dir/out"
[ "$(id -u)" -ne 0 ] || chown 65534:65534 "$dir/out"
# root's own clone below /root is nobody else's to read: that user has a copy.
if ! user test -r "$PWD/Makefile" 2>/dev/null; then
	mkdir "$dir/tree"
	{ git ls-files -z 2>/dev/null || find . -path ./build -prune -o ! -type d -print0; } |
		tar -c --null --files-from=- | tar -x -C "$dir/tree"
	chmod -R a+rX "$dir/tree"
	cd "$dir/tree" || exit 1
fi

builds() {
	user make --no-print-directory deb O="$dir/out" && package=$(ls "$dir"/out/deb/lkvm_*.deb)
}
what_is_there() {
	git status --porcelain 2>/dev/null || find . | sort
}
tree_is_untouched() {
	what_is_there >"$dir/after" && diff "$dir/before" "$dir/after"
}
what_is_there >"$dir/before"
package=/nonexistent
point 'make deb builds a package, without root' builds
point 'it writes nothing into the tree' tree_is_untouched

point 'lintian finds no error and warns of nothing' \
	user lintian --fail-on error,warning --tag-display-limit 0 "$dir"/out/deb/lkvm_*.changes

field() {
	dpkg-deb -f "$package" "$1"
}
describes() {
	local version
	version=$(sed -n 's/^VERSION := //p' Makefile)
	[ "$(field Version)" = "$version" ] && [ "$(field Architecture)" = "$(dpkg --print-architecture)" ] &&
		field Depends | grep 'libc6 (>= .*libfdt1' && field Conflicts | grep kvmtool
}
point 'it has the version of the tree, and needs the libraries that are linked' describes

# Maintainer scripts there are none; the libraries are not installed below another root.
root=$dir/root
admin() {
	if [ "$(id -u)" -eq 0 ]; then
		dpkg --root="$root" --force-depends "$@"
	else
		unshare -r dpkg --root="$root" --force-depends "$@"
	fi
}
installs() {
	mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/triggers" &&
		: >"$root/var/lib/dpkg/status" && : >"$root/var/lib/dpkg/available" &&
		find "$root" ! -type d | sort >"$dir/empty" && admin -i "$package" && admin -V lkvm
}
point 'dpkg installs it below a root of its own' installs
runs() {
	[ "$("$root/usr/bin/lkvm" version | head -n 1)" = "lkvm $(field Version)" ] &&
		"$root/usr/bin/lkvm" run --dry-run -k /dev/null -c 1 | grep '^cpus: 1$'
}
point 'the installed program runs' runs
# Names that a package of Debian's own would have.
places() {
	local file
	for file in man/man1/lkvm.1.gz doc/lkvm/README.md doc/lkvm/docs/disks.md doc/lkvm/copyright \
		bash-completion/completions/lkvm zsh/vendor-completions/_lkvm fish/vendor_completions.d/lkvm.fish; do
		[ -s "$root/usr/share/$file" ] || { echo "no $file"; return 1; }
	done
}
point 'manual, pages and completions are where Debian looks for them' places
# What the pages name by a relative link is there, but for those about the sources.
links() {
	local page link
	for page in "$root"/usr/share/doc/lkvm/README.md "$root"/usr/share/doc/lkvm/docs/*.md; do
		for link in $(grep -o '](docs/[a-z0-9-]*\.md\|]([a-z0-9-]*\.md' "$page" | cut -c 3-); do
			[ -f "$(dirname "$page")/$link" ] || { echo "$page: $link"; return 1; }
		done
	done
}
point 'no link between the pages is broken' links
removes() {
	admin -P lkvm && find "$root" ! -type d ! -path '*/var/lib/dpkg/*' | grep . && return 1
	! ls -d "$root/usr/share/doc/lkvm" "$root/usr/bin/lkvm" 2>/dev/null
}
point 'dpkg removes all of it' removes
