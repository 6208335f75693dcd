"""Things that take security away. Each has a name that says so, and nothing else in handfast does what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handfast.certificates.parsed import parsed
from handfast.certificates.peer import PROOF, PeerIdentity
from handfast.errors import CertificateError, UnusableKey
from handfast.reasons import NO_CERTIFICATE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class NoVerification:
    """Accepts any certificate, of anybody, for any name: whoever sits on the way can read and change everything.

    For looking at servers, and for nothing else. That the peer holds the key of its certificate is still checked.
    """

    def verify_server(self, chain: Sequence[bytes], server_name: str | None, now: datetime) -> PeerIdentity:
        """An identity whose ``verified_by`` is "nothing" and whose ``path`` is empty.

        Raises a CertificateError only where there is no certificate, or no key in it that can be used.
        """
        if not chain:
            raise CertificateError(NO_CERTIFICATE)
        leaf = parsed(chain[0])
        if leaf.key is None:
            raise UnusableKey(certificate=leaf.der, subject=leaf.subject)
        return PeerIdentity(PROOF, leaf, tuple(chain), (), server_name, "nothing")

    def verify_client(self, chain: Sequence[bytes], now: datetime) -> PeerIdentity:
        """The same for a client."""
        return self.verify_server(chain, None, now)

    def __repr__(self) -> str:
        return "<NoVerification: anybody can be on the other side>"
