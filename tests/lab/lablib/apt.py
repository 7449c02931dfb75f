# SPDX-License-Identifier: MIT
"""Fetches Debian packages with an apt of its own in build/lab: the system's apt state is read, never changed.

The mirror and the ways to reach it come from the system's apt configuration; signatures are checked as ever. A mirror in
the middle of a sync has lists that do not match their checksums, for hours: such a suite is tried again a few times, and
then left out: what was to come from it comes from the next suite that its package names.
"""
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from . import LabError, Progress, Unavailable, step
from .archdata import codename

KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")
# What is inherited of the system's configuration: how to reach a mirror, and how old its lists may be.
INHERITED = re.compile(r"^Acquire::(https?|Check-Valid-Until|Check-Date|Retries|ForceIPv[46])\b", re.IGNORECASE)
# Seconds for one download: the largest is 175 MB.
COMMAND_LIMIT = 1200
# Seconds between tries of what may pass.
PAUSES = (2, 10, 30)
REMEDY = "run it again when the mirror answers, or name another one in LKVM_LAB_MIRROR"
# apt's words for what another try does not change.
LASTING = re.compile(r"Unable to locate|was not found|no installation candidate|unmet dependencies|held broken|"
                     r"does not have a Release file|NO_PUBKEY|not signed")
INDEX_FORMAT = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN) $(LABEL)"


def run(command, env=None, what="", remedy="", cwd=None):
    """Runs a command quietly; when it fails the last line that it said is the reason."""
    try:
        done = subprocess.run(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=COMMAND_LIMIT, check=False)
    except FileNotFoundError as error:
        raise LabError(f"{command[0]}: not found: the lab needs a Debian system with apt and dpkg") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{what or command[0]}: took longer than {COMMAND_LIMIT} s: stopped it: {remedy}") from error
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("E:")] or lines or [f"status {done.returncode}"]
        raise LabError(f"{what or command[0]}: {errors[0]}{': ' + remedy if remedy else ''}")
    return done.stdout


def mirror():
    """The address of the Debian archive that this system's apt uses."""
    if "LKVM_LAB_MIRROR" in os.environ:
        return os.environ["LKVM_LAB_MIRROR"]
    targets = run(["apt-get", "indextargets", "--format", INDEX_FORMAT, "Created-By: Packages"])
    rows = [line.split() for line in targets.splitlines()]
    for row in rows:
        if row[3:] == ["Debian", "Debian"]:
            return row[0]
    # Lists were never fetched, so apt knows no origin yet: the release's own main part is the archive.
    for row in rows:
        if row[1:3] == [codename(), "main"]:
            return row[0]
    raise LabError("apt: no Debian archive among the system's sources: set LKVM_LAB_MIRROR to the address of one")


def version_key(text):
    """Sorts versions such as 6.12.107+deb13 by their numbers."""
    return [int(number) for number in re.findall(r"\d+", text)]


