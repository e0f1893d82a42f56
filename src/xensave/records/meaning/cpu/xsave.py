"""The components of an XSAVE area, in the standard and the compacted format.

The area of a CPU_XSAVE record starts after xfeature_mask, xcr0 and xcr0_accum. Xen saves it in
the standard format, where a component has a fixed place; `xstate_bv` says which components are
not in their initial state, and bit 63 of `xcomp_bv` that the area is compacted. Source: Intel
SDM volume 1, 13.4; expand_xsave_states() of xen/arch/x86/xstate.c since 4.5.
"""

from typing import NamedTuple

from xensave.catalogue.model import Layout
from xensave.records.codec import decode
from xensave.records.meaning.bits import XCR0
from xensave.records.meaning.cpu.area import COMPACT, HEADER_END, LEGACY_SIZE, PLACES
from xensave.records.meaning.cpu.fxsave import FXSAVE, FXSAVE_NAME, XMM
from xensave.records.overlay import overlay
from xensave.records.values import Values

_ZMM_HIGH = overlay("zmm_high", "word:u64[4]")
_BOUND = overlay("bound", "lower:u64 upper:u64")

_NAMES = {low: name for low, _, name in XCR0}

HEADER = overlay("xsave_header", "xstate_bv:u64 xcomp_bv:u64 reserved:u64[6]")


class Component(NamedTuple):
    """A state component: its bit in XCR0 and its layout.

    `aligned` says that the compacted format puts it on a multiple of 64 bytes.
    """

    bit: int
    layout: Layout
    aligned: bool = False

    @property
    def name(self) -> str:
        """What XCR0's bit is called; of the legacy region, whose two bits are one, "x87+SSE"."""
        return _NAMES[self.bit] if self.bit else FXSAVE_NAME

    @property
    def offset(self) -> int:
        """Where it lies in the standard format."""
        return PLACES[self.bit][0]


class ComponentState(NamedTuple):
    """A component of one area: `present` where xstate_bv has it, otherwise in initial state."""

    component: Component
    offset: int
    present: bool
    values: Values


COMPONENTS = (
    Component(2, overlay("avx", "ymm_high:xmm[16]", XMM)),
    Component(3, overlay("bndregs", "bnd:bound[4]", _BOUND)),
    Component(4, overlay("bndcsr", "bndcfgu:u64 bndstatus:u64", size=64)),
    Component(5, overlay("opmask", "k:u64[8]")),
    Component(6, overlay("zmm_hi256", "zmm_high:zmm_high[16]", _ZMM_HIGH)),
    Component(7, overlay("hi16_zmm", "zmm:zmm[16]", overlay("zmm", "word:u64[8]"))),
    Component(9, overlay("pkru", "pkru:u32", size=8)),
    Component(17, overlay("tilecfg", "tilecfg:u8[64]"), True),
    Component(
        18,
        overlay("tiledata", "tile:tile[8]", overlay("tile", "row:u8[1024]")),
        True,
    ),
    Component(62, overlay("lwp", "lwp:u8[128]")),
)


def components(area: bytes, enabled: int) -> list[ComponentState]:
    """Returns the components of `enabled` (xcr0_accum) that the area has room for.

    The legacy region comes first, as "x87+SSE". Components beyond those of the table are left to
    `unnamed`.
    """
    if len(area) < HEADER_END:
        return []
    header = decode(HEADER, area[LEGACY_SIZE:HEADER_END])
    in_use, compact = header["xstate_bv"], header["xcomp_bv"]
    if not isinstance(in_use, int) or not isinstance(compact, int):
        raise TypeError("xstate_bv and xcomp_bv are integers")
    legacy = Component(0, FXSAVE)
    states = [ComponentState(legacy, 0, bool(in_use & 3), decode(FXSAVE, area[:LEGACY_SIZE]))]
    for component, offset in _places(enabled, compact):
        end = offset + component.layout.size
        if end <= len(area):
            present = bool(in_use >> component.bit & 1)
            values = decode(component.layout, area[offset:end])
            states.append(ComponentState(component, offset, present, values))
    return states


def unnamed(area: bytes, enabled: int) -> list[tuple[int, bytes]]:
    """Returns the runs of the area that are not zero and belong to no component, by offset."""
    covered = bytearray(len(area))
    covered[:HEADER_END] = b"\1" * min(HEADER_END, len(area))
    for state in components(area, enabled):
        end = state.offset + state.component.layout.size
        covered[state.offset : end] = b"\1" * (end - state.offset)
    runs: list[tuple[int, bytes]] = []
    start = None
    for at in range(len(area) + 1):
        free = at < len(area) and not covered[at]
        if free and start is None:
            start = at
        elif not free and start is not None:
            if any(area[start:at]):
                runs.append((start, area[start:at]))
            start = None
    return runs


def _places(enabled: int, compact: int) -> list[tuple[Component, int]]:
    if not compact & COMPACT:
        return [(c, c.offset) for c in COMPONENTS if enabled >> c.bit & 1]
    known = {component.bit: component for component in COMPONENTS}
    places: list[tuple[Component, int]] = []
    end = HEADER_END
    for bit in range(2, 63):
        if not compact >> bit & 1:
            continue
        if bit not in known:
            # Its size is not known here, nor then the place of those behind it.
            break
        component = known[bit]
        offset = -(-end // 64) * 64 if component.aligned else end
        places.append((component, offset))
        end = offset + component.layout.size
    return places
