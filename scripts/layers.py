#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that calls go down and that no two files need each other; the layers are read from ARCHITECTURE.md.

A table with the columns "layer" and "where" lists layers from the highest to the lowest; names in backquotes are
files, patterns or folders (with a slash at the end; the more exact name wins). "`x86/` or `arm/`": only one of them
is linked, so neither may know the other. include/lkvm/NAME.h belongs to the layer with NAME.c or NAME/ (of several, the lowest).
A layer that is headers alone is a contract: lower layers call what it declares, a higher one defines it.
Each table is a program of its own; a header that several share is named in each.

  #include lines        a file includes headers of its own layer or a lower one
  symbols of objects    the same for what it calls, and files do not need each other in a circle
"""
import argparse
import fnmatch
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

# No part of the programs.
OUTSIDE = {"tests", "bench", "scripts", "docs", "build", ".git", "uapi"}
HEADER_ROOM = "include/lkvm"
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]')
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)


class Layer:
    def __init__(self, name, rank, names, alternatives):
        self.name, self.rank, self.names, self.alternatives = name, rank, names, alternatives
        self.is_contract = all(n.endswith(".h") for n in names)
        self.declared = set()

    def match(self, path):
        """How exactly the layer names a path: 0 not at all, else the more the better."""
        best = 0
        for name in self.names:
            if name == path:
                return len(path) + 1000
            if name.endswith("/") and path.startswith(name):
                best = max(best, len(name))
            elif "*" in name and fnmatch.fnmatch(path, name) and path.count("/") == name.count("/"):
                best = max(best, len(name) + 500)
        return best

    def has_subject(self, stem):
        """Is there a file or a folder of that name, whose header is in the common room?"""
        return any(n == stem + "/" or fnmatch.fnmatch(stem + ".c", n) for n in self.names)


def read_tables(text):
    """A list of layers for each table."""
    tables, rows = [], None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if [cell.lower() for cell in cells[:2]] == ["layer", "where"]:
            rows = []
            tables.append(rows)
        elif not cells:
            rows = None
        elif rows is not None and not set(cells[0]) <= set("-: "):
            names = re.findall(r"`([^`]+)`", cells[1])
            choice = re.findall(r"`([^`]+)/`(?= or )|(?<= or )`([^`]+)/`", cells[1])
            rows.append(Layer(cells[0], len(rows), names, {Path(a or b).name for a, b in choice}))
    return tables


def find_sources(tree):
    found = []
    for folder, folders, files in os.walk(tree):
        folders[:] = sorted(f for f in folders if f not in OUTSIDE and not f.startswith("."))
        found += [os.path.relpath(os.path.join(folder, f), tree) for f in sorted(files) if f.endswith((".c", ".h", ".S"))]
    return found


class Tree:
    """The sources with their layers; what is wrong with them is collected in findings."""

    def __init__(self, root, table_file):
        self.root, self.findings, self.code = Path(root), [], {}
        self.tables = read_tables(table_file.read_text())
        self.sources = find_sources(root)
        if not any(self.tables):
            raise SystemExit(f"{table_file}: no table with the columns 'layer' and 'where'")
        self.layer_of = {path: self.place(path) for path in self.sources}
        self.table_of = {id(layer): table for table in self.tables for layer in table}
        self.alternatives = set().union(*(layer.alternatives for table in self.tables for layer in table))
        for layer in self.table_of_all():
            for name in layer.names:
                if not any(Layer("", 0, [name], set()).match(path) for path in self.sources):
                    self.findings.append(f"{table_file.name}: layer '{layer.name}': there is no `{name}`")
            if layer.is_contract:
                for path in filter(layer.match, self.sources):
                    layer.declared |= set(re.findall(r"\w+", self.text(path)))

    def table_of_all(self):
        return [layer for table in self.tables for layer in table]

    def text(self, path):
        """Without comments and strings; lines stay where they are."""
        if path not in self.code:
            source = (self.root / path).read_text()
            self.code[path] = COMMENT_OR_STRING.sub(lambda m: "\n" * m[0].count("\n"), source)
        return self.code[path]

    def place(self, path):
        layers = self.table_of_all()
        best = max(layers, key=lambda layer: layer.match(path))
        if best.match(path):
            return best
        folder, name = os.path.split(path)
        stem = os.path.splitext(name)[0]
        if folder == HEADER_ROOM:
            exact = [layer for layer in layers if layer.has_subject(stem)]
            inside = [layer for layer in layers for f in self.sources
                      if os.path.basename(f) == stem + ".c" and layer.match(f) and f.count("/") == 1]
            if exact or inside:
                return (exact or inside)[-1]
        self.findings.append(f"{path}: no layer has it: name it in the table of ARCHITECTURE.md")
        return None

    def resolve(self, path, name):
        """The files of this tree that an #include may mean."""
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        for candidate in (beside, os.path.join("include", name)):
            if candidate in self.layer_of:
                return [candidate]
        # By -I in the guest: of the runtime, or of an architecture.
        return [s for s in self.sources if os.path.basename(s) == name and s.count("/") == 2 and path.startswith("guest/")
                and s.startswith("guest/")]

    def own_alternative(self, path):
        return self.alternatives.intersection(path.split("/"))

    def forbidden(self, user, used):
        """Why @user may not know @used, or None."""
        a, b = self.layer_of[user], self.layer_of[used]
        if not a or not b:
            return None
        mine, its = self.own_alternative(user), self.own_alternative(used)
        if mine and its and mine != its:
            return f"{'/'.join(mine)} and {'/'.join(its)} are never linked together"
        if self.table_of[id(a)] is not self.table_of[id(b)]:
            # A header that several programs share is named in the table of each.
            b = next((layer for layer in self.table_of[id(a)] if used in layer.names), b)
        if self.table_of[id(a)] is not self.table_of[id(b)]:
            return f"'{a.name}' and '{b.name}' are layers of different programs"
        if b.rank < a.rank:
            return f"'{b.name}' is above '{a.name}'"
        return None

    def check_includes(self):
        for path in self.sources:
            for number, line in enumerate((self.root / path).read_text().splitlines(), 1):
                found = INCLUDE.match(line)
                targets = self.resolve(path, found[1]) if found else []
                # A header that each architecture has: one's own is meant.
                mine = [t for t in targets if self.own_alternative(t) == self.own_alternative(path)]
                for target in mine or targets:
                    why = self.forbidden(path, target)
                    if why:
                        self.findings.append(f"{path}:{number}: includes {target}: {why}")


