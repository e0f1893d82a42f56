"""Does a stream keep to the specifications: one subject a file, one table, one pass."""

from xensave.rules.stream.run import Verification, verify

__all__ = ["Verification", "verify"]
