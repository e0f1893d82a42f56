"""What a conversion writes, `check` does not refuse: of every image that the builders make."""

import os
from contextlib import suppress
from threading import Thread

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


@pytest.mark.parametrize("target, missing", [("4.14", True), ("4.17", False)])
@pytest.mark.parametrize("as_pipe", [False, True])
def test_a_plan_says_what_the_guest_may_rely_on(target, missing, as_pipe, tmp_path):
    data = BUILT["hvm 4.17"]
    if as_pipe:
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb") as end:
            Thread(target=lambda: (end.write(data), end.close())).start()
            plan = convert(reading, str(tmp_path / "out"), Settings(target, allow_loss=True))
    else:
        plan = convert(data, str(tmp_path / "out"), Settings(target, allow_loss=True))
    # Xen commit e2d2b9fd7a, 4.17: the guest is told of upcalls by a vector of each vCPU.
    assert any("upcalls by a vector" in text for text in plan.warnings) is missing
