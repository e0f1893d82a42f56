"""What a release answers to a context or an image: one of three values, each with its fields."""

from enum import StrEnum
from typing import NamedTuple, TypeAlias

from xensave.catalogue.errnos import MaybeErrno
from xensave.catalogue.model import Cite


class Layer(StrEnum):
    """Who reads an image, from the outside in."""

    LIBVIRT = "libvirt"
    XENOPSD = "xenopsd"
    XL = "xl"
    LIBXL = "libxl"
    LIBXC = "libxc"
    XEN = "Xen"


class Taken(NamedTuple):
    """What an answer says that is no refusal.

    `depends` names what the answer hangs on and the input does not say. `loaded` counts the
    records that reached a load handler; `last` names the last. `fixups` are the records that were
    extended or converted. Of a whole image, `assumes` is what the answer takes for granted,
    `warnings` what the guest may miss afterwards.
    """

    depends: tuple[str, ...] = ()
    loaded: int = 0
    last: str | None = None
    fixups: tuple[str, ...] = ()
    assumes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def errno(self) -> MaybeErrno:
        """No errno: ""."""
        return ""


class Accepted(Taken):
    """It restores; `depends` is empty."""

    __slots__ = ()

    @property
    def accepted(self) -> bool | None:
        """True: it restores."""
        return True


class Depends(Taken):
    """It hangs on each of `depends`; it restores if all of them hold."""

    __slots__ = ()

    @property
    def accepted(self) -> bool | None:
        """None: there is no telling."""
        return None


class Refused(NamedTuple):
    """It does not restore: `layer` refuses.

    `rule` is the id of the rule, `reason` it in a sentence with the values found, `cite` where
    Xen has it. `errno` is "" where a tool refuses of its own. `record` ("CPU_XSAVE[0]",
    "libxc HVM_PARAMS"), `typecode`, `instance` and `offset` (in bytes, of its descriptor or
    header) are of the record that was refused; None where no record was at fault. `loaded` counts
    the records of the context that reached a load handler, the refused one among them; `last` is
    the last of those.
    """

    rule: str
    reason: str
    layer: Layer = Layer.XEN
    errno: MaybeErrno = ""
    record: str | None = None
    typecode: int | None = None
    instance: int | None = None
    offset: int | None = None
    loaded: int = 0
    last: str | None = None
    cite: Cite | None = None

    @property
    def accepted(self) -> bool | None:
        """False: it is refused."""
        return False


Verdict: TypeAlias = Accepted | Depends | Refused
"""Each has `accepted` (True, None or False), `errno`, `loaded` and `last`."""
