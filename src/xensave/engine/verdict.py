"""What a hypervisor says to a context: a value, with the record, the errno and the reason."""

from __future__ import annotations

from typing import NamedTuple

from xensave.catalogue.model import Cite


class Verdict(NamedTuple):
    """The answer of XEN_DOMCTL_sethvmcontext, and why.

    `accepted` is None where it depends on what the input does not say: `depends` names each such
    thing. `errno` is "" unless refused. `record` ("CPU_XSAVE[0]"), `typecode`, `instance` and
    `offset` (in bytes, of its descriptor) are of the record that was refused; None where no
    record was at fault. `loaded` counts the records that reached a load handler, the refused one
    among them; `last` is the last of those. `rule` is the id of the rule that refused, `reason`
    it in a sentence with the values found, `cite` where Xen has it. `fixups` are the records that
    were extended or converted, `assumes` what the verdict on a whole image takes for granted.
    """

    accepted: bool | None
    errno: str = ""
    record: str | None = None
    typecode: int | None = None
    instance: int | None = None
    offset: int | None = None
    loaded: int = 0
    last: str | None = None
    rule: str = ""
    reason: str = ""
    cite: Cite | None = None
    depends: tuple[str, ...] = ()
    fixups: tuple[str, ...] = ()
    assumes: tuple[str, ...] = ()
