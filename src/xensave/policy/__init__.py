"""A guest's CPU policy before a target: what Xen refuses of it, and what it takes away silently.

XEN_DOMCTL_set_cpu_policy copies the entries of X86_CPUID_POLICY and X86_MSR_POLICY over the
policy that the new domain has by default, compares the result with the most that the host can
give, and then clamps it. Each step is a pure function over plain values, by release.
"""
