"""The table of a fleet: its columns, what each means, and how they lie in a Parquet file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow

VERSION = 1
"""The version of the table; a column is added without a new one, never changed or taken out."""

VERSION_KEY = b"xensave.fleet.version"
SETTINGS_KEY = b"xensave.fleet.settings"


class TableColumn(NamedTuple):
    """A column: its name, its type in Arrow's words, and what it says."""

    name: str
    type: str
    text: str


COLUMNS = (
    TableColumn(
        "address",
        "string",
        "The path or address of the image; of a path that is no Unicode a `file://` address.",
    ),
    TableColumn("size", "int64", "Its bytes, as the file system or store counts them."),
    TableColumn("mtime", "double", "When it was changed, in seconds since 1970."),
    TableColumn("etag", "string", "The store's entity tag; null for files."),
    TableColumn(
        "containers", "list<string>", "The layers from the outside in: xl, libxl v2, libxc v3."
    ),
    TableColumn("complete", "bool", "Whether the stream could be followed to its end."),
    TableColumn(
        "read", "string", "How it was read: walk (every record) or glance (head and tail)."
    ),
    TableColumn("unread", "int64", "The bytes of page records that a glance did not look at."),
    TableColumn("guest", "string", "The guest's name."),
    TableColumn("uuid", "string", "The guest's UUID."),
    TableColumn("type", "string", "The guest's type: pv, pvh or hvm."),
    TableColumn("vcpus", "int32", "The vCPUs that were saved."),
    TableColumn("memory", "int64", "The guest's memory in bytes, as configured."),
    TableColumn("xen", "string", "The version of the Xen that saved it."),
    TableColumn("toolstack", "string", "Who wrote the outermost layer: xl, libxl, libxc, ..."),
    TableColumn("stream", "int32", "The version of the libxc stream."),
    TableColumn("records", "list<record>", "Records by layer and type: how many, how many bytes."),
    TableColumn(
        "features", "list<string>", "The features that the guest's CPU policy has, by name."
    ),
    TableColumn("max_leaf", "int64", "The policy's highest basic CPUID leaf."),
    TableColumn("max_subleaf", "int64", "The highest subleaf of leaf 7."),
    TableColumn("max_extended", "int64", "The highest extended leaf."),
    TableColumn("msrs", "list<msr>", "The MSRs of the CPU policy."),
    TableColumn("tsc_mode", "int64", "The mode of X86_TSC_INFO."),
    TableColumn("viridian", "uint64", "The bits of the param VIRIDIAN."),
    TableColumn("emulator", "string", "The device model."),
    TableColumn("emulator_version", "int64", "The version of QEMU's stream."),
    TableColumn("findings", "list<finding>", "The rules of the formats that it breaks."),
    TableColumn("verdicts", "list<verdict>", "What each target makes of it."),
    TableColumn("error", "string", "Why it could not be read; null where it could."),
    TableColumn("scanned", "double", "When it was looked at, in seconds since 1970."),
    TableColumn("version", "string", "The version of xensave that looked."),
)

STRUCTS = {
    "record": ("layer:string", "type:int64", "name:string", "records:int64", "bytes:int64"),
    "msr": ("index:int64", "value:uint64"),
    "finding": ("rule:string", "severity:string", "record:string", "offset:int64",
                "message:string"),
    "verdict": ("target:string", "accepted:bool", "layer:string", "record:string", "errno:string",
                "rule:string", "why:string", "depends:list<string>", "convertible:bool",
                "losses:list<string>"),
}  # fmt: skip

Row = dict[str, object]
"""A row: each column's name to its value; lists of structs are lists of dicts."""


def text_of(text: str) -> str:
    r"""Returns a text as the table can hold it: what is no Unicode is escaped.

    A file's name may be any bytes, and a guest's name in JSON half a surrogate pair.

    >>> print(text_of("images/a\udcff.img"), text_of("\ud800"))
    images/a\xff.img \ud800
    """
    if text.isascii():
        return text
    data = text.encode("utf-8", "surrogateescape" if _is_bytes(text) else "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


def _is_bytes(text: str) -> bool:
    return not any("\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" for c in text)


def schema(settings: str = "") -> pyarrow.Schema:
    """Returns the table's schema; `settings` is what the scan was asked, for a later run."""
    import pyarrow as pa

    fields = [pa.field(column.name, _type(column.type)) for column in COLUMNS]
    return pa.schema(fields, {VERSION_KEY: str(VERSION).encode(), SETTINGS_KEY: settings.encode()})


def _type(word: str) -> pyarrow.DataType:
    import pyarrow as pa

    if word.startswith("list<"):
        return pa.list_(_type(word[5:-1]))
    if word in STRUCTS:
        pairs = (field.split(":", 1) for field in STRUCTS[word])
        return pa.struct([(name, _type(kind)) for name, kind in pairs])
    simple: pyarrow.DataType = {
        "string": pa.string(),
        "bool": pa.bool_(),
        "double": pa.float64(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "uint64": pa.uint64(),
    }[word]
    return simple
