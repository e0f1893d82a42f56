"""What xl refuses: the header's flags, and a configuration that it cannot use."""

from __future__ import annotations

from functools import partial

from xensave.catalogue.dates import Dated
from xensave.catalogue.model import Cite
from xensave.container.frames.xl import FLAG_JSON, FLAG_STREAM_V2
from xensave.errors import LimitExceeded
from xensave.toolstack.libxl.config import Reach, Unusable, first_unusable, reach, unknown
from xensave.toolstack.libxl.hardware import VIDEO_KB
from xensave.toolstack.rule import Layer, Restore, RestoreRule, Stage, Undecided

_HEADER = "xl header"
JSON_FLAG = Dated(
    "XL_FLAGS_JSON",
    _HEADER,
    "xl knows the mandatory flag for JSON",
    Cite(
        "create_domain",
        "e6afc7063a",
        "xl: use libxl_retrieve_domain_configuration and JSON format",
        "4.5",
    ),
    ("4.5",),
)
_STREAM_V2 = Dated(
    "XL_FLAGS_STREAM_V2",
    _HEADER,
    "xl knows the mandatory flag for streams of version 2, and libxl looks at the values of a"
    " configuration",
    Cite(
        "create_domain",
        "e72ce244dc",
        "tools/xl: Mandatory flag indicating the format of the migration stream",
        "4.6",
    ),
    ("4.6",),
)
_ANOTHER_PARSER = Dated(
    "XL_CONFIG_PARSER",
    _HEADER,
    "libxl may be built with json-c, which takes more than yajl",
    Cite(
        "libxl__json_parse",
        "7e95dab9eb",
        "libxl: Convert libxl__json_parse() to use json-c",
        "4.21",
    ),
    ("4.21",),
)
_FLAGS = ((FLAG_JSON, JSON_FLAG), (FLAG_STREAM_V2, _STREAM_V2))
DATED = (JSON_FLAG, _STREAM_V2, _ANOTHER_PARSER)

_header_rule = partial(RestoreRule, layer=Layer.XL, stage=Stage.HEADER, record=_HEADER)
"""A rule on what stands before the stream; of xl's own, unless the row has another layer."""


@partial(
    _header_rule,
    id="XL_FLAGS",
    says="mandatory flags are known",
    cite=Cite("create_domain"),
    breaks=("XL_MANDATORY_FLAGS_KNOWN",),
)
def flags(restore: Restore) -> str | None:
    """Refuses flags that must be understood and are not."""
    header = restore.facts.xl
    if header is None:
        return None
    known = sum(flag for flag, row in _FLAGS if row.holds(restore.target.version))
    rest = header.mandatory_flags & ~known
    if rest:
        return f"xl of Xen {restore.target.name} does not know mandatory flags {rest:#x}"
    return None


@partial(
    _header_rule,
    id="XL_CONFIG_ABSENT",
    says="the file holds a configuration",
    cite=Cite("create_domain"),
    breaks=("XL_CONFIG_PRESENT", "XL_CONFIG_BOUNDED"),
)
def configured(restore: Restore) -> str | None:
    """Refuses a file without a configuration."""
    facts = restore.facts
    if facts.xl is not None and not facts.config.text and facts.config.wrong is None:
        return "there is no configuration in the file, and none is given"
    return None


@partial(
    _header_rule,
    id="XL_CONFIG_UNREADABLE",
    layer=Layer.LIBXL,
    says="a configuration flagged as JSON is a JSON object",
    cite=Cite("libxl_domain_config_from_json"),
    since=("4.5",),
    breaks=("XL_CONFIG_JSON", "XL_CONFIG_PRESENT"),
    asked=lambda restore: _has_json(restore) and bool(restore.config.text),
)
def readable(restore: Restore) -> str | None:
    """Refuses JSON that cannot be read: xl goes on without a type then."""
    wrong = restore.config.wrong
    if isinstance(wrong, LimitExceeded):
        raise Undecided(f"what libxl makes of the configuration: {wrong.message}")
    if wrong is not None and _ANOTHER_PARSER.holds(restore.target.version):
        raise Undecided(f"what libxl's parser, json-c or yajl, makes of it: {wrong.message}")
    if wrong is not None:
        return wrong.message
    return None if restore.config.values else "the configuration is no JSON object with members"


