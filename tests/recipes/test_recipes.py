"""Each recipe of CONTRIBUTING.md, followed: a toy is added to a copy of the package, and works."""

import inspect
import json
from pathlib import Path

import pytest

from tests.container import test_formats as formats
from tests.recipes.package_copy import PackageCopy
from xensave import catalogue
from xensave.container.streams import libxc
from xensave.engine.loop.rule import HandlerRule
from xensave.rules.numbers.model import NumberRule
from xensave.rules.stream.model import StreamRule
from xensave.testing.streams import hvm_image, hvm_tail, libxc_stream, memory
from xensave.toolstack.releases.typical import typical_context

HANDLER_RULE, STREAM_RULE, NUMBER_RULE = (
    kind.__name__ for kind in (HandlerRule, StreamRule, NumberRule)
)
NEW = "9.9"
NEWEST = catalogue.release_names()[-2]
DATA = "catalogue/data"
RELEASE, SAVE_RECORD = "A release of Xen", "A save record, or a field of one"
STREAM_RECORD, MEANING, RULE = "A record of a stream", "A meaning", "A rule"
TYPECODE, STREAM_TYPE = 20000, 0x7F000013
CITE = {"commit": "0123456789", "subject": "x86/hvm: save the clock of a vCPU", "release": NEW}


@pytest.fixture
def package(released):
    """The copy, of which nothing is touched yet."""
    released.touched.clear()
    return released


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A copy with a release more: its record VCPU_CLOCK, a longer RTC, a record of libxc's."""
    copy = PackageCopy(tmp_path_factory.mktemp("package"))
    release = copy.read_json(f"{DATA}/releases/{NEWEST}.json")
    release |= {"name": NEW, "ref": f"RELEASE-{NEW}.0", "code_max": TYPECODE, "variants": []}
    clock = {"name": "VCPU_CLOCK", "typecode": TYPECODE, "layout": "VCPU_CLOCK.1", "size": 16}
    clock |= {"kind": "vcpu", "load": "zeroextend", "handler": "hvm_load_clock"}
    release["bindings"].append(clock)
    rtc = next(binding for binding in release["bindings"] if binding["name"] == "RTC")
    rtc |= {"layout": "RTC.9", "size": 32}
    copy.write_json(f"{DATA}/releases/{NEW}.json", release)
    records = copy.read_json(f"{DATA}/records/RTC.json")
    longer = records["layouts"][-1] | {"id": "RTC.9", "size": 32, "releases": [NEW]}
    longer["introduced"] = CITE
    longer["x86_32"] = {"size": 32, "align": 4}
    longer["fields"] = [*longer["fields"], field("nsec", 24, 8)]
    records["layouts"].append(longer)
    copy.write_json(f"{DATA}/records/RTC.json", records)
    layout = longer | {"id": "VCPU_CLOCK.1", "struct": "hvm_vcpu_clock", "size": 16}
    layout["fields"] = [field("flags", 0, 8), field("shift", 8, 4), field("_pad", 12, 4)]
    layout["x86_32"] = {"size": 16, "align": 4}
    copy.write_json(
        f"{DATA}/records/VCPU_CLOCK.json", records | {"record": "VCPU_CLOCK", "layouts": [layout]}
    )
    space = copy.read_json(f"{DATA}/spaces/libxc-record.json")
    number = {"number": STREAM_TYPE, "name": "GUEST_CLOCK", "macro": "REC_TYPE_GUEST_CLOCK"}
    space["numbers"].append(number | {"first": NEW, "last": "master"})
    copy.write_json(f"{DATA}/spaces/libxc-record.json", space)
    for name in catalogue.space_names():
        space = copy.read_json(f"{DATA}/spaces/{name}.json")
        space["limits"] += [[NEW, limit] for at, limit in space["limits"] if at == NEWEST]
        copy.write_json(f"{DATA}/spaces/{name}.json", space)
    index = copy.read_json(f"{DATA}/index.json")
    index["releases"].insert(-1, NEW)
    index["records"]["RTC"]["layouts"].append(["RTC.9", 32, False])
    index["records"]["VCPU_CLOCK"] = {"typecode": TYPECODE, "first": NEW, "last": NEW,
        "layouts": [["VCPU_CLOCK.1", 16, False]]}  # fmt: skip
    copy.write_json(f"{DATA}/index.json", index)
    points = copy.read_json(f"{DATA}/points.json")
    points["points"][NEW] = [f"{NEW}.0"]
    copy.write_json(f"{DATA}/points.json", points)
    assert copy.unnamed(RELEASE) == []
    return copy


END_SIZE, CLOCK_SIZE = 8, 8 + 8 + 16
"""Descriptors with their bodies: END's, and those of the clock and END."""


