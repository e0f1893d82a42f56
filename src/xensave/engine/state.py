"""The state of a domain as its records: what a save writes, what a load left."""

from collections.abc import Iterator
from typing import NamedTuple

from xensave.container.streams import hvm


class DomainState(NamedTuple):
    """A domain's state: the body of each record by (typecode, instance).

    >>> state = DomainState({(2, 0): b"..."})
    >>> list(state.of(2))
    [(0, b'...')]
    """

    bodies: dict[tuple[int, int], bytes]
    header: bytes | None = None

    @classmethod
    def of_context(cls, data: bytes) -> "DomainState":
        """Returns what a context's records say; the last of a kind counts. Raises Truncated."""
        bodies: dict[tuple[int, int], bytes] = {}
        header = None
        for code, instance, body, _ in hvm.iterate(data, end_bare=True):
            if code == hvm.HEADER_TYPECODE:
                header = bytes(body)
            elif code != hvm.END_TYPECODE:
                bodies[code, instance] = bytes(body)
        return cls(bodies, header)

    def of(self, typecode: int) -> Iterator[tuple[int, bytes]]:
        """Yields (instance, body) of the records of a type, by instance."""
        for code, instance in sorted(self.bodies):
            if code == typecode:
                yield instance, self.bodies[code, instance]
