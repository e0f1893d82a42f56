"""Hypervisor binaries: which save/load handlers xen-syms registers, read from its code."""
