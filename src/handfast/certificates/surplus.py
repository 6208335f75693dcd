"""What a peer sends that nobody needs: a root, the same certificate twice, strays; and an order that is not the usual one.

RFC 9846 section 4.5.1 asks clients to accept all of it, and we do. It costs bytes in each handshake all the same, and a
chain that exceeds the first flight costs a round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from handfast.certificates.parsed import parsed

Kind = Literal["root", "duplicate", "stray", "order"]


@dataclass(frozen=True, slots=True)
class Surplus:
    """One certificate that could be left out or moved.

    ``position``  in what was sent, 1 is the first
    ``kind``      "root": who trusts it has it. "duplicate": it has come before. "stray": it is not part of the path.
                  "order": it belongs to the path, and does not stand right after the one that it has issued
    ``subject``   whose it is
    ``size``      bytes that it costs
    """

    position: int
    kind: Kind
    subject: str
    size: int

    def __str__(self) -> str:
        return f"certificate {self.position} ({self.subject or 'no name'}) {_WORDS[self.kind]}"


_WORDS = {
    "root": "is a root, which whoever trusts it has already",
    "duplicate": "was sent before",
    "stray": "is not part of the path",
    "order": "does not stand right after the one that it has issued",
}


def surplus(chain: Sequence[bytes], path: Sequence[bytes]) -> tuple[Surplus, ...]:
    """What of a peer's chain need not be there.

    ``chain``  DER as it was sent, the peer's own certificate first
    ``path``   DER of the path that was verified, the root last, as a PeerIdentity has it
    """
    found: list[Surplus] = []
    last = -1
    for index, der in enumerate(chain):
        if der in chain[:index]:
            found.append(_surplus(index, "duplicate", der))
        elif index and parsed(der).self_issued and (der not in path or der == path[-1]):
            found.append(_surplus(index, "root", der))
        elif der not in path:
            found.append(_surplus(index, "stray", der))
        else:
            if path.index(der) != last + 1:
                found.append(_surplus(index, "order", der))
            last = path.index(der)
    return tuple(found)


def _surplus(index: int, kind: Kind, der: bytes) -> Surplus:
    return Surplus(index + 1, kind, parsed(der).subject, len(der))
