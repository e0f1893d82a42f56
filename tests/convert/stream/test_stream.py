"""Whole streams: versions, static data, params, checkpoints, what is unknown."""

import pytest

from tests.convert.samples import ROOT, STREAMED, converted, events, to, without_pages
from xensave.container.events import LIBXC
from xensave.container.framing import pack_record
from xensave.container.streams import libxc, libxl
from xensave.container.streams.libxc_records import HvmParams, PageData
from xensave.container.walk import walk
from xensave.context import Context
from xensave.convert import ConversionRefused, Settings
from xensave.errors import Truncated
from xensave.image import open_image
from xensave.rules.stream.run import Verification
from xensave.source import open_source
from xensave.testing import streams
from xensave.testing.streams import restorable_context

EXAMPLE = ROOT / "examples/hvm1.img.zst"


def image(release, records=b"", *, pages=2, params=((1, 0xFEFFE),), after=b""):
    body = b"".join(
        (
            streams.memory(pages),
            pack_record(libxc.HVM_CONTEXT, restorable_context(release)),
            pack_record(libxc.HVM_PARAMS, HvmParams(params).to_bytes()),
            records,
        )
    )
    model = streams.emulator()
    return streams.xl_image(
        streams.libxl_stream(streams.libxc_stream(body, release), after + model)
    )


def records(data, type_):
    return [bytes(e.body()) for e in walk(open_source(data)) if e.is_record(LIBXC, type_)]


@pytest.mark.parametrize("release", STREAMED)
def test_identity_is_byte_identical(release):
    data = image(release)
    out, converter = converted(data, Settings(release))
    if release != "master":
        assert out == data
        assert not converter.plan.changes


def test_down_to_version_2_and_up_again():
    three = image("4.17")
    two = to(three, "4.13")
    assert "libxc STATIC_DATA_END" not in events(two)
    header = next(e.header for e in walk(open_source(two)) if e.label == "libxc image header")
    assert header.version == 2
    assert to(two, "4.17") == three


def test_the_real_policies_are_a_loss_below_4_14():
    with pytest.raises(ConversionRefused, match=r"X86_CPUID_POLICY.*--allow-loss"):
        converter = converted(without_pages(EXAMPLE), Settings("4.13"))[1]
        converter.plan.check(allow_loss=False)


def test_a_pv_stream_gets_its_static_data_end_after_pv_info():
    body = pack_record(libxc.X86_PV_INFO, b"\x08\x04" + bytes(6))
    tables = PageData((0, 4 << 60 | 1)).to_bytes() + bytes(2 * 4096)
    body += pack_record(libxc.X86_PV_P2M_FRAMES, bytes(4) + b"\1" + bytes(11))
    body += pack_record(libxc.PAGE_DATA, tables)
    vcpu = bytearray(8 + 5168)
    vcpu[520] = 4  # VGCF_in_kernel
    vcpu[5016:5024] = (1 << 12).to_bytes(8, "little")
    body += pack_record(libxc.X86_PV_VCPU_BASIC, bytes(vcpu))
    out = to(streams.libxc_stream(body, "4.13", libxc.PV), "4.17")
    assert events(out)[2:5] == [
        "libxc X86_PV_INFO",
        "libxc STATIC_DATA_END",
        "libxc X86_PV_P2M_FRAMES",
    ]


def test_a_stream_without_memory_gets_its_static_data_end_too():
    context = pack_record(libxc.HVM_CONTEXT, restorable_context("4.13"))
    out = to(streams.libxc_stream(context, "4.13"), "4.17")
    assert events(out)[2:] == ["libxc STATIC_DATA_END", "libxc HVM_CONTEXT", "libxc END"]


def test_the_domain_header_names_the_release_whose_layouts_it_has():
    with open_image(to(image("4.17"), "4.21")) as found:
        assert found.xen == "4.21"
        assert found.context["LAPIC", 0].length == 32


def test_params_that_the_target_has_no_number_for_are_dropped():
    data = image("4.17", params=((1, 0xFEFFE), (38, 1), (36, 8)))
    out, converter = converted(data, Settings("4.9"))
    assert HvmParams.parse(records(out, libxc.HVM_PARAMS)[0]).params == ((1, 0xFEFFE), (36, 8))
    (loss,) = (c for c in converter.plan.losses if c.where.record == "libxc HVM_PARAMS")
    assert [(lost.field, lost.value) for lost in loss.loss] == [("MCA_CAP", "0x1")]