class Objects:
    """What the objects below a folder define and need. An object without a source beside it is stale or generated."""

    def __init__(self, tree, folder, nm):
        self.tree, self.defined_by, self.needs = tree, {}, defaultdict(lambda: defaultdict(set))
        source_of, used = {}, defaultdict(set)
        for obj in sorted(Path(folder).rglob("*.o")):
            stem = str(obj.relative_to(folder))[:-2]
            source = next((stem + end for end in (".c", ".S") if stem + end in tree.layer_of), None)
            if source:
                source_of[str(obj)] = source
        if not source_of:
            raise SystemExit(f"{folder}: no objects of these sources; build first")
        listing = subprocess.run([nm, "-A", "-P", "-g", *source_of], capture_output=True, text=True, check=True).stdout
        for line in listing.splitlines():
            obj, _, rest = line.partition(": ")
            name, kind = rest.split()[:2]
            if kind in "Uvw":
                used[source_of[obj]].add(name)
            else:
                self.defined_by.setdefault(name, source_of[obj])
        for user, names in used.items():
            for name in names & self.defined_by.keys():
                self.add_need(user, self.defined_by[name], name)

    def by_contract(self, user, used, name):
        a, b = self.tree.layer_of[user], self.tree.layer_of[used]
        return a and b and b.rank < a.rank and any(
            layer.is_contract and name in layer.declared for layer in self.tree.table_of[id(a)])

    def add_need(self, user, used, name):
        if user != used and not self.by_contract(user, used, name):
            self.needs[user][used].add(name)

    def line_of(self, path, names):
        for number, line in enumerate(self.tree.text(path).splitlines(), 1):
            if names.intersection(re.findall(r"\w+", line)):
                return f"{path}:{number}"
        return path

    def check_calls(self):
        for user, needs in sorted(self.needs.items()):
            for used, names in sorted(needs.items()):
                why = self.tree.forbidden(user, used)
                if why:
                    self.tree.findings.append(f"{self.line_of(user, names)}: needs {', '.join(sorted(names))} of {used}: {why}")

    def reach(self, start):
        seen, todo = set(), [start]
        while todo:
            for used in self.needs.get(todo.pop(), {}):
                if used not in seen:
                    seen.add(used)
                    todo.append(used)
        return seen

    def check_circles(self):
        """Files that reach each other, with every need among them."""
        reached = {user: self.reach(user) for user in list(self.needs)}
        done = set()
        for first in sorted(reached):
            circle = sorted(f for f in reached[first] if first in reached.get(f, ()))
            if first in done or not circle:
                continue
            done.update(circle)
            lines = [f"these {len(circle)} files need each other: {', '.join(circle)}"]
            for user in circle:
                for used in sorted(set(circle) & self.needs[user].keys()):
                    names = self.needs[user][used]
                    lines.append(f"  {self.line_of(user, names)}: needs {', '.join(sorted(names))} of {used}")
            self.tree.findings.append("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", default=Path(__file__).resolve().parent.parent, type=Path, help="the sources")
    parser.add_argument("--nm", default="nm", help="the nm that knows these objects")
    parser.add_argument("objects", nargs="*", metavar="FOLDER", help="objects, below it as the sources are below the tree")
    args = parser.parse_args()
    tree = Tree(args.tree, args.tree / "ARCHITECTURE.md")
    tree.check_includes()
    for folder in args.objects:
        objects = Objects(tree, folder, args.nm)
        objects.check_calls()
        objects.check_circles()
    for finding in tree.findings:
        print(finding)
    return 1 if tree.findings else 0


if __name__ == "__main__":
    sys.exit(main())
