#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the lab takes from where, and what it does when the Debian mirror is in the middle of a sync: a repository of our own
on this machine, whose lists are broken in the ways that a mirror's are. TAP."""
import functools
import gzip
import hashlib
import http.server
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from lablib import Progress, Unavailable, apt  # noqa: E402
from lablib.archdata import codename, read_package_list  # noqa: E402
from lablib.make import tool_command  # noqa: E402

ARCH = "amd64"


def deb(pool, name, version):
    """An empty package, as a line of Packages."""
    root = pool / name
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr/share/doc" / name).mkdir(parents=True)
    (root / "usr/share/doc" / name / "version").write_text(version + "\n")
    control = f"Package: {name}\nVersion: {version}\nArchitecture: {ARCH}\nMaintainer: none\nDescription: a test\n"
    (root / "DEBIAN/control").write_text(control)
    file = pool / f"{name}_{version}_{ARCH}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(root), str(file)], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    data = file.read_bytes()
    return control + f"Filename: pool/{file.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"


class Repository(http.server.SimpleHTTPRequestHandler):
    """An archive with suites one and two. `wrong`: for each suite how often its list is given with another content."""

    wrong: dict = {}
    asked: list = []

    def do_GET(self):
        suite = self.path.split("/")[2] if self.path.startswith("/dists/") else ""
        if "/binary-" in self.path:
            self.asked.append(suite)
            if self.wrong.get(suite, 0) > 0:
                self.wrong[suite] -= 1
                size = len(Path(self.translate_path(self.path)).read_bytes())
                self.send_response(200)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                self.wfile.write(b"x" * size)
                return
        super().do_GET()

    def log_message(self, *_):
        pass


def make_repository(root):
    pool = root / "pool"
    pool.mkdir(parents=True)
    both = {"one": "1.0", "two": "2.0"}
    for suite, version in both.items():
        folder = root / "dists" / suite / "main" / f"binary-{ARCH}"
        folder.mkdir(parents=True)
        text = deb(pool, "tool", version)
        if suite == "one":
            text += deb(pool, "only-in-one", "1.0")
        packed = gzip.compress(text.encode())
        (folder / "Packages.gz").write_bytes(packed)
        (root / "dists" / suite / "Release").write_text(
            f"Origin: Test\nSuite: {suite}\nCodename: {suite}\nArchitectures: {ARCH}\nComponents: main\nSHA256:\n"
            f" {hashlib.sha256(packed).hexdigest()} {len(packed)} main/binary-{ARCH}/Packages.gz\n"
            f" {hashlib.sha256(text.encode()).hexdigest()} {len(text)} main/binary-{ARCH}/Packages\n")


class OurApt(apt.Apt):
    """The lab's apt on the repository above, whose lists nobody signed; it waits for nothing between its tries."""

    def _configure(self):
        super()._configure()
        self.keyring = None

    def _source(self, suite):
        return f"deb [trusted=yes arch={ARCH}] {self.address} {suite} main\n"


def attempt(folder, package, suites, wrong, guest=ARCH):
    """One lab that wants a package: (the version that it got or why not, what was said, which lists were asked for)."""
    Repository.wrong, Repository.asked = dict(wrong), []
    shutil.rmtree(folder, ignore_errors=True)
    said = Progress.stream = io.StringIO()
    lab = OurApt(folder / "apt", guest, suites[:1], pauses=(0, 0))
    into = folder / "root"
    try:
        lab.first_of(package, suites, lambda suite: lab.fetch([package], suite, into))
        got = (into / "usr/share/doc" / package.split(":")[0] / "version").read_text().strip()
    except Unavailable as error:
        got = str(error)
    return got, [line for line in said.getvalue().splitlines() if package in line.split(": ")[:2]], Repository.asked


def same(got, want):
    if got != want:
        raise AssertionError(f"{got!r} is not {want!r}")


def in_order(folder):
    same(attempt(folder, "tool", ["one", "two"], {}), ("1.0", [], ["one"]))


def passing(folder):
    """The list is wrong once: the next try takes it."""
    got, told, asked = attempt(folder, "tool", ["one", "two"], {"one": 1})
    same((got, told, set(asked)), ("1.0", [], {"one"}))
    assert len(asked) > 1, asked


