"""The errnos of Xen's save, load and policy code, by name."""

from typing import Literal, TypeAlias

Errno: TypeAlias = Literal[
    "EPERM",
    "ENOENT",
    "ESRCH",
    "EIO",
    "E2BIG",
    "ENXIO",
    "ENOMEM",
    "ENODEV",
    "EEXIST",
    "EINVAL",
    "EDOM",
    "ERANGE",
    "ENODATA",
    "ENOTSUP",
    "EOVERFLOW",
]
"""ENOTSUP stands for EOPNOTSUPP too: they are one number."""

MaybeErrno: TypeAlias = Errno | Literal[""]
"""None, "", where a tool refuses of its own."""
