"""The features that CPUID enumerates, by leaf, subleaf and output register.

The names are those of xen/include/public/arch-x86/cpufeatureset.h (4.21).
"""

from __future__ import annotations

from functools import cache

from xensave.records.meaning.bits import Register, register

FEATURES: dict[tuple[int, int, str], Register] = {
    (0x1, 0, "d"): register(
        "FPU:0 VME:1 DE:2 PSE:3 TSC:4 MSR:5 PAE:6 MCE:7 CX8:8 APIC:9 SEP:11 MTRR:12 PGE:13 MCA:14 "
        "CMOV:15 PAT:16 PSE36:17 CLFLUSH:19 DS:21 ACPI:22 MMX:23 FXSR:24 SSE:25 SSE2:26 SS:27 "
        "HTT:28 TM1:29 PBE:31"
    ),
    (0x1, 0, "c"): register(
        "SSE3:0 PCLMULQDQ:1 DTES64:2 MONITOR:3 DSCPL:4 VMX:5 SMX:6 EIST:7 TM2:8 SSSE3:9 SDBG:11 "
        "FMA:12 CX16:13 XTPR:14 PDCM:15 PCID:17 DCA:18 SSE4_1:19 SSE4_2:20 X2APIC:21 MOVBE:22 "
        "POPCNT:23 TSC_DEADLINE:24 AESNI:25 XSAVE:26 OSXSAVE:27 AVX:28 F16C:29 RDRAND:30 "
        "HYPERVISOR:31"
    ),
    # AMD repeats most of leaf 1's d here: those bits are left out.
    (0x80000001, 0, "d"): register(
        "-:0-9 -:12-17 -:23-24 "
        "SYSCALL:11 NX:20 MMXEXT:22 FFXSR:25 PAGE1GB:26 RDTSCP:27 LM:29 3DNOWEXT:30 3DNOW:31"
    ),
    (0x80000001, 0, "c"): register(
        "LAHF_LM:0 CMP_LEGACY:1 SVM:2 EXTAPIC:3 CR8_LEGACY:4 ABM:5 SSE4A:6 MISALIGNSSE:7 "
        "3DNOWPREFETCH:8 OSVW:9 IBS:10 XOP:11 SKINIT:12 WDT:13 LWP:15 FMA4:16 NODEID_MSR:19 "
        "TBM:21 TOPOEXT:22 DBEXT:26 MONITORX:29 ADDR_MSK_EXT:30"
    ),
    (0xD, 1, "a"): register("XSAVEOPT:0 XSAVEC:1 XGETBV1:2 XSAVES:3 XFD:4"),
    (0x7, 0, "b"): register(
        "FSGSBASE:0 TSC_ADJUST:1 SGX:2 BMI1:3 HLE:4 AVX2:5 FDP_EXCP_ONLY:6 SMEP:7 BMI2:8 ERMS:9 "
        "INVPCID:10 RTM:11 PQM:12 NO_FPU_SEL:13 MPX:14 PQE:15 AVX512F:16 AVX512DQ:17 RDSEED:18 "
        "ADX:19 SMAP:20 AVX512_IFMA:21 CLFLUSHOPT:23 CLWB:24 PROC_TRACE:25 AVX512PF:26 "
        "AVX512ER:27 AVX512CD:28 SHA:29 AVX512BW:30 AVX512VL:31"
    ),
    (0x7, 0, "c"): register(
        "PREFETCHWT1:0 AVX512_VBMI:1 UMIP:2 PKU:3 OSPKE:4 WAITPKG:5 AVX512_VBMI2:6 CET_SS:7 "
        "GFNI:8 VAES:9 VPCLMULQDQ:10 AVX512_VNNI:11 AVX512_BITALG:12 TME:13 AVX512_VPOPCNTDQ:14 "
        "LA57:16 RDPID:22 BLD:24 CLDEMOTE:25 MOVDIRI:27 MOVDIR64B:28 ENQCMD:29 SGX_LC:30 PKS:31"
    ),
    (0x80000007, 0, "d"): register("HW_PSTATE:7 ITSC:8 CPB:9 EFRO:10"),
    (0x80000008, 0, "b"): register(
        "CLZERO:0 RSTR_FP_ERR_PTRS:2 WBNOINVD:9 IBPB:12 IBRS:14 AMD_STIBP:15 IBRS_ALWAYS:16 "
        "STIBP_ALWAYS:17 IBRS_FAST:18 IBRS_SAME_MODE:19 NO_LMSL:20 AMD_PPIN:23 AMD_SSBD:24 "
        "VIRT_SSBD:25 SSB_NO:26 CPPC:27 PSFD:28 BTC_NO:29 IBPB_RET:30"
    ),
    (0x7, 0, "d"): register(
        "SGX_KEYS:1 AVX512_4VNNIW:2 AVX512_4FMAPS:3 FSRM:4 UINTR:5 AVX512_VP2INTERSECT:8 "
        "SRBDS_CTRL:9 MD_CLEAR:10 RTM_ALWAYS_ABORT:11 TSX_FORCE_ABORT:13 SERIALIZE:14 HYBRID:15 "
        "TSXLDTRK:16 PCONFIG:18 ARCH_LBR:19 CET_IBT:20 AMX_BF16:22 AVX512_FP16:23 AMX_TILE:24 "
        "AMX_INT8:25 IBRSB:26 STIBP:27 L1D_FLUSH:28 ARCH_CAPS:29 CORE_CAPS:30 SSBD:31"
    ),
    (0x7, 1, "a"): register(
        "SHA512:0 SM3:1 SM4:2 AVX_VNNI:4 AVX512_BF16:5 LASS:6 CMPCCXADD:7 ARCH_PERF_MON:8 FZRM:10 "
        "FSRS:11 FSRCS:12 FRED:17 LKGS:18 WRMSRNS:19 NMI_SRC:20 AMX_FP16:21 AVX_IFMA:23 LAM:26 "
        "MSRLIST:27 NO_INVD:30 MOVRS:31"
    ),
    (0x7, 2, "d"): register(
        "INTEL_PSFD:0 IPRED_CTRL:1 RRSBA_CTRL:2 DDP_CTRL:3 BHI_CTRL:4 MCDT_NO:5"
    ),
    (0x7, 1, "b"): register("INTEL_PPIN:0"),
    (0x7, 1, "c"): register(""),
    (0x7, 1, "d"): register("AVX_VNNI_INT8:4"),
    (0x80000021, 0, "a"): register(
        "NO_NEST_BP:0 FS_GS_NS:1 LFENCE_DISPATCH:2 VERW_CLEAR:5 NSCB:6 AUTO_IBRS:8 AMD_FSRS:10 "
        "AMD_FSRC:11 CPUID_USER_DIS:17 EPSF:18 FSRSC:19 AMD_PREFETCHI:20 AVX512_BMM:23 SBPB:27 "
        "IBPB_BRTYPE:28 SRSO_NO:29 SRSO_US_NO:30 SRSO_MSR_FIX:31"
    ),
}


@cache
def places() -> dict[str, tuple[int, int, int, int]]:
    """Return where each feature is: leaf, subleaf, register (0 to 3 for a to d) and bit, by name.

    Names are in small letters.

    >>> places()["pku"]
    (7, 0, 2, 3)
    """
    return {
        bit.name.lower(): (leaf, subleaf, "abcd".index(letter), bit.low)
        for (leaf, subleaf, letter), table in FEATURES.items()
        for bit in table
        if bit.name != "-"
    }