def field(name, offset, size):
    return {"name": name, "type": f"uint{size * 8}_t", "offset": offset, "size": size}


def typical(package, release, path):
    """Write the context of a guest that runs on a release of the copy."""
    text = (
        "import sys, pathlib; from xensave.toolstack.releases.typical import typical_context as t;"
        "pathlib.Path(sys.argv[2]).write_bytes(t(sys.argv[1]))"
    )
    package.python(text, release, path)
    return str(path)


def test_a_field_more_is_data_alone(package, tmp_path):
    older = tmp_path / "older"
    older.write_bytes(typical_context(NEWEST))
    newer = typical(package, NEW, tmp_path / "newer")
    assert "restores" in package.call("check", older, "-t", NEW)
    assert "RTC from 24 to 32 bytes" in package.call("check", older, "-t", NEW, "--json")
    data = Path(newer).read_bytes()
    Path(newer).write_bytes(data[:-CLOCK_SIZE] + data[-END_SIZE:])
    out = package.call("check", newer, "-t", NEWEST, status=1)
    assert "RTC[0], offset 0xa90: EINVAL: its length is 32, expected at most 24" in out
    assert "RTC.9 of 32 bytes to RTC.2 of 24" in package.call(
        "convert", newer, "--from", NEW, "--target", NEWEST, "--dry-run"
    )
    assert "nsec" in package.call("show", newer, "--release", NEW, "--record", "RTC")


def test_a_save_record(package, tmp_path):
    context = typical(package, NEW, tmp_path / "context")
    assert "VCPU_CLOCK[0]: what its handler requires" in package.call(
        "check", context, "-t", NEW, status=1
    )
    home = "engine/handlers/vcpu.py"
    package.add(home, before='    Spec("TSC_ADJUST", VCPU)', text='    Spec("VCPU_CLOCK", VCPU),\n')
    package.add(home, before="RULES = (", text=CLOCK_SHIFT)
    package.add(home, before=f'    {HANDLER_RULE}(\n        id="MTRR_COUNT"', text=CLOCK_SHIFT_ROW)
    package.add("records/meaning/bits.py", before="MCG_EXT_CTL =",
        text='CLOCK_FLAGS = register("stable:0 paused:1")\n')  # fmt: skip
    package.add("records/meaning/explain.py", before='    "VMCE_VCPU": {',
        text='    "VCPU_CLOCK": {"flags": Flags(bits.CLOCK_FLAGS)},\n')  # fmt: skip
    package.add("toolstack/releases/typical.py", before='    "VMCE_VCPU": {"caps": 2}',
        text='    "VCPU_CLOCK": {"flags": 3},\n')  # fmt: skip
    context = typical(package, NEW, tmp_path / "context")
    assert "restores" in package.call("check", context, "-t", NEW)
    assert "stable paused" in package.call("show", context, "--record", "VCPU_CLOCK")
    package.call("edit", context, tmp_path / "bad", "--set", "VCPU_CLOCK.shift=40", "--force")
    out = package.call("check", tmp_path / "bad", "-t", NEW, status=1)
    assert (
        "EINVAL: a shift is of less than a word: shift is 40 [hvm_load_clock(), 0123456789" in out
    )
    assert package.unnamed(SAVE_RECORD, MEANING, RULE) == []


CLOCK_SHIFT = '''
def clock_shift(body: Body, machine: Machine) -> str | None:
    """Refuses a shift of a whole word."""
    return f"shift is {body['shift']}" if body["shift"] > 31 else None


'''
CLOCK_SHIFT_ROW = f"""    {HANDLER_RULE}(
        id="CLOCK_SHIFT",
        record="VCPU_CLOCK",
        errno="EINVAL",
        sentence="a shift is of less than a word",
        test=clock_shift,
        cite=Cite("hvm_load_clock", *{tuple(CITE.values())}),
        since=("{NEW}",),
    ),
"""


def test_a_record_of_a_stream(package, tmp_path):
    record = STREAM_TYPE.to_bytes(4, "little") + (8).to_bytes(4, "little") + bytes(8)
    image = tmp_path / "stream"
    image.write_bytes(libxc_stream(record + memory(1) + hvm_tail(NEWEST), NEWEST))
    assert "LIBXC_RECORD_MANDATORY_KNOWN" in package.call("verify", image, status=1)
    package.add("container/streams/libxc.py", before="\nRECORDS = {",
        text=f"GUEST_CLOCK = {STREAM_TYPE:#x}\n")  # fmt: skip
    package.add("container/streams/libxc.py", before='    END: "END",',
        text='    GUEST_CLOCK: "GUEST_CLOCK",\n')  # fmt: skip
    package.add("container/streams/libxc_records.py", before='    "X86_TSC_INFO": ',
        text='    "GUEST_CLOCK": ("flags:u64", {}),\n')  # fmt: skip
    assert "valid" in package.call("verify", image)
    assert "flags" in package.call("show", image, "--record", "GUEST_CLOCK")
    assert "does not know libxc records" in package.call("check", image, "-t", NEWEST, status=1)
    assert "does not know libxc records" not in package.call("check", image, "-t", NEW)
    assert package.unnamed(STREAM_RECORD) == []


