"""What convert changes in a configuration of libxl's, and that nothing else of it changes."""

import io

import pytest

from tests.toolstack.corpus import rebuilt, thin
from xensave.container.frames.config import parse_config
from xensave.container.frames.xl import OptionalData
from xensave.convert import Settings, convert
from xensave.convert.configuration import mended
from xensave.convert.plan import Loss
from xensave.image import open_image
from xensave.toolstack.restore import judge


def optional(text):
    return OptionalData(text.encode() + b"\n\0", b"behind").to_bytes()


SCHED = (
    '{"b_info": {"x": "\\"sched\\": \\"credit2\\"", '
    '"sched_params" : {\n "sched" : "%s", "cap": 0}}}'
)


@pytest.mark.parametrize(
    ("text", "at", "new"),
    [
        (SCHED % "credit2", (4, 11, 4), SCHED % "unknown"),
        (SCHED % "credit", (4, 12, 0), None),
        (SCHED % "Credit2", (4, 11, 4), SCHED % "unknown"),
        (SCHED % "credit2", (4, 12, 0), None),
        (SCHED % "rtds", (4, 12, 0), None),
        ('{"b_info": {"tsc_mode": "native_paravirt"}}', (4, 11, 4), None),
        (
            '{"b_info": {"tsc_mode": "native_paravirt"}}',
            (4, 12, 0),
            '{"b_info": {"tsc_mode": "default"}}',
        ),
        ('{"b_info": {"sched_params": {"weight": 5}}}', (4, 11, 0), None),
        ("name = 'own syntax'", (4, 11, 0), None),
        # Thousands of places that are not the member would each cost a parse of them all.
        pytest.param(
            '{"x": [' + '{"sched": "credit"}, ' * 3000 + "0], " + (SCHED % "credit2")[1:],
            (4, 11, 4),
            None,
            id="decoys",
        ),
    ],
)
def test_only_the_value_changes(text, at, new):
    changed, done = mended(optional(text), at)
    assert changed == optional(text if new is None else new)
    assert len(done) == (new is not None)


def test_a_guest_of_credit2_restores_where_credit_is_the_default(tmp_path):
    """sched_adjust() answers EINVAL to settings of another scheduler than the host's."""
    edits = [
        {"op": "ihdr", "at": 12, "hex": "00000002"},
        *({"op": "drop", "rec": n} for n in (0x10, 0x11, 0x12)),
    ]
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_bytes(rebuilt(thin("x417-pvh1"), edits))
    plan = convert(str(source), str(out), Settings("4.11.4", "4.17"))
    (change,) = [each for each in plan.changes if "scheduler" in each.what]
    assert (change.action, change.lost, change.citation.commit) == ("rewrite", 0, "162fc8295f")
    with open_image(out) as image:
        config = image.facts.config
        assert judge(image.facts, "4.11.4").accepted
    assert config.get("b_info", "sched_params") == {"sched": "unknown", "weight": 256, "cap": 0}


def test_a_tsc_mode_that_is_no_more_is_a_named_loss(tmp_path):
    """libxl__arch_domain_create() refuses native_paravirt from 6b10a4c416 on (4.12)."""
    edits = [{"op": "config", "path": ["b_info", "tsc_mode"], "value": "native_paravirt"}]
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_bytes(rebuilt(thin("x417-pvh1"), edits))
    plan = convert(str(source), str(out), Settings("4.17.7", allow_loss=True))
    (change,) = plan.changes
    assert change.loss == (Loss("b_info.tsc_mode", "native_paravirt"),)
    assert parse_config(_optional(out)).get("b_info", "tsc_mode") == "default"


def _optional(path):
    data = io.BytesIO(path.read_bytes()).getvalue()
    return data[48 : 48 + int.from_bytes(data[44:48], "little")]
