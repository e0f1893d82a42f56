"""What a frame says of its guest: the configuration, and what else is worth showing."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from xensave.errors import XensaveError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class Description(NamedTuple):
    """What stands before a stream, read.

    `config` has the shape of libxl's JSON, whatever it was read from: {"c_info": {"name": ...}}.
    `text` is the source of it where that is text. `details` are labels and texts for `show`.
    `wrong` says why it could not be read.
    """

    config: Mapping[str, Json] = MappingProxyType({})
    text: str = ""
    details: tuple[tuple[str, str], ...] = ()
    wrong: XensaveError | None = None


def configuration(
    name: str, uuid: str, type_: str | None, *, memkb: int | None, vcpus: int | None
) -> dict[str, Json]:
    """Returns what a frame says of its guest in the shape of libxl's JSON; None is left out."""
    c_info: dict[str, Json] = {"name": name, "uuid": uuid, "type": type_}
    b_info: dict[str, Json] = {"max_memkb": memkb, "max_vcpus": vcpus}
    return {
        "c_info": {key: value for key, value in c_info.items() if value is not None},
        "b_info": {key: value for key, value in b_info.items() if value is not None},
    }
