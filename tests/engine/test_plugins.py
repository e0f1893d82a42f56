"""Plug-ins: the docs' example, installed ones, and clashes."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from xensave.catalogue import layout
from xensave.catalogue.model import Cite
from xensave.container.streams import hvm
from xensave.engine import Domain, Hypervisor, Plugin, plugins
from xensave.engine.loop.rule import CHECK, LOAD, HandlerRule, Undecided
from xensave.errors import UsageError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/downstream.md"
LAYOUT = layout("TSC_ADJUST.1")


def plugin(name="ACME", code=0x4101, owner="Acme"):
    return Plugin(name, code, LAYOUT, owner)


def test_the_docs_example_runs_and_prints_what_the_page_says():
    page = PAGE.read_text()
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    printed = re.search(r"It prints\n\n```text\n(.*?)```", page, re.DOTALL)[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, printed), done.stderr


@pytest.mark.parametrize(
    ("name", "code", "owner", "clash"),
    [
        ("ACME", 18, "Acme", "number 18 is VMCE_VCPU of Xen and ACME of Acme [NUMBER_TAKEN_TWICE]"),
        ("ACME", 22, "Acme", "ACME of Acme lies in 22 - 34, kept for Amazon [NUMBER_RESERVED]"),
        ("CPU", 0x4101, "Acme", "CPU is number 2 and number 16641 [NAME_AT_TWO_NUMBERS]"),
        ("ACME", 1 << 16, "Acme", "ACME of Acme: typecodes are 1 - 65535"),
    ],
)
def test_a_claim_on_anothers_number_is_refused(name, code, owner, clash):
    with pytest.raises(UsageError) as error:
        Hypervisor("4.17", plugins=[plugin(name, code, owner)])
    assert str(error.value) == clash


def test_the_docs_name_the_clash_as_the_engine_does():
    with pytest.raises(UsageError) as error:
        Hypervisor("4.17", plugins=[plugin("ACME_DOORBELL", 22)])
    assert str(error.value) in PAGE.read_text()


def test_two_plugins_with_one_number_clash():
    with pytest.raises(UsageError, match="number 16641 is ACME of Acme and OTHER of Other"):
        Hypervisor("4.17", plugins=[plugin(), plugin("OTHER", owner="Other")])


def test_the_owner_may_use_its_range():
    hypervisor = Hypervisor("4.17", Domain(), plugins=[plugin("AMZN", 22, "Amazon")])
    assert hypervisor.handlers[22].name == "AMZN"
    assert hypervisor.code_max == 22


def test_installed_plugins_are_found_and_others_are_refused(monkeypatch, tmp_path):
    acme = ModuleType("acme_records")
    acme.single, acme.several, acme.wrong = plugin(), [plugin()], 5
    monkeypatch.setitem(sys.modules, "acme_records", acme)
    package = tmp_path / "acme_records-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-records\nVersion: 1.0\n")

    def points(*names):
        lines = [f"{name} = acme_records:{name}\n" for name in names]
        text = f"[{plugins.GROUP}]\n{''.join(lines)}"
        (package / "entry_points.txt").write_text(text)

    points("single", "several")
    assert plugins.installed() == ()
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.installed() == (plugin(), plugin())
    points("wrong")
    with pytest.raises(UsageError, match=r"'wrong' of xensave\.handlers is no Plugin"):
        plugins.installed()
    points("absent")
    with pytest.raises(UsageError, match=r"'absent' of xensave\.handlers fails: AttributeError"):
        plugins.installed()


@pytest.mark.parametrize("fault", [ZeroDivisionError("x"), KeyError("nope")])
def test_a_rule_that_fails_in_its_own_way_is_named(fault):
    def test(body, machine):
        raise fault

    rule = HandlerRule("ACME_RULE", "ACME", "EINVAL", "it is good", test, Cite("acme()", "", ""))
    handler = plugin()._replace(rules=(rule,)).handler()
    message = f"rule ACME_RULE of Acme's ACME fails: {type(fault).__name__}"
    with pytest.raises(UsageError, match=message):
        handler.load_rules[0].test(None, None)


@pytest.mark.parametrize("stage", [LOAD, CHECK])
def test_what_only_the_host_tells_is_left_open_by_either_pass(stage):
    def test(body, machine):
        raise Undecided("whether the host has a doorbell")

    rule = HandlerRule(
        "ACME_RULE", "ACME", "EINVAL", "it is good", test, Cite("acme()"), stage=stage
    )
    acme = plugin()._replace(rules=(rule,), checked=True)
    entry = hvm.Entry(acme.typecode, 0, bytes(LAYOUT.size))
    raw = hvm.RawContext.parse((ROOT / "examples" / "hvm1.ctx").read_bytes())
    context = raw._replace(entries=[*raw.entries[:-1], entry, raw.entries[-1]]).to_bytes()
    verdict = Hypervisor("4.19", plugins=[acme]).load(context)
    assert verdict.depends == ("ACME[0]: whether the host has a doorbell",)
    assert verdict.loaded == len(raw.entries) - 1
