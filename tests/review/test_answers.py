"""Patches to Xen 4.17.0, each with the answer of a careful reviewer, in every mode.

As mails alone they run everywhere. With a tree, and as ranges of a tree, they need a git repository
of Xen: set XENSAVE_XEN_GIT to its path.
"""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from xensave.errors import UsageError
from xensave.review.session import Request, review
from xensave.views.review.text import text

DATA = Path(__file__).parents[1] / "data" / "patches" / "answers"
XEN = os.environ.get("XENSAVE_XEN_GIT")
AT = "RELEASE-4.17.0"
needs_xen = pytest.mark.skipif(not XEN, reason="XENSAVE_XEN_GIT names no Xen repository")


class Answer(NamedTuple):
    """Rules that must be drawn, as errors or warnings, and none besides but for `may`.

    `refused` are words of the refusal of the mail alone, where its lines do not suffice.
    """

    draws: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    refused: str = ""


NONE = Answer()
SIZE, MOVED = "RECORD_SIZE_CHANGED_UNLESS_COMPAT", "FIELD_MOVED_UNLESS_COMPAT"
INSERTED, ABIS = "FIELD_INSERTED_UNLESS_COMPAT", "STRUCT_DIFFERS_BETWEEN_ABIS"
NO_HANDLER, FEWER = "RECORD_REGISTERED_BY_NO_HANDLER", "RECORD_LOADS_FEWER_SIZES"
VIEWS = "STRUCT_DIFFERS_BETWEEN_XEN_AND_TOOLS"
OWNERS = "NUMBER_TAKEN_FROM_OWNER_UNLESS_UPSTREAMED"
ANSWERS = {
    "A01": Answer(("SPACE_NUMBER_TAKEN",), says=("19",)),
    "A03": Answer(("SPACE_NUMBER_TAKEN",), ("SPACE_NUMBER_UNDOCUMENTED",), ("0xe",)),
    "A06": Answer(("SPACE_NUMBER_TAKEN",), says=("HVM_PARAM_FOO",)),
    "F1-no-context": Answer((SIZE,), refused="no line around it"),
    "H01": Answer((NO_HANDLER,), says=("RTC",)),
    "H07": Answer((NO_HANDLER,), says=("FOO",)),
    "H08": Answer(("RECORD_KIND_CHANGED",), says=("per vCPU and is per domain",)),
    "H09": Answer((FEWER,), says=("8 bytes (4.2), 24 bytes (4.3 to 4.9)",)),
    "H11": Answer((SIZE,), says=("8 bytes (4.2), 24 bytes (4.3 to 4.9)",)),
    "H12": Answer((SIZE,)),
    "L02": NONE,
    "L09": Answer((ABIS, INSERTED), says=("error_code and flags move",)),
    "L11": NONE,
    "L12": Answer((MOVED,), says=("init_state", "priority_add")),
    "L14": Answer((SIZE,)),
    "L18": Answer((MOVED,), says=("mcg_ext_ctl", "caps")),
    "L21": Answer((VIEWS,), says=("xen_only",)),
    "L22": Answer((ABIS,), says=("narrow",)),
    "L31": Answer((SIZE, "FIELD_CHANGED_UNLESS_COMPAT"), refused="VIOAPIC_NUM_PINS"),
    "L33": Answer(("DESCRIPTOR_CHANGED",), says=("typecode was uint16_t and becomes uint32_t",)),
    "L43": Answer((INSERTED,), says=("error_code and flags move",)),
    "L45": Answer((MOVED,), says=("msr_tsc_aux moves",)),
    "L48": Answer(("FIELDS_RENAMED",), says=("caps to a",)),
    "L55": NONE,
    "L56": Answer(may=("FIELD_WIDTH_NOT_FIXED_UNLESS_UNION_FIXES_IT",)),
    "L58": NONE,
    "N15": Answer(("RECORD_DELETED",), ("HANDLER_REGISTERS_NO_RECORD",), ("PMTIMER",)),
    "N24": Answer(("MAXIMUM_RAISED_FAR",), says=("16,642 entries", "+664,840 bytes")),
    "N30": NONE,
    "O02": Answer((OWNERS,), says=("FOO takes 25",)),
    "O03": Answer(
        (SIZE, ABIS), ("FIELD_CHANGED_UNLESS_COMPAT",), ("CPU_MSR",), "XEN_FLEX_ARRAY_DIM"
    ),
    "R01": NONE,
    "R02": NONE,
    "R13": Answer(
        ("RESERVATION_USE_UNSTATED",), ("RESERVATION_FOLLOWS_UPSTREAM_UNLESS_DEPLOYED",)
    ),
    "R21": NONE,
    "compat-form": NONE,
    "compat-form-of-another-size": Answer((SIZE,), says=("guests of 8 bytes",)),
    "bare-number-moves": Answer(("RECORD_RENUMBERED",), says=("CPU_MSR moves from 20 to 21",)),
    "handler-in-another-file": NONE,
    "maximum-gone": Answer(("MAXIMUM_BELOW_RECORD",), says=("HVM_SAVE_CODE_MAX is gone",)),
    "reservation-of-numbers-in-use": Answer(
        ("RESERVATION_OVERLAPS",), ("RESERVATION_USE_UNSTATED",), ("which is CPU_MSR",)
    ),
    "record-under-a-condition": Answer((OWNERS, "MAXIMUM_BELOW_RECORD"), (NO_HANDLER,)),
    "record-for-the-hypervisor-alone": Answer((VIEWS,), says=("for the hypervisor alone",)),
    "record-on-64-bits-alone": Answer((ABIS,), says=("not on 32-bit x86",)),
    "field-under-a-condition": Answer((VIEWS,), says=("for who defines CONFIG_FOO",)),
    "record-under-if-0": Answer(("RECORD_DELETED",), ("HANDLER_REGISTERS_NO_RECORD",)),
    "struct-renamed": NONE,
    "element-of-an-open-array-grows": Answer(
        ("FIELD_CHANGED_UNLESS_COMPAT",), says=("elements of 16 bytes and becomes elements of 24",)
    ),
    "padding-in-an-open-array": Answer(("PADDING_GETS_MEANING",), says=("msr._rsvd",)),
    "stream-record-moves": Answer(("SPACE_NUMBER_MOVED", "SPACE_DOCUMENT_DIFFERS")),
    "param-limit-gone": Answer(("SPACE_LIMIT_LOWERED",), says=("HVM_NR_PARAMS is gone",)),
}  # fmt: skip


