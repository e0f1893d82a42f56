"""Known damage is found, named and mended; what is sound is left alone."""

import struct
from pathlib import Path

import pytest

from xensave.container.streams.hvm import DESCRIPTOR
from xensave.context import Context
from xensave.convert.records import repair
from xensave.errors import LimitExceeded, Truncated

ROOT = Path(__file__).parents[3]
DATA = (ROOT / "examples/pvh1.ctx").read_bytes()
END = DESCRIPTOR.pack(0, 0, 0)
MAX_MSRS = 3


def context():
    return Context.parse(DATA, "4.9")


def msr(instance, values, claimed=None):
    """What hvm_save_cpu_msrs() of 4.5 - 4.9 wrote: room claimed for all, some written."""
    body = struct.pack("<II", len(values), 0)
    body += b"".join(struct.pack("<IIQ", 0xC0000080 + i, 0, v) for i, v in enumerate(values))
    length = 8 + 16 * MAX_MSRS if claimed is None else claimed
    return DESCRIPTOR.pack(20, instance, length) + body


def with_msrs(*records):
    kept = [r.to_bytes() for r in context().records if r.typecode not in (20, 0)]
    return b"".join([*kept, *records, END])


def rules(mended):
    return [one.finding.rule for one in mended]


@pytest.mark.parametrize("counts", [[1], [2], [1, 1], [1, 2, 3], [3, 1, 2, 1]])
def test_an_msr_record_that_claims_too_much_is_cut_to_its_count(counts):
    records = [msr(vcpu, range(1, count + 1)) for vcpu, count in enumerate(counts)]
    sound = with_msrs(*(msr(v, range(1, n + 1), claimed=8 + 16 * n) for v, n in enumerate(counts)))
    damaged = with_msrs(*records)
    found, mended = repair.parse(damaged, "4.9", 0x100, mend=True)
    assert found.to_bytes() == sound
    assert rules(mended) == ["CPU_MSR_LENGTH_OVERCLAIMED"] * sum(n < MAX_MSRS for n in counts)
    first = next(r for r, n in zip(records, counts, strict=True) if n < MAX_MSRS)
    finding = mended[0].finding
    assert "4.5 - 4.9" in finding.message
    assert "d2f86bf604" in finding.message
    assert finding.place.offset == 0x100 + damaged.index(first)


def test_without_repair_the_error_names_the_option():
    with pytest.raises(Truncated, match="--repair"):
        repair.parse(with_msrs(msr(0, [1])), "4.9", 0, mend=False)


def test_a_cut_that_is_no_known_damage_does_not_promise_repair():
    for mend in (False, True):
        with pytest.raises(Truncated) as caught:
            repair.parse(DATA[:-20], "4.17", 0, mend=mend)
        assert "--repair" not in str(caught.value)


def test_a_downstream_record_may_follow_the_msrs():
    damaged = with_msrs(msr(0, [5]), DESCRIPTOR.pack(22, 0, 4) + b"abcd")
    found, mended = repair.parse(damaged, "4.9", 0, mend=True)
    assert [record.typecode for record in found.records[-3:]] == [20, 22, 0]
    assert len(mended) == 1


def test_a_sound_context_stays_as_it_is():
    found, mended = repair.parse(DATA, "4.17", 0, mend=True)
    assert found.to_bytes() == DATA
    assert not mended


def with_xsave(body):
    records = [r.with_body(body) if r.name == "CPU_XSAVE" else r for r in context().records]
    return context().with_records(tuple(records)).to_bytes()


def xsave(accum, area, in_use=3):
    body = bytearray(struct.pack("<QQQ", 7, accum, accum) + area)
    struct.pack_into("<Q", body, 24 + 512, in_use)
    return bytes(body)


def test_an_overlong_xsave_record_is_cut_where_the_excess_is_zero():
    damaged = with_xsave(xsave(0b111, bytes(960)))
    found, mended = repair.parse(damaged, "4.3", 0, mend=True)
    assert found["CPU_XSAVE", 0].length == 24 + 832
    assert rules(mended) == ["CPU_XSAVE_OVERLONG"]
    assert "4.3.0, 4.2.3 and older" in mended[0].finding.message


