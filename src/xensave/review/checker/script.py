#!/usr/bin/env python
# SPDX-License-Identifier: MIT
"""Check a Xen tree's HVM save headers against what releases have had.

Usage: check-save-records.py [TREE]

Reads the headers of HVM save records as text and says where they break with a release: a number
that means another record, a record at another number, one that is gone or smaller, a number that
is kept for an owner, a maximum that does not fit. What takes a compiler to tell is left alone; so
is all that this script cannot read for sure. Exit code: 0 nothing found, 1 faults, 2 no headers.

Made by `xensave review --emit-checker`. It runs under Python 2.7 and any Python 3.
"""

from __future__ import print_function

import io
import os
import re
import sys

# RELEASES: [version, {number: [name, size]}], oldest first; NAMES: {number: names};
# RESERVED: [first, last, owner].
RELEASES = []
NAMES = {}
RESERVED = []

HEADERS = ("hvm/save.h", "arch-x86/hvm/save.h")
FOLDERS = ("xen/include/public", "include/public", "public", "")
TYPES = {
    "uint8_t": 1,
    "int8_t": 1,
    "char": 1,
    "unsigned char": 1,
    "uint16_t": 2,
    "int16_t": 2,
    "uint32_t": 4,
    "int32_t": 4,
    "uint64_t": 8,
    "int64_t": 8,
}

COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*", re.DOTALL)
DECLARE = re.compile(
    r"^[ \t]*DECLARE_HVM_SAVE_TYPE(?:_COMPAT)?\s*\(\s*(\w+)\s*,\s*(\w+)\s*,"
    r"\s*struct\s+(\w+)",
    re.MULTILINE,
)
DEFINE = re.compile(
    r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+\(?(0[xX][0-9a-fA-F]+|\d+)\)?[ \t]*$", re.MULTILINE
)
STRUCT = re.compile(r"\bstruct\s+(\w+)\s*\{([^{}]*)\}\s*;")
FIELD = re.compile(r"(?:struct\s+)?(\w+(?:\s+char)?)\s+(\w+)((?:\s*\[\s*\w+\s*\])*)\Z")


def read(path):
    """Returns the text of a file, comments blanked line for line; None where there is none."""
    try:
        with io.open(path, encoding="utf-8", errors="replace") as header:
            text = header.read()
    except (IOError, OSError):
        return None
    return COMMENT.sub(lambda match: "\n" * match.group().count("\n") or " ", text)


def find(tree):
    """Returns (path, text) of the headers that the tree has."""
    for folder in FOLDERS:
        paths = []
        for name in HEADERS:
            path = os.path.join(tree, folder, name)
            text = read(path)
            if text is not None:
                paths.append((path, text))
        if paths:
            return paths
    return []


def version(tree):
    """Returns the version that the tree builds, as (4, 17); None where it does not tell."""
    text = read(os.path.join(tree, "xen", "Makefile")) or ""
    numbers = dict(re.findall(r"XEN_(VERSION|SUBVERSION)\s*[:?]?=\s*(\d+)", text))
    if len(numbers) != 2:
        return None
    return int(numbers["VERSION"]), int(numbers["SUBVERSION"])


def records(files):
    """Returns (name, number, struct, place) for each record, and the constants by name."""
    constants = {}
    for _, text in files:
        for name, value in DEFINE.findall(text):
            constants[name] = int(value, 0) if value[:2] in ("0x", "0X") else int(value)
    rows = []
    for path, text in files:
        for match in DECLARE.finditer(text):
            number = constants.get(match.group(2))
            if match.group(2).isdigit():
                number = int(match.group(2))
            if number is not None:
                rows.append((match.group(1), number, match.group(3), place(path, text, match)))
        for match in DEFINE.finditer(text):
            name = match.group(1)
            if name.endswith("_CODE") and not name.startswith("HVM_SAVE"):
                record = name[: -len("_CODE")]
                if record not in [row[0] for row in rows]:
                    rows.append((record, constants[name], None, place(path, text, match)))
    return rows, constants


def place(path, text, match):
    """Returns where a match stands, as "file:line"."""
    return "%s:%d" % (path, text.count("\n", 0, match.start()) + 1)


def sizes(files, constants):
    """Returns the sizes of the structs that plain fields make up; others are left out."""
    table = {}
    for _, text in files:
        for name, body in STRUCT.findall(text):
            size = size_of(body, constants, table)
            if size is not None and name not in table:
                table[name] = size
    return dict((name, size) for name, (size, _) in table.items())


