"""The most that a host can give a guest, as a policy: what a guest's own is compared with."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from xensave.catalogue.dates import Dated, Version
from xensave.catalogue.features import features_of
from xensave.catalogue.model import Cite
from xensave.policy.featureset import featureset, replaced, with_featureset
from xensave.policy.limits import BASIC_MAX, EXTENDED, limits_of
from xensave.policy.value import CPUID_FAULTING, PLATFORM_INFO, CpuidEntry, Leaves, MsrEntry, Policy

SUBLEAVES_RAISED = Dated(
    "POLICY_MAX_SUBLEAVES",
    "X86_CPUID_POLICY",
    "A host's maximum has every subleaf of leaf 7 that the release knows.",
    Cite(
        "calculate_hvm_max_policy",
        "a2330b51df",
        "x86/cpu-policy: Fix migration from Ice Lake to Cascade Lake",
        "4.19",
    ),
    since=("4.17.5", "4.18.3", "4.19.0"),
)
LEAVES_RAISED = Dated(
    "POLICY_MAX_LEAVES",
    "X86_CPUID_POLICY",
    "A host's maximum has every leaf that the release knows.",
    Cite(
        "guest_common_max_leaves",
        "fa2d831803",
        "x86/cpu-policy: Extend the guest max policy max leaf/subleaves",
        "4.20",
    ),
    since=("4.18.4", "4.19.1", "4.20.0"),
)
DIFFERENCES = (SUBLEAVES_RAISED, LEAVES_RAISED)

HVM_ATTRIBUTES = "AaSsHh!"
PV_ATTRIBUTES = "Aa!"

_WIDEST = 52

Kind = Literal["xen-cpuid", "guest", "featureset"]


class Host(NamedTuple):
    """What is known of a host: the policies of `xen-cpuid -p`, as far as its file has them.

    `physical` is Xen's own ("Host"). `kind` says what the file tells: Xen's policies; the policy
    of a guest on that host, whose numbers of leaves the target's Xen may exceed; or features only.
    `entries` are those of an image's records as they stand there.
    """

    name: str
    hvm_max: Policy | None = None
    pv_max: Policy | None = None
    hvm_default: Policy | None = None
    pv_default: Policy | None = None
    physical: Policy | None = None
    kind: Kind = "xen-cpuid"
    entries: tuple[Sequence[CpuidEntry], Sequence[MsrEntry]] | None = None

    def tells(self, *, pv: bool) -> bool:
        """Tells whether the file says what guests of a kind may have at most."""
        return (self.pv_max if pv else self.hvm_max) is not None

    def maximum(self, version: Version, like: Policy, *, pv: bool) -> Policy | None:
        """Returns the most that a release gives a guest there; None where the file has it not.

        What a file of features does not say (leaves, vendor, widths) is then as in `like`.
        """
        pv_max = self.pv_max if pv else self.hvm_max
        if pv_max is None or self.kind == "xen-cpuid":
            return pv_max
        if self.kind == "guest":
            # Of dom0's policy too: Xen emulates CPUID faulting for HVM guests on every host.
            return raised(pv_max if pv else faulting(pv_max), version)
        most = most_generous(version, like, pv=pv)
        return with_featureset(most, featureset(pv_max, version), version)

    def default(self, *, pv: bool) -> Policy | None:
        """Returns what a new domain has there before its policy is set."""
        if self.kind == "guest":
            return self.pv_max if pv else self.hvm_max
        return self.pv_default if pv else self.hvm_default

    @property
    def of_new_hvm(self) -> Policy | None:
        """What an HVM domain without a stream has there, or may have, as far as the file tells."""
        return self.default(pv=False) or self.hvm_max


def faulting(policy: Policy) -> Policy:
    """Returns a policy with CPUID faulting, which every HVM Max policy offers."""
    return policy.with_msr(PLATFORM_INFO, policy.msrs.get(PLATFORM_INFO, 0) | CPUID_FAULTING)


def raised(policy: Policy, version: Version) -> Policy:
    """Returns a maximum with the numbers of leaves that a release's own maxima have."""
    limits = limits_of(version)
    leaves = dict(policy.leaves)
    if SUBLEAVES_RAISED.holds(version):
        leaves[7, 0] = replaced(policy.leaf(7), 0, limits.feature_subleaf)
    if LEAVES_RAISED.holds(version):
        leaves[0, 0] = replaced(policy.leaf(0), 0, BASIC_MAX)
        leaves[EXTENDED, 0] = replaced(policy.leaf(EXTENDED), 0, limits.extended)
    return policy.with_leaves(leaves)


def fitted(host: Policy, version: Version) -> Policy:
    """Returns a host's policy as a release has it: what it has no room for left out.

    The three maxima are cut to the release's arrays, as Xen cuts those of its own host policy.
    """
    limits = limits_of(version)
    leaves = {
        (leaf, subleaf): registers
        for (leaf, subleaf), registers in host.leaves.items()
        if subleaf <= limits.subleaves.get(leaf, 0) and limits.has(leaf)
    }
    lower_maxima(leaves, limits.maxima)
    msrs = {index: value for index, value in host.msrs.items() if index in limits.msrs}
    return Policy(leaves, msrs, host.source)


def lower_maxima(leaves: Leaves, maxima: Mapping[int, int]) -> None:
    """Lowers what some leaves say in EAX to the most that they may say."""
    for leaf, most in maxima.items():
        if (leaf, 0) in leaves:
            registers = leaves[leaf, 0]
            leaves[leaf, 0] = replaced(registers, 0, min(registers[0], most))


def most_generous(version: Version, like: Policy, *, pv: bool = False) -> Policy:
    """Returns what no host of a release exceeds, for a verdict without a host.

    It has all leaves and every feature that such a guest may have in that release, with the
    vendor, the cache lines and the FPU of `like`.
    """
    limits = limits_of(version)
    features = features_of(version)
    attributes = PV_ATTRIBUTES if pv else HVM_ATTRIBUTES
    _, b, c, d = like.leaf(0)
    most = Policy(
        {
            (0, 0): (BASIC_MAX, b, c, d),
            (1, 0): like.leaf(1),
            (7, 0): (limits.feature_subleaf, 0, 0, 0),
            (EXTENDED, 0): (limits.extended, b, c, d),
            (EXTENDED | 8, 0): (_WIDEST, 0, 0, 0),
        },
        {PLATFORM_INFO: CPUID_FAULTING},
        "the most that any host can give",
    )
    words = [features.mask(word, attributes) for word in range(len(features.words))]
    fold_fpu_bits(words, like, version)
    return with_featureset(most, words, version)


def fold_fpu_bits(words: list[int], host: Policy, version: Version) -> None:
    """Takes FDP_EXCP_ONLY and NO_FPU_SEL from the host: they say how its FPU works."""
    theirs = featureset(host, version)
    for name in ("FDP_EXCP_ONLY", "NO_FPU_SEL"):
        word, bit = features_of(version).place(name)
        words[word] = (words[word] & ~(1 << bit)) | (theirs[word] & 1 << bit)
