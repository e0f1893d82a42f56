"""`xensave compare`: what changed between two releases, from every table."""

import json

import pytest

from tests.terminal import command
from xensave import catalogue
from xensave.toolstack.releases.compare import compare

run = command("compare")


def test_what_an_upgrade_brings(capsys):
    code, out, err = run(capsys, "4.17", "4.21")
    assert (code, err) == (1, "")
    assert "  LAPIC: 24 to 32 bytes: pending_esr appended at 24, 4 bytes\n" in out
    assert "check pass before any load: yes, before no" in out
    assert "  PIT: checked first, by pit_check\n" in out
    assert "DR6 and DR7 have 32 bits (EINVAL, CPU_DR)" in out
    assert "15987cb03f" in out
    assert "PHYS32_RELOC: new, 19" in out


def test_point_releases_differ(capsys):
    code, out, _ = run(capsys, "4.20.0", "4.20.4", "--only", "layout")
    assert code == 1
    assert out.startswith("layouts\n  LAPIC: 24 to 32 bytes")
    assert run(capsys, "4.20.1", "4.20.4", "--only", "layout")[:2] == (0, "nothing changed\n")


@pytest.mark.parametrize(
    ("old", "new", "kind", "subject", "text"),
    [
        ("4.13", "4.14", "stream", "libxc stream written", "version 3, before version 2"),
        ("4.5", "4.6", "stream", "libxc stream written", "version 2, before legacy"),
        ("4.13", "4.14", "number", "22 - 34", "reserved for Amazon"),
        ("4.6", "4.7", "layout", "CPU", "1024 to 1032 bytes: flags appended at 1024"),
        ("4.1", "4.2", "record", "VMCE_VCPU", "new, number 18, 8 bytes"),
        ("4.1", "4.2", "record", "VIRIDIAN_DOMAIN", "was called VIRIDIAN"),
        ("4.8", "4.9", "hvm-op", "track_dirty_vram", "gone, was 6"),
        ("4.16.0", "4.17.7", "policy", "X86_MSR_POLICY", "MSR 0x10a has 64 bits, before 32."),
        ("4.17", "4.18", "domctl", "interface version", "22, before 21"),
    ],
)
def test_kinds(old, new, kind, subject, text):
    found = [each for each in compare(old, new) if (each.kind, each.subject) == (kind, subject)]
    assert any(text in each.text for each in found), found


@pytest.mark.parametrize("name", catalogue.release_names())
def test_a_release_is_as_itself(name):
    assert compare(name, name) == []


def test_backwards_what_begins_ends():
    forth, back = compare("4.17", "4.21"), compare("4.21", "4.17")
    begins = {each.text for each in forth if each.kind == "check" and "(E" in each.text}
    ends = {each.text.removeprefix("no more: ") for each in back if each.kind == "check"}
    assert begins <= ends


def test_json_and_errors(capsys):
    rows = json.loads(run(capsys, "4.17", "4.21", "--json")[1])
    assert {"kind", "subject", "text", "cite"} == set(rows[0])
    assert run(capsys, "4.17", "9.9")[0] == 2
