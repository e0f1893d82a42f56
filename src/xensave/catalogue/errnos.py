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
    "EOPNOTSUPP",
    "EOVERFLOW",
]
"""ENOTSUP and EOPNOTSUPP are one number: load handlers are said to answer the first here."""

MaybeErrno: TypeAlias = Errno | Literal[""]
"""None, "", where a tool refuses of its own."""