@partial(
    _header_rule,
    id="XL_CONFIG_TRAILING",
    layer=Layer.LIBXL,
    says="nothing follows the JSON of a configuration",
    cite=Cite(
        "libxl__json_parse",
        "544c15c827",
        "libxl_json: Enable yajl_allow_trailing_garbage",
        "4.12",
    ),
    since=("4.5",),
    until=("4.12",),
    asked=lambda restore: _has_json(restore) and bool(restore.config.rest),
)
def alone(restore: Restore) -> str | None:
    """Leaves text behind the configuration's JSON to libxl's build: yajl 1 passes over it."""
    text = restore.config.rest[:32]
    raise Undecided(
        f"whether libxl is built with yajl 2, which refuses it: {text!r} follows the JSON"
    )


@partial(
    _header_rule,
    id="XL_CONFIG_VALUES",
    layer=Layer.LIBXL,
    says="the values of a configuration are ones that libxl knows",
    cite=Cite("libxl_domain_config_from_json"),
    since=_STREAM_V2.since,
)
def usable(restore: Restore) -> str | None:
    """Refuses a configuration that libxl gives up before it knows what domain to make.

    Without its video card an HVM domain gets one that takes 8 MiB.
    """
    wrong = _given_up(restore)
    if wrong is None:
        return None
    reached = reach(wrong.path)
    if reached is Reach.NO_TYPE:
        return str(wrong)
    if reached is Reach.NO_VIDEO:
        size = restore.config.get("b_info", "video_memkb")
        if isinstance(size, int) and size < VIDEO_KB["cirrus"]:
            return str(wrong)
        raise Undecided(f"what becomes of a domain whose configuration ends at {wrong}")
    return None


def given_up(restore: Restore) -> str:
    """Says what libxl loses of a configuration that it gives up in the middle, "" for nothing."""
    wrong = _given_up(restore)
    return f"libxl loses what its configuration says from {wrong.path} on: {wrong}" if wrong else ""


def passed_over(restore: Restore) -> str:
    """Says which members of a configuration the release's libxl does not know, "" for none."""
    if not _is_checked(restore):
        return ""
    names = list(unknown(restore.config.values, restore.target.name))
    return f"libxl of Xen {restore.target.name} passes over {', '.join(names)}" if names else ""


def _given_up(restore: Restore) -> Unusable | None:
    if not _is_checked(restore):
        return None
    return first_unusable(restore.config.values, restore.target.name)


def _is_checked(restore: Restore) -> bool:
    """Whether libxl looks at the values of the configuration."""
    return _has_json(restore) and _STREAM_V2.holds(restore.target.version)


def _has_json(restore: Restore) -> bool:
    """Whether xl's header says that a configuration of JSON follows."""
    return restore.facts.xl is not None and restore.facts.xl.json


@partial(
    RestoreRule,
    id="XL_LEGACY_STREAM",
    layer=Layer.LIBXL,
    stage=Stage.STREAM,
    record="xl header",
    says="without the flag for it no stream of version 2 follows",
    cite=Cite("libxl__convert_legacy_stream"),
    since=("4.6",),
    breaks=("XL_STREAM_V2_SET",),
)
def legacy(restore: Restore) -> str | None:
    """Refuses a stream of version 2 behind a header that says legacy: the converter fails."""
    facts = restore.facts
    announced = facts.legacy or facts.xl is None or facts.xl.stream_v2
    if not announced and facts.libxc is not None:
        return "the flag for streams of version 2 is clear: what follows is taken for a legacy one"
    return None


@partial(
    _header_rule,
    id="XL_CONFIG_OWN_SYNTAX",
    says="a configuration in xl's own syntax is parsed anew",
    cite=Cite("parse_config_data"),
    breaks=("XL_CONFIG_FLAGGED",),
)
def own_syntax(restore: Restore) -> str | None:
    """Leaves a configuration in xl's own syntax to xl."""
    text = restore.config.text
    if restore.facts.xl is None or _has_json(restore) or not text:
        return None
    if text.lstrip().startswith("{"):
        return "the configuration is JSON, and the flag that says so is clear"
    raise Undecided("what xl makes of a configuration in its own syntax")


RULES: tuple[RestoreRule, ...] = (flags, configured, readable, alone, usable, own_syntax, legacy)