def file_of(name):
    (found,) = (path for path in DATA.iterdir() if path.stem == name)
    return str(found)


def objections(*inputs, name="", **more):
    registries = (str(DATA / "amazon-names-25.toml"),) if name == "R21" else ()
    request = Request(inputs=inputs, registries=registries, **more)
    result = review(request, lambda path: Path(path).read_bytes())
    return [objection for each in result.reviews for objection in each.objections], result


def check(name, objected):
    answer = ANSWERS[name]
    drawn = {o.finding.rule for o in objected if o.finding.severity != "note"}
    assert set(answer.draws) <= drawn
    assert drawn <= {*answer.draws, *answer.may}
    told = " ".join(o.finding.message for o in objected)
    assert all(words in told for words in answer.says)


def test_every_input_has_an_answer():
    names = {path.stem for path in DATA.iterdir() if path.suffix in (".mbox", ".diff")}
    assert {name for name in names if not name.startswith("S")} == set(ANSWERS)


@pytest.mark.parametrize("name", ANSWERS)
def test_as_a_mail_alone(name):
    refused = ANSWERS[name].refused
    if refused:
        with pytest.raises(UsageError, match=f"{refused}.*--tree"):
            objections(file_of(name), name=name)
    else:
        check(name, objections(file_of(name), name=name)[0])


@needs_xen
@pytest.mark.parametrize("name", ANSWERS)
def test_as_a_mail_with_a_tree(name):
    check(name, objections(file_of(name), name=name, tree=XEN, at=AT)[0])


@pytest.fixture(scope="module")
def commits(tmp_path_factory):
    """A repository that borrows Xen's objects, with a branch for each input."""
    path = tmp_path_factory.mktemp("xen")
    who = {f"GIT_{role}_{what}": "dev@example.org" for role in ("AUTHOR", "COMMITTER")
           for what in ("NAME", "EMAIL")}  # fmt: skip

    def git(*words, **more):
        environment = {**os.environ, **who, "GIT_DIR": str(path), **more}
        done = subprocess.run(["git", *words], env=environment, capture_output=True, check=True)
        return done.stdout.decode().strip()

    git("init", "-q", "--bare", str(path))
    objects = git("rev-parse", "--git-path", "objects", GIT_DIR=XEN)
    (path / "objects/info/alternates").write_text(f"{Path(XEN, objects).resolve()}\n")
    start = git("rev-parse", f"{AT}^{{commit}}", GIT_DIR=git_dir(XEN))
    git("update-ref", "refs/heads/start", start)
    for name in ANSWERS:
        index = {"GIT_INDEX_FILE": str(path / "index")}
        git("read-tree", start, **index)
        git("apply", "--cached", "--unidiff-zero", file_of(name), **index)
        tree = git("write-tree", **index)
        git("update-ref", f"refs/heads/{name}", git("commit-tree", tree, "-p", start, "-m", name))
    return path


def git_dir(folder):
    command = ["git", "-C", folder, "rev-parse", "--absolute-git-dir"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@needs_xen
@pytest.mark.parametrize("name", ANSWERS)
def test_as_a_range(name, commits):
    check(name, objections(f"start..{name}", name=name, tree=str(commits))[0])


MODES = [
    pytest.param({}, id="alone"),
    pytest.param({"tree": XEN, "at": AT}, id="on a tree", marks=needs_xen),
]


@pytest.mark.parametrize("where", MODES)
def test_what_a_later_patch_mends_is_settled_and_not_blamed(where):
    found, result = objections(file_of("S1-series-breaks-in-3-mends-in-4"), **where)
    numbers = {each.message.number for each in result.reviews if each.objections}
    assert numbers == {3}
    assert {o.finding.rule for o in found} == {SIZE, INSERTED, ABIS}
    assert {o.settled for o in found} == {"4/5: 4: drop flags again (mends)"}
    assert not result.fails("error")
    assert text(result).endswith("\n0 errors, 0 warnings, 0 notes, 3 settled\n")


@pytest.mark.parametrize("where", MODES)
def test_patches_of_two_titles_are_no_versions_of_each_other(where):
    found, result = objections(file_of("L14"), file_of("S4-unrelated-v3"), **where)
    assert [o.finding.rule for o in found] == [SIZE]
    assert result.fails("error")
    assert not result.progress