def test_a_name_of_an_msr(package):
    package.add("records/meaning/cpu/msr.py", before='    0xD90: "BNDCFGS"',
        text='    0xDB9: "TOY_CTL",\n')  # fmt: skip
    name = "from xensave.records.meaning.cpu.msr import msr_name; print(msr_name(0xDB9))"
    assert package.python(name) == "TOY_CTL\n"
    assert package.unnamed(MEANING) == []


def test_a_rule_on_a_stream(package, tmp_path):
    hvm, listing = "rules/stream/formats/hvm.py", "rules/stream/formats/libxc.py"
    rule = f'{STREAM_RULE}("LIBXC_TSC_INFO_TOY", WARNING, "The frequency is even.")'
    package.add(hvm, before=f"TSC_MODE = {STREAM_RULE}(", text=f"TSC_TOY = {rule}\n")
    package.add(hvm, before="    if mode not in TSC_MODES:\n",
        text='    if _khz % 2:\n        yield Fault(TSC_TOY, f"{_khz} kHz")\n')  # fmt: skip
    image = tmp_path / "image"
    image.write_bytes(hvm_image().replace((2300000).to_bytes(4, "little"), b"\1\0\0\0"))
    assert "LIBXC_TSC_INFO_TOY: not in its row" in package.call("verify", image, status=1)
    package.add(listing, before="hvm.TSC_MODE)", text="hvm.TSC_TOY, ")
    assert "warning: 1 kHz [LIBXC_TSC_INFO_TOY]" in package.call("verify", image, status=1)
    assert "The frequency is even." in package.call("verify", "--rules")
    assert package.unnamed(RULE) == []


def test_a_refusal_of_the_toolstack(package, tmp_path):
    home = "toolstack/libxl/devices.py"
    package.add(home, before="RULES: tuple", text=MEMORY_LIMIT)
    package.add(home, before="    usb_controllers,\n", text="    memory_of_toys,\n")
    image = tmp_path / "image"
    image.write_bytes(hvm_image(NEWEST))
    assert "LIBXL_TOY" not in package.call("check", image, "-t", NEWEST)
    out = package.call("check", image, "-t", NEW, status=1)
    assert "1 vCPUs" in out
    assert '"x86/hvm: save the clock of a vCPU"' in out
    assert package.unnamed(RULE) == []


MEMORY_LIMIT = f'''
@config_rule(
    id="LIBXL_TOY",
    stage=Stage.CREATION,
    says="a guest has no vCPU",
    cite=Cite("libxl_toy", *{tuple(CITE.values())}),
    since=("{NEW}",),
)
def memory_of_toys(restore: Restore) -> str | None:
    """Refuses vCPUs."""
    count = restore.config.integer("b_info", "max_vcpus")
    return f"{{count}} vCPUs" if count else None


'''


def test_a_rule_of_review(package):
    package.add("rules/numbers/table.py", before=f'    {NUMBER_RULE}(\n        "RECORD_RENUMBERED"',
        text=ODD_RULE)  # fmt: skip
    home = package.path("rules/numbers/record.py")
    package.write("rules/numbers/record.py", home.read_text() + ODD_CHECK)
    assert "RECORD_MAXIMUM_ODD" in package.call("review", "examples/reserve-v1.mbox", status=1)
    assert package.unnamed(RULE) == []


ODD_RULE = f"""    {NUMBER_RULE}(
        "RECORD_MAXIMUM_ODD",
        NOTE,
        "The maximum is no round number.",
        "Take another one.",
        record.record_maximum_odd,
    ),
"""
ODD_CHECK = '''

def record_maximum_odd(change: Change) -> Iterator[Hit]:
    """The maximum is a round number."""
    headers = change.after.headers
    if headers.code_max and headers.code_max % 10 == 0 and headers.code_max_place:
        yield Hit(headers.code_max_place, "HVM_SAVE_CODE_MAX", f"it is {headers.code_max}", "")
'''


def test_a_registry(package):
    text = (
        'owner = "Toys"\n[[numbers]]\nfirst = 30000\nused = [{ number = 30000, name = "BALL" }]\n'
    )
    package.write("catalogue/registries/toys.toml", text)
    assert "BALL" in package.call("records")
    assert "no clash" in package.call("clash", NEW, "toys")
    assert package.unnamed("A number space") == []


