"""What a frame says of its guest: the configuration, and what else is worth showing."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from xensave.errors import XensaveError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_FLAGS = (("True", True), ("False", False))


class Config(NamedTuple):
    """The configuration: its text as it was saved (libxl's JSON, or xl's own syntax), and parsed.

    `values` is {} where the text is no JSON object; `wrong` says why, if it should have been one.
    `rest` is what follows the object, without blanks.
    """

    text: str = ""
    values: Mapping[str, Json] = MappingProxyType({})
    wrong: XensaveError | None = None
    rest: str = ""

    def checked(self) -> "Config":
        """Returns it. Raises what is wrong with it."""
        if self.wrong is not None:
            raise self.wrong
        return self

    def get(self, *path: str) -> object:
        """Returns a value by its path, None where there is none.

        >>> Config("", {"c_info": {"type": "pvh"}}).get("c_info", "type")
        'pvh'
        """
        first, *rest = path
        place: object = self.values.get(first)
        for key in rest:
            if not isinstance(place, dict):
                return None
            place = place.get(key)
        return place

    def integer(self, *path: str) -> int | None:
        """Returns a value that is an integer; None for any other, which libxl takes for none.

        >>> Config("", {"b_info": {"max_vcpus": "2"}}).integer("b_info", "max_vcpus") is None
        True
        """
        value = self.get(*path)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def structs(self, *path: str) -> Iterator[Mapping[str, object]]:
        """Yields the members of each element of a list; what is no object counts as without any.

        >>> list(Config("", {"vkbs": [{"devid": 0}, 1]}).structs("vkbs"))
        [{'devid': 0}, {}]
        """
        value = self.get(*path)
        for each in value if isinstance(value, list) else ():
            yield each if isinstance(each, Mapping) else {}

    def choice(self, *path: str) -> object:
        """Returns a value that is a name of an enumeration, in small letters: libxl takes any.

        >>> Config("", {"c_info": {"type": "PVH"}}).choice("c_info", "type")
        'pvh'
        """
        value = self.get(*path)
        return value.lower() if isinstance(value, str) else value

    def flag(self, *path: str) -> bool | None:
        """Returns a boolean of libxl's, which is text that begins so; None for the default.

        >>> Config("", {"c_info": {"hap": "False"}}).flag("c_info", "hap")
        False
        """
        value = self.get(*path)
        if not isinstance(value, str):
            return None
        return next((flag for text, flag in _FLAGS if value.startswith(text)), None)


class GuestDescription(NamedTuple):
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
