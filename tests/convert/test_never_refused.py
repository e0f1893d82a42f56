"""What a conversion writes, `check` does not refuse: of every image that the builders make."""

from contextlib import suppress

import pytest

from tests.toolstack.test_one_set import BUILT
from xensave.convert import Settings, convert
from xensave.engine.verdict import Refused
from xensave.errors import XensaveError
from xensave.image import open_image
from xensave.image.input import JudgedInput
from xensave.rules.stream.formats.libxc import CHECKPOINTED
from xensave.toolstack.judge import Judge

TARGET = "4.17"
SMALL = [name for name, data in BUILT.items() if len(data) < 1 << 20 and ".ctx" not in name]
WHOLE = ["hvm 4.6", "hvm 4.13", "hvm 4.17", "hvm 4.21"]
"""What needs nothing but a conversion."""

judge = Judge([TARGET], name_needs=False)


@pytest.mark.parametrize("name", SMALL)
def test_a_result_is_not_refused(name, tmp_path):
    out = tmp_path / "out"
    settings = Settings(TARGET, repair=True, allow_loss=True)
    with suppress(XensaveError):
        convert(BUILT[name], str(out), settings)
    if not out.exists():
        assert name not in WHOLE
        return
    with open_image(str(out)) as image:
        verdict = judge.judge(JudgedInput("case", None, None, image), TARGET)
    # A receiver of checkpoints takes what xl restore does not.
    assert not isinstance(verdict, Refused) or verdict.rule == CHECKPOINTED.id