def test_a_number_space(package):
    spaces = package.read_json("headers/data/spaces.json")
    spaces["spaces"].append({"space": "toy", "title": "Toys", "headers": [["toys.h"]],
        "match": r"TOY_(\w+)"})  # fmt: skip
    package.write_json("headers/data/spaces.json", spaces)
    space = package.read_json(f"{DATA}/spaces/vcpu-op.json")
    package.write_json(f"{DATA}/spaces/toy.json", space | {"space": "toy", "title": "Toys"})
    index = package.read_json(f"{DATA}/index.json")
    index["spaces"].append("toy")
    package.write_json(f"{DATA}/index.json", index)
    assert package.call("records", "--space", "toy").startswith(f"Toys, Xen {NEW}")
    assert package.unnamed("A number space", RELEASE) == []


def test_a_container_format(package, tmp_path):
    source = inspect.getsource(formats)
    imports = source[source.index("import gzip") : source.index("\nROOT = ")].splitlines()
    imports = [line for line in imports if not line.startswith(("import pytest", "import gzip"))]
    lines = [line for line in imports if not line.startswith(TOO_HIGH)]
    constants = "NAME, STREAM, MODEL, DISK, LAST = 1, 2, 3, 4, 9\n\n"
    toy = "\n".join(lines) + "\n\n" + constants + inspect.getsource(formats.ToyHeader) + "\n\n"
    package.write(
        "container/frames/toy.py", toy + inspect.getsource(formats.Toy) + "\nTOY = Toy()\n"
    )
    package.add("container/formats.py", before='    "legacy": (',
        text='    "toy": ("frames.toy", "TOY", True),\n')  # fmt: skip
    rules = "\n".join(imports) + "\n\nNAME = 1\nLONG = " + repr_of(formats.LONG) + "\n\n"
    rules += (
        inspect.getsource(formats.short) + '\nCHECKS = (Check("toy", (NAME,), short, (LONG,)),)\n'
    )
    package.write("rules/stream/formats/toy.py", rules)
    image = tmp_path / "toy"
    image.write_bytes(formats.toy_image())
    assert "puzzle" in package.call("show", image)
    assert "valid: toy" in package.call("verify", image, "--input-format", "toy")
    assert "Xen 4.17: restores" in package.call("check", image, "-t", "4.17")
    package.call("convert", image, tmp_path / "new", "--target", "4.19")
    assert package.unnamed("A container format") == []


TOO_HIGH = ("from xensave.cli", "from xensave.image", "from xensave.rules", "from xensave.testing")


def repr_of(rule):
    return f"{STREAM_RULE}({rule.id!r}, {str(rule.severity)!r}, {rule.sentence!r})"


def test_a_command(package):
    package.add("cli/__init__.py", before='        "policy": ',
        text='        "toycount": "how many bytes a file has",\n')  # fmt: skip
    package.write("cli/guest/toycount.py", TOYCOUNT)
    assert package.call("toycount", "examples/pvh1.ctx") == "5232\n"
    assert "how many bytes a file has" in package.call("--help")
    assert "Count the bytes" in package.call("toycount", "--help")
    assert "toycount" in package.call("toycuont", status=2)
    assert package.unnamed("A command") == []


TOYCOUNT = '''"""`xensave toycount`: how many bytes a file has."""

import argparse
import sys
from pathlib import Path

DESCRIPTION = "Count the bytes of a file."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("image", metavar="IMAGE")


def run(args: argparse.Namespace) -> int:
    """Counts, and prints."""
    sys.stdout.write(f"{Path(args.image).stat().st_size}\\n")
    return 0
'''


def test_a_column_of_scan(package, tmp_path):
    pytest.importorskip("pyarrow")
    pytest.importorskip("duckdb")
    package.add("fleet/schema.py", before='    TableColumn("error",',
        text='    TableColumn("layers", "int32", "How many layers it has."),\n')  # fmt: skip
    package.add("fleet/row.py", before='        "complete": facts.stop is None,',
        text='        "layers": len(facts.layers),\n')  # fmt: skip
    package.add("fleet/query.py", before='    ReadyQuestion(\n        "by-reason"', text=QUESTION)
    table = tmp_path / "fleet.parquet"
    package.call("scan", "examples/hvm1.img.zst", "-t", "4.17", "-o", table, "--jobs", "1")
    assert json.loads(package.call("query", table, "--deep", "--json")) == [{"layers": 3}]
    assert package.unnamed("A column of `scan`") == []


QUESTION = """    ReadyQuestion(
        "deep", "images of many layers", "SELECT layers FROM fleet WHERE layers > 2"
    ),
"""


def test_the_toy_release_is_no_release_here():
    """The copy is the only place that was written to."""
    assert NEW not in catalogue.release_names()
    assert STREAM_TYPE not in libxc.RECORDS