def size_of(body, constants, known):
    """Returns (size, alignment) of a struct's fields; None where one is not plain."""
    if "#" in body:
        return None
    end, widest = 0, 1
    for declaration in body.split(";"):
        words = " ".join(declaration.split())
        if not words:
            continue
        match = FIELD.match(words)
        if match is None:
            return None
        size, align = TYPES.get(match.group(1)), TYPES.get(match.group(1))
        if size is None:
            if match.group(1) not in known:
                return None
            size, align = known[match.group(1)]
        for dimension in re.findall(r"\w+", match.group(3)):
            count = int(dimension) if dimension.isdigit() else constants.get(dimension)
            if not count:
                return None
            size *= count
        end = (end + align - 1) // align * align + size
        widest = max(widest, align)
    return ((end + widest - 1) // widest * widest, widest) if end else None


def before(tree_version):
    """Returns the last release before a version: (name, {number: [name, size]}), or None."""
    last = None
    for name, bound in RELEASES:
        if tree_version is not None and tuple(name) < tree_version:
            last = (".".join(str(part) for part in name), bound)
    return last


def faults(tree):
    """Yields "place: error: what is wrong" for each fault; nothing that is not sure."""
    files = find(tree)
    built = version(tree)
    if built is not None and RELEASES and built < tuple(RELEASES[0][0]):
        return  # Before the first release numbers still moved.
    numbers_of, constants = records(files)
    numbers = {}
    for name, number, _, where in numbers_of:
        if number in numbers and numbers[number] != name:
            yield "%s: error: %s has number %d, and so has %s" % (
                where,
                name,
                number,
                numbers[number],
            )
        numbers.setdefault(number, name)
    for name, number, _, where in numbers_of:
        for fault in misplaced(name, number):
            yield "%s: error: %s" % (where, fault)
    for fault in limits(files, numbers_of, constants):
        yield fault
    release = before(built)
    if release is not None:
        for fault in lost(release, numbers_of, sizes(files, constants), files[0][0]):
            yield fault


def misplaced(name, number):
    """Yields what is wrong with the number of a record."""
    names = NAMES.get(number, [])
    if names and name not in names:
        yield "%s takes %d, which was %s in a release" % (name, number, " and ".join(names))
    for other in sorted(NAMES):
        if name in NAMES[other] and number != other:
            yield "%s moves from %d to %d: saved guests carry %d" % (name, other, number, other)
    for first, last, owner in RESERVED:
        if first <= number <= last:
            yield "%s takes %d, which is kept for %s" % (name, number, owner)


def limits(files, numbers, constants):
    """Yields what is wrong with HVM_SAVE_CODE_MAX."""
    most = constants.get("HVM_SAVE_CODE_MAX")
    if most is None or not numbers:
        return
    where = files[0][0]
    for path, text in files:
        for match in DEFINE.finditer(text):
            if match.group(1) == "HVM_SAVE_CODE_MAX":
                where = place(path, text, match)
    highest = max(number for _, number, _, _ in numbers)
    if highest > 0xFFFF:
        yield "%s: error: a descriptor has 16 bits for a number, too few for %d" % (where, highest)
    if most < highest:
        yield "%s: error: HVM_SAVE_CODE_MAX is %d, below %d" % (where, most, highest)
    if most > highest:
        yield "%s: error: HVM_SAVE_CODE_MAX is %d, and no record has a number above %d" % (
            where,
            most,
            highest,
        )


def lost(release, records_, known, where):
    """Yields the records of a release that are gone, or smaller than it saved them."""
    name, bound = release
    there = dict((number, struct) for _, number, struct, _ in records_)
    places = dict((number, place) for _, number, _, place in records_)
    for number in sorted(bound):
        record, size = bound[number]
        if number not in there:
            yield "%s: error: %s (%d) of Xen %s is gone" % (where, record, number, name)
        elif size is not None and known.get(there[number], size) < size:
            yield "%s: error: %s was %d bytes in Xen %s and is %d" % (
                places[number],
                record,
                size,
                name,
                known[there[number]],
            )


def main(words):
    """Checks one tree: 0 nothing found, 1 faults, 2 no headers."""
    if "-h" in words or "--help" in words:
        print(__doc__)
        return 0
    tree = words[1] if len(words) > 1 else "."
    if not find(tree):
        print("%s: no hvm/save.h below it" % tree, file=sys.stderr)
        return 2
    count = 0
    for fault in faults(tree):
        print(fault)
        count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
