"""Seeds that are no images and no plain text of others: tables, binaries, archives, headers."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from fuzz.corpus import EXAMPLES, TESTS, seeds
from xensave import catalogue

SETTINGS = "{}"
SCANNED = ("xl", "libxc2", "pv", "hvm1.ctx", "xenopsd", "amazon.ctx")
RULES = """schema = 1
[[record]]
from = 22
to = "VMCE_VCPU"
layout = "caps:u64 note:u32 pad:u32"
fields = { mci_ctl2_bank0 = "caps" }
set = { mcg_ext_ctl = 5 }
ignore = ["note"]
reason = "our first vMCE record"
[[record]]
from = "libxc:0x77"
action = "drop"
"""
WAIVERS = """used = ["22-34"]
registries = ["vendor.toml"]
[[waive]]
rule = "RESERVATION_FOLLOWS_UPSTREAM_UNLESS_DEPLOYED"
record = "Amazon"
severity = "note"
reason = "deployed"
"""
HEADER = """#define DECLARE_HVM_SAVE_TYPE(_x, _code, _type) \\
    struct __HVM_SAVE_TYPE_##_x { _type t; char c[_code]; char cpt[1]; }
struct hvm_save_header { uint32_t magic, version; uint64_t changeset; };
DECLARE_HVM_SAVE_TYPE(HEADER, 1, struct hvm_save_header);
struct hvm_meter {
    uint64_t count[2];
#ifdef __XEN__
    uint32_t left : 4, right : 28;
#endif
    union { uint32_t word; uint8_t bytes[4]; } u;
};
DECLARE_HVM_SAVE_TYPE(METER, 21, struct hvm_meter);
/* Numbers 22 - 34 are reserved for Amazon. */
#define HVM_SAVE_CODE_MAX 34
#define HVM_PARAM_METER 39
#define EVTCHNOP_close 3
#define EVTCHNOP_send (EVTCHNOP_close + 1)
"""
SOURCE = """static int cf_check meter_save(struct vcpu *v, hvm_domain_context_t *h)
{ return hvm_save_entry(METER, v->vcpu_id, h, &v->meter); }
static int cf_check meter_load(struct domain *d, hvm_domain_context_t *h)
{ if ( hvm_load_entry_zeroextend(METER, h, &meter) ) return -EINVAL; return 0; }
HVM_REGISTER_SAVE_RESTORE(METER, meter_save, NULL, meter_load, 1, HVMSR_PER_VCPU);
static struct { hvm_save_handler save; hvm_load_handler load; const char *name; size_t size; }
hvm_sr_handlers[HVM_SAVE_CODE_MAX + 1];
"""
SERVERS = (
    """206
Content-Range: bytes 0-0/4
ETag: "a"
Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT

0123""",
    """200
Content-Length: 4
Content-Type: text/html

<a href="a.img">a</a> <a href="/guests/b.img">b</a> <a href="more/">more</a>""",
    "416\nContent-Range: bytes */0\n\n",
    "404\n\n",
)


def tables() -> dict[str, bytes]:
    """Return tables of a fleet: whole ones, and one of a single row."""
    import pyarrow.parquet as pq

    from xensave.fleet.parts import table_of
    from xensave.fleet.row import rows_of
    from xensave.fleet.scan import Question
    from xensave.fleet.schema import schema
    from xensave.source.remote.addresses import StoreObject

    question = Question(("4.13", "4.17"))
    rows = []
    with TemporaryDirectory() as folder:
        for name in SCANNED:
            path = Path(folder) / name
            path.write_bytes(seeds()[name])
            (row,) = rows_of([StoreObject(str(path), len(seeds()[name]), 0.0)], question)
            # Of a run's own there is nothing in it.
            rows.append(row | {"address": f"guests/{name}", "scanned": 0.0})
    form = schema(SETTINGS)
    made = {}
    for name, chosen, compression in (
        ("all", rows, "zstd"), ("plain", rows, "none"), ("one", rows[:1], "none"),
        ("none", [], "none"),
    ):  # fmt: skip
        out = io.BytesIO()
        pq.write_table(table_of(chosen, form), out, compression=compression)
        made[name] = out.getvalue()
    return made


def archives() -> dict[str, bytes]:
    """Return tars of an image, contexts, a compressed one and what is none of these."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("xl", "amazon.ctx", "xl.gz", "libxc2"):
            info = tarfile.TarInfo(name)
            info.size = len(seeds()[name])
            tar.addfile(info, io.BytesIO(seeds()[name]))
        tar.addfile(tarfile.TarInfo("empty.ctx"))
    plain = out.getvalue()
    return {"tar": plain, "tar.zst": zstandard.compress(plain), "ctx": seeds()["hvm1.ctx"]}


def binary(name: str) -> bytes:
    """Return a small ELF file of tests/data/binaries."""
    packed = (TESTS / "binaries" / f"{name}.elf.zst").read_bytes()
    return zstandard.ZstdDecompressor().decompress(packed, 1 << 20)


def registries() -> Iterator[tuple[str, bytes]]:
    """Yield the shipped registries and the examples."""
    shipped = Path(catalogue.__file__).parent / "registries"
    for path in sorted([*shipped.glob("*.toml"), *(EXAMPLES / "registries").glob("*.toml")]):
        yield path.name, path.read_bytes()


def vmcoreinfo() -> bytes:
    """Return what the kernel of a seed keeps in its memory."""
    from xensave import open as open_image
    from xensave.dump.vmcoreinfo import find_vmcoreinfo

    with open_image(seeds()["kernel"]) as image:
        return find_vmcoreinfo(image.memory) or b""


FILES = {
    "archive": archives,
    "table": tables,
    "server": lambda: {str(n): text.encode() for n, text in enumerate(SERVERS)},
    "vmcoreinfo": lambda: {"kernel": vmcoreinfo()},
    "vmlinux": lambda: {"vmlinux": binary("vmlinux")},
    "hypervisor": lambda: {"xen-syms": binary("xen-syms")},
    "rules": lambda: {"rules": RULES.encode()},
    "registry": lambda: dict(registries()),
    "waivers": lambda: {"waivers": WAIVERS.encode()},
    "headers": lambda: {"header": HEADER.encode(), "source": SOURCE.encode()},
}
"""What makes the seeds of each kind."""