def test_the_sized_tss_has_an_older_form():
    out = to(image("4.17", params=((37, 0x180_FC100280),)), "4.8")
    assert HvmParams.parse(records(out, libxc.HVM_PARAMS)[0]).params == ((15, 0xFC100280),)


@pytest.mark.parametrize("target", ["4.5", "3.1", "4.0"])
def test_a_context_for_a_release_that_restores_legacy_streams_only(target):
    assert Context.parse(to(restorable_context("4.17"), target, "4.17"), target)


@pytest.mark.parametrize(("body", "lossy"), [(b"\1", True), (bytes(8), False), (b"", False)])
def test_a_mandatory_record_that_the_target_does_not_know(body, lossy):
    out, converter = converted(image("4.17", pack_record(0x77, body)), Settings("4.17"))
    assert out == image("4.17")
    assert bool(converter.plan.losses) is lossy


def test_an_optional_record_is_kept():
    data = image("4.17", pack_record(0x80000077, b"abc"))
    assert to(data, "4.17") == data


def test_libxl_ignores_no_record():
    data = image("4.17", after=pack_record(0x80000077, b"abc"))
    assert to(data, "4.17") == image("4.17")


def test_emulator_records_stay():
    after = streams.emulator(state=b"QEVM\0\0\0\3" + b"state" * 9)
    out = to(image("4.17", after=after), "4.13")
    assert after in out


def checkpointed(release, rounds=3):
    one = b"".join(
        (
            streams.page_data([0]),
            pack_record(libxc.HVM_CONTEXT, restorable_context(release)),
            pack_record(libxc.HVM_PARAMS, HvmParams(((1, 0xFEFFE),)).to_bytes()),
            pack_record(libxc.CHECKPOINT),
            streams.emulator(),
            pack_record(libxl.CHECKPOINT_END),
        )
    )
    return streams.xl_image(streams.libxl_stream(streams.libxc_stream(one * rounds, release), b""))


@pytest.mark.parametrize("target", ["4.13", "4.17", "4.21"])
def test_every_checkpoint_is_converted_in_order(target):
    data = checkpointed("4.17")
    out = to(data, target)
    contexts = records(out, libxc.HVM_CONTEXT)
    assert contexts == [to(restorable_context("4.17"), target, "4.17")] * 3
    skip = {"libxc STATIC_DATA_END"}
    assert [e for e in events(out) if e not in skip] == [e for e in events(data) if e not in skip]
    assert events(out).count("libxc STATIC_DATA_END") == (target != "4.13")


def test_verify_frames_stay_in_place():
    data = streams.libxc_stream(
        streams.memory(2)
        + pack_record(libxc.VERIFY)
        + streams.memory(2)
        + pack_record(libxc.HVM_CONTEXT, restorable_context("4.13")),
        "4.13",
    )
    out = to(data, "4.17")
    names = [label for label in events(out) if "header" not in label]
    assert names == [
        "libxc " + n
        for n in ("STATIC_DATA_END", "PAGE_DATA", "VERIFY", "PAGE_DATA", "HVM_CONTEXT", "END")
    ]


def test_what_follows_the_end_is_passed_on():
    data = image("4.17") + b"domain is yours to unpause"
    assert to(data, "4.13").endswith(b"domain is yours to unpause")


@pytest.mark.parametrize("target", STREAMED)
def test_the_result_keeps_to_the_specifications(target):
    for data in (image("4.17"), without_pages(EXAMPLE), checkpointed("4.13")):
        with open_source(to(data, target)) as source:
            found = [f for f in Verification(source) if f.severity == "error"]
        assert not found


def test_a_cut_image_is_truncated_not_converted():
    data = image("4.17")
    for cut in range(0, len(data) - 8, 997):
        with pytest.raises(Truncated):
            to(data[: cut or 60], "4.13")


def test_kept_records_are_not_what_the_engine_refuses():
    from xensave.convert.rules import KEEP, RecordRule

    context = Context.parse(restorable_context("4.17"), "4.17")
    *most, end = context.records
    extra = type(end)(22, 0, b"\1")
    data = context.with_records((*most, extra, end)).to_bytes()
    out = to(data, "4.17", "4.17", rules=(RecordRule(22, KEEP),))
    assert out == data


def test_a_context_that_the_target_refuses_is_not_written():
    with pytest.raises(ConversionRefused, match="EINVAL"):
        to(streams.context("4.17"), "4.17", "4.17")
