"""What a server of TLS 1.3 has agreed to."""

from __future__ import annotations

from dataclasses import dataclass

from handfast.certificates.identity import Identity
from handfast.certificates.peer import PeerIdentity
from handfast.crypto.guard import Guarded
from handfast.crypto.suites import Suite
from handfast.handshake.established import Outcome
from handfast.handshake.psk import Chosen, Psk
from handfast.sessions.session import Basis
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello


@dataclass(slots=True, repr=False)
class Terms(Guarded):
    """What a server has decided on (RFC 9846 section 4.2.1).

    ``hello``     the client's last one, where there are two
    ``share``     the client's, None where the key comes from the PSK alone
    ``chosen``    the PSK, None for a handshake with certificates
    ``early_data``  whether the client has sent some; ``early``  whether we take it
    ``identity``  who we are, and the ``scheme`` we prove it by; None and 0 with a PSK, where nobody says who it is
    """

    hello: ClientHello
    suite: Suite
    share: KeyShareEntry | None
    chosen: Chosen | None
    retried: bool
    early_data: bool | None
    early: bool = False
    identity: Identity | None = None
    scheme: int = 0
    protocol: bytes | None = None

    @property
    def psk(self) -> Psk | None:
        """The key that both sides have already."""
        return None if self.chosen is None else self.chosen.psk

    @property
    def basis(self) -> Basis:
        """What sessions of this connection stand on."""
        if self.psk is not None:
            return self.psk.basis
        assert self.identity is not None, "we have shown a certificate"
        return Basis(shown=self.identity.fingerprint)

    @property
    def comes_back(self) -> bool:
        """Whether it is by a ticket that the client is known."""
        return self.psk is not None and self.psk.session is not None

    def outcome(self, peer: PeerIdentity | None, client_scheme: int) -> Outcome:
        """The end of the handshake, with who the client is."""
        return Outcome(
            ProtocolVersion.TLS_1_3,
            self.suite,
            0 if self.share is None else self.share.group,
            self.scheme,
            client_scheme,
            self.protocol,
            self.hello.server_name,
            peer,
            self.identity,
            self.retried,
            self.chosen is not None,
            self.early if self.early_data else None,
            self.basis,
        )
