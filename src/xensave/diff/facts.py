"""What an image says of the guest beside its state: who saved it, and its configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator

from xensave.container.description import Json
from xensave.container.streams.qemu import QemuSection
from xensave.diff.change import FieldDifference, changes_of, paired
from xensave.image import Image
from xensave.image.facts.emulator import Emulator
from xensave.records.meaning.leaves import Leaf


def fact_changes(old: Image, new: Image) -> Iterator[FieldDifference]:
    """Yields the differences of headers and configuration."""
    yield from changes_of("image", _headers(old), _headers(new))
    yield from changes_of("config", _config(old), _config(new))


def emulator_changes(old: Image, new: Image) -> Iterator[FieldDifference]:
    """Yields the differences of device models: xenstore keys, and QEMU's sections."""
    for label, a, b in paired(_emulators(old), _emulators(new)):
        if a is None or b is None:
            leaf = Leaf(label, (a or b or old.emulators[0]).format)
            yield FieldDifference(f"emulator {label}", "", leaf if a else None, leaf if b else None)
            continue
        yield from changes_of(f"emulator {label}", _emulator(a), _emulator(b))
        yield from changes_of("xenstore", _xenstore(a), _xenstore(b))
        yield from _section_changes(a, b)


def _headers(image: Image) -> dict[str, Leaf]:
    texts = {
        "containers": " > ".join(image.containers),
        "xen": image.xen or "not named",
        "type": image.type,
    }
    return {path: Leaf(text, text) for path, text in texts.items()}


def _config(image: Image) -> dict[str, Leaf]:
    config = image.config
    if not config and image.config_text:
        return {"text": Leaf(image.config_text, image.config_text)}
    return dict(config_leaves(dict(config)))


def config_leaves(value: Json, path: str = "") -> Iterator[tuple[str, Leaf]]:
    """Yields the keys of a configuration by their paths ("b_info.max_vcpus")."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from config_leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from config_leaves(item, f"{path}[{index}]")
    elif path:
        text = json.dumps(value)
        yield path, Leaf(text, text)


def _emulators(image: Image) -> dict[str, Emulator]:
    return {f"{emulator.kind} {emulator.instance}": emulator for emulator in image.emulators}


def _emulator(emulator: Emulator) -> dict[str, Leaf]:
    result = {"format": Leaf(emulator.format, emulator.format)}
    if emulator.version is not None:
        result["version"] = Leaf(emulator.version, str(emulator.version))
    if not emulator.sections:
        result["state"] = Leaf(emulator.state, f"{emulator.length} bytes")
    return result


def _xenstore(emulator: Emulator) -> dict[str, Leaf]:
    return {key: Leaf(value, value) for key, value in emulator.xenstore}


def _section_changes(a: Emulator, b: Emulator) -> Iterator[FieldDifference]:
    before = {section.label: section for section in a.sections}
    after = {section.label: section for section in b.sections}
    for label, old, new in paired(before, after):
        record = f"QEMU {label}"
        if old is None or new is None:
            yield FieldDifference(
                record,
                "",
                Leaf(label, f"version {old.version}") if old else None,
                Leaf(label, f"version {new.version}") if new else None,
            )
            continue
        yield from changes_of(record, _section(a, old), _section(b, new))


def _section(emulator: Emulator, section: QemuSection) -> dict[str, Leaf]:
    state = emulator.state[section.offset : section.offset + section.length]
    leaves = {
        "version": Leaf(section.version, str(section.version)),
        "state": Leaf(state, f"{len(state)} bytes"),
    }
    for sub in section.subsections:
        leaves[f"subsection {sub.name}"] = Leaf(sub.version, f"version {sub.version}")
    return leaves
