"""The catalogue against Xen's own headers, as gcc compiles them, for every release.

Needs a git repository of Xen: set XENSAVE_XEN_GIT to its path.
"""

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.catalogue.cstructs import HEAD, check, members
from tests.source.archives import take_out
from xensave import catalogue
from xensave.catalogue.files import DATA

XEN = os.environ.get("XENSAVE_XEN_GIT")

pytestmark = [
    pytest.mark.skipif(not XEN, reason="XENSAVE_XEN_GIT names no Xen repository: NOT CHECKED"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc: NOT CHECKED"),
]

# 3.1's header uses what Xen's private headers define.
PRELUDE = HEAD + (
    "#define DECLARE_BITMAP(name, bits) unsigned long name[((bits) + sizeof(long) * 8 - 1)"
    " / (sizeof(long) * 8)]\n"
    '#include "xen.h"\n#include "hvm/save.h"\n'
)


def git(*words):
    return subprocess.run(["git", "-C", XEN, *words], capture_output=True, check=True).stdout


def refs():
    found = []
    for name in catalogue.release_names():
        release = catalogue.release(name)
        tags = git("tag", "--list", f"RELEASE-{name}.*").decode().split() if XEN else []
        found += [(name, ref) for ref in tags or [release.ref]]
    return found


def expectations(release, bits):
    """C that compiles only where the headers agree with a release of the catalogue."""
    lines = [check("HVM_SAVE_CODE_MAX", release.code_max)]
    for binding in release.bindings:
        layout = catalogue.layout(binding.layout)
        if binding.load == "own":
            type_ = f"struct {layout.struct}"
            lines.append(check(f"{binding.name}_CODE", binding.typecode))
        else:
            type_ = f"HVM_SAVE_TYPE({binding.name})"
            lines.append(check(f"HVM_SAVE_CODE({binding.name})", binding.typecode))
        lines += shape_checks(type_, catalogue.shape(layout, bits))
        if binding.compat:
            compat = catalogue.layout(binding.compat)
            lines += shape_checks(f"struct {compat.struct}", catalogue.shape(compat, bits))
    return "".join(lines)


def shape_checks(type_, shape):
    yield check(f"sizeof({type_})", shape.size)
    for path, offset, field in members(shape.fields):
        if field.bits:
            continue
        yield check(f"__builtin_offsetof({type_}, {path})", offset)
        if 0 not in field.dims:
            yield check(f"sizeof((({type_} *)0)->{path})", field.size)


def unpack(ref, folder):
    archive = git("archive", ref, "xen/include/public")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        take_out(tar, folder)
    return folder / "xen/include/public"


@pytest.mark.parametrize(("series", "ref"), refs() if XEN else [("", "")])
def test_gcc_agrees(series, ref, tmp_path):
    release = catalogue.release(ref if ref.startswith("RELEASE") else series)
    public = unpack(ref, tmp_path)
    for bits in (64, 32):
        text = PRELUDE + expectations(release, bits)
        command = ["gcc", f"-m{bits}", "-ffreestanding", "-std=gnu11", "-fsyntax-only", "-w"]
        command += [f"-I{public}", "-xc", "-"]
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{ref} -m{bits}:\n{done.stderr[:2000]}"


@pytest.mark.slow
def test_the_data_is_what_build_makes(tmp_path):
    from xensave.headers.survey.run import build

    source = json.loads(Path(DATA, "index.json").read_bytes())["producer"]["source"]
    if source != f"Xen {git('rev-parse', 'master').decode().strip()}":
        pytest.skip(f"the repository's master is not {source}: NOT CHECKED")
    build(XEN, tmp_path, lambda _: None)
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.json")]
    stale = [str(name) for name in made if contents(tmp_path / name) != contents(Path(DATA, name))]
    assert stale == [], "xensave catalogue build --xen-git DIR, then read its diff"


def contents(path):
    """What a data file says, but for who made it when."""
    return path.read_text().split("\n", 3)[3]
