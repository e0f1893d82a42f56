"""A device model's records as JSON, and back: xenstore keys, and QEMU's sections."""

from __future__ import annotations

from xensave.container.streams import qemu
from xensave.container.streams.libxl import (
    EMULATOR_HEADER_SIZE,
    EmulatorHeader,
    pack_xenstore,
    parse_xenstore,
)
from xensave.edit.document.members import Json, Members, as_list
from xensave.errors import Malformed, Unsupported

_FULL = 4
_PAIR = [str, str]


def xenstore_json(body: bytes) -> dict[str, Json]:
    """Returns EMULATOR_XENSTORE_DATA as members. Raises Malformed where it is damaged."""
    header = EmulatorHeader.parse(body)
    pairs = parse_xenstore(body[EMULATOR_HEADER_SIZE:])
    return {**header._asdict(), "xenstore": [[key, value] for key, value in pairs]}


def xenstore_bytes(source: Members) -> bytes:
    """Returns the record's body again.

    Raises Malformed for members that are no keys with values.
    """
    pairs = []
    for index, item in enumerate(as_list(source.get("xenstore"), source.place)):
        if not isinstance(item, list) or [*map(type, item)] != _PAIR:
            place = f"{source.place}.xenstore[{index}]"
            raise Malformed("a key and a value are due here", path=place)
        pairs.append((item[0], item[1]))
    return _header(source).to_bytes() + pack_xenstore(pairs)


def state_json(body: bytes) -> dict[str, Json]:
    """Returns EMULATOR_CONTEXT as members. Raises Unsupported for a state that is not QEMU's."""
    header = EmulatorHeader.parse(body)
    state = body[EMULATOR_HEADER_SIZE:]
    result = qemu.sections(state) if qemu.is_qemu(state) else ()
    if not result:
        raise Unsupported("the state is not QEMU's")
    end = result[-1].offset + result[-1].length
    return {
        **header._asdict(),
        "before": state[: result[0].offset].hex(),
        "sections": [_section_json(state, section) for section in result],
        "after": state[end:].hex(),
    }


def state_bytes(source: Members) -> bytes:
    """Returns the record's body again."""
    header = _header(source).to_bytes()
    sections = b"".join(map(_section_bytes, source.objects("sections")))
    return header + source.octets("before") + sections + source.octets("after")


def _header(source: Members) -> EmulatorHeader:
    words = [source.number(name) for name in EmulatorHeader._fields]
    if not all(0 <= word < 1 << 32 for word in words):
        raise Malformed("an id or index beyond 32 bits", path=source.place)
    return EmulatorHeader(*words)


def _section_json(state: bytes, section: qemu.QemuSection) -> Json:
    start = section.offset + len(section.header)
    result: dict[str, Json] = {
        "name": section.name,
        "instance": section.instance,
        "version": section.version,
        "id": section.id,
        "data": state[start : section.offset + section.length].hex(),
    }
    if state[section.offset] != _FULL:
        result["kind"] = state[section.offset]
    return result


def _section_bytes(source: Members) -> bytes:
    section = qemu.QemuSection(
        name=source.text("name"),
        instance=source.number("instance"),
        version=source.number("version"),
        id=source.number("id"),
        offset=0,
        length=0,
    )
    try:
        header = section.header
        kind = bytes([source.number("kind", _FULL)])
    except (ValueError, OverflowError) as error:
        raise Malformed(f"no header of a section: {error}", path=source.place) from error
    return kind + header[1:] + source.octets("data")
