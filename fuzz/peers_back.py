"""Peers that come back, or that one comes back to: those of peers.py and peers12.py with sessions and keys from outside.

They have the keys of everything in sessions.py, and make binders, ServerHello and Finished that are right for whatever a play
has made of the messages.
"""

from __future__ import annotations

import hashlib
from typing import Any

from fuzz import sessions
from fuzz.credentials import NOW
from fuzz.peers import Client, Server, message
from fuzz.peers12 import RESUMED, Client12, Peer12, Server12
from handfast.crypto.schedule12 import MainSecret
from handfast.crypto.schedule13 import EarlySecret
from handfast.crypto.suites import SUITES, SUITES_12
from handfast.errors import TLSError
from handfast.handshake.psk import AGE_MODULUS, Psk, early_secret
from handfast.wire.codepoints import HandshakeType, ProtocolVersion
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages12 import NewSessionTicket12
from handfast.wire.psk import PSK_DHE_KE, PSK_KE, OfferedPsks, PskIdentity

H = HandshakeType

FULL = 0x60
"""In place of the type of a ServerHello: one that resumes nothing, though it could."""

KEY_ALONE, LAST_KEY = 0x61, 0x62
"""Likewise: with the key of the session and no key exchange; with the key that the client has offered last."""

LATE = 0x63
"""In place of the type of EncryptedExtensions: those that do not take the early data."""

OFFER, OFFER_EARLY = 0x70, 0x90
"""In place of the type of a ClientHello: OFFER and a place in IDENTITIES offers that one, or all of them; OFFER_EARLY says that
early data follows. In TLS 1.2 the first is by ticket, the second by ID."""


def _parsed(kind: Any, raw: bytes) -> Any:
    try:
        return kind.parse(raw)
    except TLSError:
        return None


def _names(kind: int) -> tuple[int, list[bytes]]:
    """What a pseudo type offers, and whether by OFFER or by OFFER_EARLY."""
    base = OFFER if kind < OFFER_EARLY else OFFER_EARLY
    at = kind - base
    every = sessions.IDENTITIES
    return base, [every[at]] if at < len(every) else list(every)


EVERY = len(sessions.IDENTITIES)
"""In place of a place in IDENTITIES: all of them."""


# --- TLS 1.3


class ClientBack(Client):
    """A client that has sessions and keys, for a server of TLS 1.3."""

    offered: tuple[bytes, ...] = ()

    def own(self, kind: int) -> bytes:
        """The messages of a client."""
        if OFFER <= kind <= OFFER_EARLY + EVERY:
            base, names = _names(kind)
            return self._offering(names, early=base == OFFER_EARLY)
        return super().own(kind)

    def _offering(self, names: list[bytes], *, early: bool) -> bytes:
        offered = [(PskIdentity(name, _age(name)), bytes(_hash_length(name))) for name in names]
        identities, binders = [each for each, _ in offered], [each for _, each in offered]
        return self._hello(
            {},
            psk_key_exchange_modes=bytes((PSK_DHE_KE, PSK_KE)),
            early_data=early or None,
            pre_shared_key=OfferedPsks(identities, binders),
        )

    def mended(self, raw: bytes) -> bytes:
        """The binders of a ClientHello, where we have the keys (RFC 9846 section 4.3.11.2)."""
        hello = _parsed(ClientHello, raw) if raw[:1] == bytes((H.CLIENT_HELLO,)) else None
        if hello is None or hello.pre_shared_key is None:
            return raw
        psks = hello.pre_shared_key
        binders = [
            self._binder(identity.identity, binder, hello.without_binders)
            for identity, binder in zip(psks.identities, psks.binders, strict=True)
        ]
        hello.bind(binders)
        return bytes(hello.raw)

    def _binder(self, name: bytes, binder: bytes, partial: bytes) -> bytes:
        psk = sessions.peers_psk(name)
        if psk is None or len(binder) != psk.suite.hash_length:
            return binder
        return psk.secret.binder(hashlib.new(psk.hash, self.transcript + partial).digest())

    def said(self, raw: bytes) -> None:
        """The last hello is the one that counts; early data has keys of its first identity."""
        super().said(raw)
        hello = _parsed(ClientHello, raw) if raw[0] == H.CLIENT_HELLO else None
        if hello is None:
            return
        self.offered = tuple(each.identity for each in hello.pre_shared_key.identities) if hello.pre_shared_key else ()
        psk = sessions.peers_psk(self.offered[0]) if self.offered else None
        if psk is not None:
            digest = hashlib.new(psk.hash, self.transcript).digest()
            self.secrets["early"] = psk.secret.client_traffic(digest)

    def first_stage(self, hello: ServerHello) -> EarlySecret:
        """With the key that the server has chosen."""
        chosen = hello.selected_identity
        known = chosen is not None and chosen < len(self.offered)  # else our hello was sent as bytes of the wire
        return early_secret(sessions.peers_psk(self.offered[chosen]) if known else None, self.suite)


