"""The table: which check looks at which headers and records, and every rule it may report."""

from __future__ import annotations

from xensave.container import libxc as xc
from xensave.container import libxl as xl_stream
from xensave.container.events import CONTEXT, HVM, LIBXC, LIBXL, TRAILER, XL
from xensave.rules.stream import emulator, hvm, libxc, libxl, pages, pv, static_data, whole, xl
from xensave.rules.stream.model import Check, Rule

_VCPU = (
    xc.X86_PV_VCPU_BASIC,
    xc.X86_PV_VCPU_EXTENDED,
    xc.X86_PV_VCPU_XSAVE,
    xc.X86_PV_VCPU_MSRS,
)
_MARKERS = (xc.END, xc.VERIFY, xc.CHECKPOINT, xc.STATIC_DATA_END)
_XL_MARKERS = (xl_stream.END, xl_stream.LIBXC_CONTEXT, xl_stream.CHECKPOINT_END)
_EMULATOR = (xl_stream.EMULATOR_XENSTORE_DATA, xl_stream.EMULATOR_CONTEXT)
_POLICIES = (xc.X86_CPUID_POLICY, xc.X86_MSR_POLICY)
_FRAMING = (
    hvm.CONTEXT_SIZE,
    hvm.HEADER,
    hvm.MAGIC,
    hvm.VERSION,
    hvm.FRAMING,
    hvm.END_EMPTY,
    hvm.END_LAST,
)

# fmt: off
CHECKS = (
    Check(XL, (), xl.header, (xl.BYTE_ORDER, xl.MANDATORY, xl.OPTIONAL, xl.STREAM_V2), "header"),
    Check(XL, (), xl.configuration, (xl.SIZE, xl.FITS, xl.JSON), "header"),

    Check(LIBXL, (), libxl.header, (libxl.OPTIONS,), "header"),
    Check(LIBXL, _XL_MARKERS, libxl.marker, (libxl.EMPTY,)),
    Check(LIBXL, (xl_stream.LIBXC_CONTEXT,), libxl.context, (libxl.ONCE,)),
    Check(LIBXL, (xl_stream.END,), libxl.end, (libxl.END_OUTSIDE, libxl.PRESENT)),
    Check(LIBXL, _EMULATOR, emulator.header, (emulator.HVM_ONLY, emulator.HEADER, emulator.KNOWN)),
    Check(LIBXL, (xl_stream.EMULATOR_XENSTORE_DATA,), emulator.xenstore,
          (emulator.SIZE, emulator.TERMINATED, emulator.PAIRED, emulator.KEYS)),
    Check(LIBXL, (xl_stream.CHECKPOINT_END,), libxl.checkpoint_end, (libxl.CHECKPOINT_END,)),
    Check(LIBXL, (xl_stream.CHECKPOINT_STATE,), libxl.checkpoint_state,
          (libxl.STATE_EXPECTED, libxl.STATE_LENGTH, libxl.STATE_KNOWN, libxl.STATE_PADDING)),
    Check(LIBXL, None, libxl.record, (libxl.MANDATORY, libxl.UNKNOWN_OPTIONAL, libxl.PADDING)),

    Check(LIBXC, (), libxc.image_header, (libxc.OPTIONS, libxc.IMAGE_RESERVED), "image header"),
    Check(LIBXC, (), libxc.domain_header,
          (libxc.DOMAIN_TYPE, libxc.PAGE_SHIFT, libxc.DOMAIN_RESERVED), "domain header"),
    Check(LIBXC, static_data.CONTENT, static_data.content, (static_data.FIRST,)),
    Check(LIBXC, (xc.STATIC_DATA_END,), static_data.static_data_end,
          (static_data.VERSION, static_data.ONCE)),
    Check(LIBXC, _POLICIES, static_data.policy,
          (static_data.VERSION, static_data.LATE, static_data.LENGTH, static_data.FLAGS)),
    Check(LIBXC, (xc.PAGE_DATA,), pages.page_data,
          (pages.ORDER, pages.SHORT, pages.RESERVED, pages.COUNT, pages.FIT, pages.BATCH,
           pages.PFN_RESERVED, pages.TYPE, pages.LENGTH, pages.RANGE)),
    Check(LIBXC, (xc.X86_PV_INFO,), pv.info,
          (pv.INFO_ONCE, pv.INFO_LENGTH, pv.INFO_VALUES, pv.INFO_RESERVED)),
    Check(LIBXC, (xc.X86_PV_P2M_FRAMES,), pv.p2m_frames,
          (pv.INFO_FIRST, pv.P2M_LENGTH, pv.P2M_ORDER)),
    Check(LIBXC, (xc.SHARED_INFO,), pv.shared_info, (pv.INFO_FIRST, pv.SHARED)),
    Check(LIBXC, _VCPU, pv.vcpu,
          (pv.VCPU_ORDER, pv.VCPU_LENGTH, pv.VCPU_RESERVED, pv.VCPU_EMPTY, pv.VCPU_SIZE)),
    Check(LIBXC, (xc.X86_TSC_INFO,), hvm.tsc_info,
          (hvm.TSC_LENGTH, hvm.TSC_RESERVED, hvm.TSC_MODE)),
    Check(LIBXC, (xc.HVM_PARAMS,), hvm.params,
          (hvm.PARAMS_FIRST, hvm.PARAMS_LENGTH, hvm.PARAMS_RESERVED, hvm.PARAMS_EMPTY)),
    Check(LIBXC, (xc.HVM_CONTEXT,), hvm.context, (hvm.CONTEXT_EMPTY, *_FRAMING)),
    Check(LIBXC, (xc.TOOLSTACK,), libxc.toolstack, (libxc.DEPRECATED,)),
    Check(LIBXC, (xc.CHECKPOINT_DIRTY_PFN_LIST,), libxc.dirty_pfn_list,
          (libxc.DIRECTION, libxc.DIRTY_LENGTH)),
    Check(LIBXC, _MARKERS, libxc.marker, (libxc.EMPTY,)),
    Check(LIBXC, (xc.END,), libxc.end, (libxc.NO_CONTEXT,)),
    Check(LIBXC, None, libxc.record,
          (libxc.MANDATORY, libxc.UNKNOWN_OPTIONAL, libxc.GUEST, libxc.TOO_LONG, libxc.PADDING)),

    Check(HVM, (), hvm.context, _FRAMING, CONTEXT),
    *(Check(layer, (), whole.trailer, (whole.TRAILER, whole.CONTROL), TRAILER)
      for layer in (XL, LIBXL, LIBXC)),
)
# fmt: on

RULES: tuple[Rule, ...] = tuple(
    dict.fromkeys([rule for check in CHECKS for rule in check.rules] + list(whole.STOPS))
)