class Apt:
    """One apt state folder for one guest architecture and the suites of its package list."""

    def __init__(self, folder, guest_arch, suites, pauses=PAUSES):
        self.folder = Path(folder)
        self.guest_arch = guest_arch
        self.suites = suites
        self.pauses = pauses
        self.broken = {}        # of every suite that was asked: why it cannot be used, or ""
        self.env = dict(os.environ, APT_CONFIG=str(self.folder / "apt.conf"), LC_ALL="C")
        self.keyring, self.address = None, ""
        self.host_arch = run(["dpkg", "--print-architecture"]).strip()
        self.ready = False

    def prepare(self):
        """Writes the configuration and fetches the package lists, once per run of the lab."""
        if self.ready:
            return
        with step(f"package lists of {', '.join(self.suites)}"):
            self._configure()
            for suite in self.suites:
                self._update(suite)
        self.ready = True

    def first_of(self, what, suites, action):
        """action(suite) of the first of these suites that gives what it wants, with a line if that is not the first one."""
        self.prepare()
        reasons = []
        for suite in suites:
            reason = self._update(suite)
            if not reason:
                try:
                    result = action(suite)
                    if reasons:
                        Progress.say(f"lab: {what}: {'; '.join(reasons)}: took it from {suite}")
                    return result
                except LabError as error:
                    reason = str(error)
            reasons.append(f"{suite}: {reason}")
        raise Unavailable(f"{what}: cannot be had: {'; '.join(reasons)}: {REMEDY}")

    def _update(self, suite):
        """Fetches the lists of one suite if that was not tried yet; returns why it cannot be used, or ""."""
        if suite not in self.broken:
            source = self.folder / "one.list"
            source.write_text(self._source(suite))
            try:
                self._try(["apt-get", "update", "-q", "--error-on=any", "-o", f"Dir::Etc::sourcelist={source}",
                           "-o", "APT::Get::List-Cleanup=0"], f"lists of {suite}")
                with (self.folder / "sources.list").open("a") as file:
                    file.write(self._source(suite))
                self.broken[suite] = ""
            except LabError as error:
                self.broken[suite] = str(error)
        return self.broken[suite]

    def _try(self, command, what, cwd=None):
        """Runs apt, several times when it fails for a reason that may pass."""
        for pause in (*self.pauses, None):
            try:
                return run(command, self.env, what, "", cwd)
            except LabError as error:
                if pause is None or LASTING.search(str(error)):
                    raise
                Progress.say(f"lab: {error}: again in {pause} s")
                time.sleep(pause)

    def _source(self, suite):
        option = f"[signed-by={self.keyring}] " if self.keyring else ""
        return f"deb {option}{self.address} {suite} main\n"

    def _configure(self):
        for sub in ("lists/partial", "cache", "archives/partial"):
            (self.folder / sub).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        self.keyring = next((path for path in KEYRINGS if Path(path).exists()), None)
        self.address = mirror()
        (self.folder / "sources.list").write_text("")
        inherited = run(["apt-config", "dump", "--format", '%F "%v";%n', "Acquire"])
        settings = [line for line in inherited.splitlines() if INHERITED.match(line)]
        architectures = " ".join(f'"{arch}";' for arch in dict.fromkeys((self.host_arch, self.guest_arch)))
        settings += [
            'Dir::Etc::parts "/dev/null";', 'Dir::Etc::main "/dev/null";', 'Dir::Etc::sourceparts "/dev/null";',
            'Dir::Etc::preferences "/dev/null";', 'Dir::Etc::preferencesparts "/dev/null";',
            f'Dir::Etc::sourcelist "{self.folder}/sources.list";', f'Dir::State "{self.folder}";',
            f'Dir::State::status "{self.folder}/status";', f'Dir::Cache "{self.folder}/cache";',
            f'Dir::Cache::archives "{self.folder}/archives";', f'APT::Architecture "{self.host_arch}";',
            f"APT::Architectures {{ {architectures} }};", 'APT::Install-Recommends "false";',
            'Acquire::Languages "none";',
            # apt's own user cannot write into a clone that belongs to somebody else.
            'APT::Sandbox::User "root";',
        ]
        (self.folder / "apt.conf").write_text("\n".join(settings) + "\n")

    def names(self, pattern, suite, arch):
        """Versions {v} for which `suite` has a package that `pattern` names."""
        self.prepare()
        regex = re.compile("Package: " + re.escape(pattern).replace(r"\{v\}", r"(\d[^-]*(?:-\d+)?)"))
        indexes = run(["apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: Packages",
                       f"Release: {suite}", f"Architecture: {arch}"], self.env)
        text = run(["/usr/lib/apt/apt-helper", "cat-file", *indexes.split()], self.env)
        matches = (regex.fullmatch(line) for line in text.splitlines() if line.startswith("Package: "))
        return {match.group(1) for match in matches if match}

    def fetch(self, packages, suite, into):
        """Downloads and unpacks guest packages; returns {package: version}."""
        self.prepare()
        debs = self.folder / "archives" / into.name
        self._empty(debs)
        # A package that every architecture shares is named with that (linux-libc-dev:all).
        specs = [f"{name if ':' in name else f'{name}:{self.guest_arch}'}/{suite}" for name in packages]
        self._try(["apt-get", "download", "-q", *specs], f"download of {' '.join(packages)}", debs)
        return self._unpack(debs, into)

    def fetch_tool(self, package, suite, into, arch=None):
        """Downloads and unpacks a package for this machine (or @arch) with all that it depends on; returns
        {package: version}."""
        self.prepare()
        debs = self.folder / "archives" / f"tool-{package}"
        self._empty(debs)
        self._try(["apt-get", "install", "-q", "-y", "--download-only", "-t", suite, "-o", f"Dir::Cache::archives={debs}",
                   f"{package}:{arch}" if arch else package], f"download of {package}")
        return self._unpack(debs, into)

    @staticmethod
    def _empty(debs):
        shutil.rmtree(debs, ignore_errors=True)
        (debs / "partial").mkdir(parents=True)

    @staticmethod
    def _unpack(debs, into):
        into.mkdir(parents=True, exist_ok=True)
        versions = {}
        for deb in sorted(debs.glob("*.deb")):
            run(["dpkg-deb", "-x", str(deb), str(into)], what=f"unpacking {deb.name}")
            name, version = deb.name.split("_")[:2]
            versions[name] = version.replace("%3a", ":")
        shutil.rmtree(debs)
        return versions


def notice_other_version(what, tried, taken):
    if tried != taken:
        Progress.say(f"lab: {what}: {tried} was tried, taking {taken}")