def test_an_overlong_xsave_record_with_state_in_the_excess_stays():
    damaged = with_xsave(xsave(0b111, bytes(959) + b"\1"))
    found, mended = repair.parse(damaged, "4.3", 0, mend=True)
    assert found.to_bytes() == damaged
    assert not mended


@pytest.mark.parametrize("body", [b"", bytes(24), xsave(0, bytes(576)), xsave(0, bytes(832))])
def test_an_empty_xsave_record_is_dropped(body):
    found, mended = repair.parse(with_xsave(body), "4.11", 0, mend=True)
    assert "CPU_XSAVE" not in found
    assert rules(mended) == ["CPU_XSAVE_EMPTY"]
    assert "before 4.12" in mended[0].finding.message


def test_an_xsave_record_that_holds_avx_is_not_empty():
    damaged = with_xsave(xsave(0, bytes(832), in_use=7))
    assert repair.parse(damaged, "4.11", 0, mend=True)[0].to_bytes() == damaged


def unfold(value):
    """The rule of hvm_load_cpu_ctxt() since 3.4, in reverse: attributes as the VMCS has them."""
    return (value & 0xFF) | (value & 0xF00) << 4


def test_segment_attributes_are_folded_back():
    sound = context().replace("CPU", 0, cs_arbytes=0xA9B, ss_arbytes=0xC93, tr_arbytes=0x08B)
    vmcs = sound.replace("CPU", 0, cs_arbytes=unfold(0xA9B), ss_arbytes=unfold(0xC93))
    assert vmcs["CPU", 0].integer("cs_arbytes") == 0xA09B
    found, mended = repair.parse(vmcs.to_bytes(), "3.3", 0, mend=True)
    assert found["CPU", 0].integer("cs_arbytes") == 0xA9B
    assert found["CPU", 0].integer("ss_arbytes") == 0xC93
    assert found["CPU", 0].integer("tr_arbytes") == 0x08B
    assert rules(mended) == ["CPU_SEGMENT_ATTRIBUTES_VMCS"]


def test_a_hostile_number_of_damaged_records_is_limited():
    one = DESCRIPTOR.pack(20, 0, 1 << 30) + bytes(8)
    with pytest.raises(LimitExceeded):
        repair.parse(one * (repair.MAX_REPAIRS + 2) + END, "4.9", 0, mend=True)


def test_every_damage_names_its_releases_and_commit():
    damages = [damage for damage in vars(repair).values() if isinstance(damage, repair.Damage)]
    assert len(damages) >= 5
    for damage in damages:
        assert damage.releases
        assert damage.what
        assert damage.citation is None or len(damage.citation.commit) == 10


def hpet(config, *, enabled=1, period=0x10000, cmp=100, counter=200):
    """An HVM context with an HPET whose timer 0 is so."""
    old = Context.parse((ROOT / "examples/hvm1.ctx").read_bytes(), "4.12")
    timers = [dict(timer) for timer in old["HPET", 0].structs("timers")]
    timers[0].update(config=config, cmp=cmp)
    new = old.replace("HPET", 0, config=enabled, mc64=counter, timers=timers, period=[period, 0, 0])
    return new.to_bytes()


def test_a_timer_that_lost_its_periodic_bit():
    """The case of a mail: 0x34 where 0x3c is due, and the guest stands still for a minute."""
    data = hpet(0x34)
    context, mended = repair.parse(data, "4.12", 0, mend=True)
    assert rules(mended) == ["HPET_PERIODIC_LOST"]
    assert mended[0].finding.place.record == "HPET[0]"
    assert context["HPET", 0].integer("timers[0].config") == 0x3C
    new = context.to_bytes()
    assert [(old, byte) for old, byte in zip(data, new, strict=True) if old != byte] == [
        (0x34, 0x3C)
    ]


@pytest.mark.parametrize(
    "data",
    [
        hpet(0x3C),
        hpet(0x34, period=0),
        hpet(0x34, cmp=300),
        hpet(0x34, enabled=0),
        hpet(0x30),
        hpet(0x24),
        (ROOT / "examples/hvm1.ctx").read_bytes(),
    ],
    ids=["periodic", "never periodic", "to fire", "halted", "off", "cannot", "the sample"],
)
def test_a_sound_timer_is_left_alone(data):
    context, mended = repair.parse(data, "4.12", 0, mend=True)
    assert mended == []
    assert context.to_bytes() == data