class ServerBack(Server):
    """A server that knows the client's sessions and keys, for a client of TLS 1.3."""

    def own(self, kind: int) -> bytes:
        """The messages of a server."""
        if kind in (FULL, KEY_ALONE, LAST_KEY):
            return self._answer(kind)
        if kind == LATE:
            return self.encrypted_extensions()
        if kind == H.ENCRYPTED_EXTENSIONS:
            hello = self.client_hello
            assert hello is not None
            early = hello.early_data if self._known() else None
            return self.encrypted_extensions(early_data=early, expected_tickets=hello.ticket_request and 1)
        return super().own(kind)

    def _known(self) -> Psk | None:
        """The first key that the client offers, if we have it."""
        assert self.client_hello is not None
        psks = self.client_hello.pre_shared_key
        return None if psks is None else sessions.peers_psk(psks.identities[0].identity)

    def hello(self) -> bytes:
        """One that resumes if it can."""
        return self._answer(KEY_ALONE if self.client_hello and not self.client_hello.key_share else H.SERVER_HELLO)

    def _answer(self, kind: int) -> bytes:
        hello = self.client_hello
        assert hello is not None
        psks = hello.pre_shared_key
        last = len(psks.identities) - 1 if psks else 0
        selected = last if kind == LAST_KEY else 0
        psk = sessions.peers_psk(psks.identities[selected].identity) if psks and kind != FULL else None
        more: dict[str, Any] = {} if kind == KEY_ALONE else {"key_share": self.share()}
        if psk is not None:
            more |= {"selected_identity": selected, "cipher_suite": self._suite_of(psk)}
        return self._hello(bytes(range(32)), **more)

    def _suite_of(self, psk: Psk) -> int:
        """One of the client's that goes with the key: the session's own if there is a choice."""
        assert self.client_hello is not None
        suites = [suite for suite in self.client_hello.cipher_suites if suite in SUITES]
        fitting = [suite for suite in suites if SUITES[suite].hash == psk.hash]
        return next((suite for suite in fitting if suite == psk.suite.id), (fitting or suites or [0])[0])

    def retry_suite(self) -> dict[str, Any]:
        """A retry has the suite that the answer has."""
        psk = self._known()
        return {} if psk is None else {"cipher_suite": self._suite_of(psk)}

    def first_stage(self, hello: ServerHello) -> EarlySecret:
        """With the key that we have chosen, if the client has offered it."""
        psks = self.client_hello.pre_shared_key if self.client_hello else None
        chosen = hello.selected_identity
        psk = None
        if psks is not None and chosen is not None and chosen < len(psks.identities):
            psk = sessions.peers_psk(psks.identities[chosen].identity)
        return early_secret(psk if psk and psk.hash == self.suite.hash else None, self.suite)


def _age(name: bytes) -> int:
    kept = sessions.peers_session(name)
    return 0 if kept is None else (kept.age(NOW) + kept.age_add) % AGE_MODULUS