def next_suite(folder):
    got, told, asked = attempt(folder, "tool", ["one", "two"], {"one": 1000})
    same(got, "2.0")
    same(len(told), 1)
    assert told[0].startswith("lab: tool: one: ") and told[0].endswith("took it from two"), told
    # A bounded number of tries, and of two one is enough.
    assert 3 <= asked.count("one") <= 12 and asked.count("two") == 1, asked


def nowhere(folder):
    got, told, _ = attempt(folder, "tool", ["one", "two"], {"one": 1000, "two": 1000})
    assert got.startswith("tool: cannot be had: one: ") and "; two: " in got, got
    assert "Hash Sum mismatch" in got or "unexpected size" in got, got
    same(told, [])


def not_there(folder):
    """A suite that has no such package is no reason to try again."""
    got, _, asked = attempt(folder, "only-in-one", ["two", "one"], {})
    same((got, asked), ("1.0", ["two", "one"]))


def whole_name(folder):
    """A package whose name has its architecture is not given the guests' (the lists know nothing of that one)."""
    got, told, _ = attempt(folder, f"tool:{ARCH}", ["one"], {}, guest="riscv64")
    same((got, told), ("1.0", []))


def libraries_of(folder):
    """Libraries are of this system's suite, or of those that the list names."""
    folder.mkdir()
    path = folder / "some.list"
    path.write_text("lib libx\nlib liby:all\n")
    packages = read_package_list(path)
    same((packages.libs, packages.libs_suites, packages.suites()), (["libx", "liby:all"], [codename()], [codename()]))
    path.write_text("libs-of one,two\nlib libx\n")
    packages = read_package_list(path)
    same((packages.libs_suites, packages.suites()), (["one", "two"], ["one"]))


def tool_libraries(folder):
    """A tool's libraries are where its C library is; firmware may lie in a folder with such a name as well."""
    for name in ("usr/lib64/ld-linux-x.so.2", "usr/lib/aaa-linux-gnu/firmware", "usr/lib/mmm-linux-gnu/libc.so.6",
                 "usr/lib/zzz-linux-gnu/firmware", "usr/bin/tool"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    same(tool_command(folder, "tool")[3], str(folder / "usr/lib/mmm-linux-gnu"))


def skipped(folder):
    """A case whose kernel is missing in L1 is skipped with the reason; what needs no guest is not."""
    script = '. /dev/stdin\nvm_missing="kernel x: cannot be had"\nbooted "x boots"\ncheck "x works" false\nvm_missing=\nok "the rest"\n'
    library = (Path(__file__).resolve().parent / "l1/caselib").read_text().replace(". /lab/settings", ":")
    library = library.replace("/run/", f"{folder}/")
    folder.mkdir(exist_ok=True)
    (folder / "script").write_text(script)
    done = subprocess.run(["sh", str(folder / "script")], input=library, capture_output=True, text=True, check=False)
    same(done.stdout, "ok 1 - x boots: the guest did not reach userspace; lkvm's status is  # SKIP kernel x: cannot be had\n"
                      "ok 2 - x works # SKIP kernel x: cannot be had\nok 3 - the rest\n")


def main():
    tests = [
        ("a package comes from the first suite that it names", in_order),
        ("a list that does not match once is fetched again", passing),
        ("one that never does: the next suite, said in one line", next_suite),
        ("no suite: the reason for each", nowhere),
        ("a package that a suite has not: the next one, at once", not_there),
        ("a package that every architecture shares is named with that", whole_name),
        ("libraries are of the suites that the list names", libraries_of),
        ("a tool finds its libraries beside firmware", tool_libraries),
        ("a test whose kernel cannot be had is skipped with the reason", skipped),
    ]
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        print("1..0 # SKIP apt is not here")
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        make_repository(root / "archive")
        handler = functools.partial(Repository, directory=str(root / "archive"))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        os.environ["LKVM_LAB_MIRROR"] = f"http://127.0.0.1:{server.server_port}"
        os.environ["no_proxy"] = "127.0.0.1"
        print(f"1..{len(tests)}")
        for number, (title, test) in enumerate(tests, 1):
            try:
                test(root / f"lab{number}")
                print(f"ok {number} - {title}")
            except Exception as error:
                print(f"not ok {number} - {title}")
                print("".join(f"# {line}\n" for line in f"{type(error).__name__}: {error}".splitlines()), end="")


main()