def _hash_length(name: bytes) -> int:
    psk = sessions.peers_psk(name)
    return 32 if psk is None else psk.suite.hash_length


# --- TLS 1.2


class _Back12(Peer12):
    """What both sides have in common: a session instead of a key exchange."""

    our_hello: ClientHello | None = None

    def resume(self) -> None:
        """The main secret is that of the session which the client's hello names (RFC 5246 section 8.1)."""
        hello = self.our_hello
        kept = None
        if hello is not None:
            kept = sessions.peers_session(hello.session_ticket or hello.legacy_session_id)
        if kept is None or kept.version != ProtocolVersion.TLS_1_2:
            return
        client_random, server_random = self.randoms
        self.main = MainSecret.resumed(self.suite, kept.secret, (client_random, server_random))
        self.secrets_of(self.main)


class ClientBack12(_Back12, Client12):
    """A client that has sessions, for a server of TLS 1.2."""

    def own(self, kind: int) -> bytes:
        """The messages of a client."""
        if kind == H.CLIENT_HELLO:
            return self._hello(session_ticket=b"")
        if OFFER <= kind <= OFFER_EARLY + EVERY:
            base, names = _names(kind)
            by_id = {"legacy_session_id": names[0], "session_ticket": None}
            return self._hello(**(by_id if base == OFFER_EARLY else {"session_ticket": names[0]}))
        return super().own(kind)

    def said(self, raw: bytes) -> None:
        """Our hello names the session."""
        super().said(raw)
        if raw[0] == H.CLIENT_HELLO:
            self.our_hello = _parsed(ClientHello, raw)

    def heard(self, raw: bytes) -> None:
        """The server resumes if it says our ID (RFC 5246 section 7.4.1.3)."""
        super().heard(raw)
        if raw[0] == H.SERVER_HELLO and self.our_hello is not None:
            echo = ServerHello.parse(raw).legacy_session_id_echo
            if echo and echo == self.our_hello.legacy_session_id:
                self.resume()


class ServerBack12(_Back12, Server12):
    """A server that knows the client's sessions, for a client of TLS 1.2."""

    def own(self, kind: int) -> bytes:
        """The messages of a server."""
        hello = self.client_hello
        assert hello is not None
        if kind in (H.SERVER_HELLO, RESUMED, FULL):
            kept = sessions.peers_session(hello.session_ticket or hello.legacy_session_id)
            resumed = kind == RESUMED or (kind != FULL and kept is not None)
            by_id = resumed and not hello.session_ticket
            promised = hello.session_ticket is not None and not by_id
            more: dict[str, Any] = {"session_ticket_promised": promised or None}
            if kept is not None and resumed and kept.suite_id in SUITES_12:
                more["cipher_suite"] = kept.suite_id
            return self._hello(resumed=resumed, **more)
        if kind == H.NEW_SESSION_TICKET:
            return NewSessionTicket12(3_600, b"another ticket").encode()
        return super().own(kind)

    def said(self, raw: bytes) -> None:
        """With the client's ID in our hello it is resumed."""
        super().said(raw)
        hello = self.client_hello
        answer = _parsed(ServerHello, raw) if raw[0] == H.SERVER_HELLO else None
        if hello is None or answer is None or answer.version != ProtocolVersion.TLS_1_2:
            return
        if answer.legacy_session_id_echo and answer.legacy_session_id_echo == hello.legacy_session_id:
            self.our_hello = hello
            self.resume()


TICKETS_OF_13 = [
    message(H.NEW_SESSION_TICKET, bytes.fromhex(body))
    for body in (
        "00093a80 00000000 00 0001 74 0000",  # for seven days
        "00093a81 00000000 00 0001 74 0000",  # for a second more
        "00000000 00000000 00 0001 74 0000",  # to be thrown away
        "ffffffff ffffffff 01 01 0001 74 0008 002a0004 ffffffff",
    )
]
"""Tickets at the limits of what they may say."""
