"""Sessions, keys and early data of the connections under test, and what has to hold of them.

A ticket is a name here, and the peer knows the key that belongs to each name. So a play can offer any of the sessions, the
right ones and those that may not be resumed, and a changed ClientHello has binders that are right all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fuzz.credentials import NOW, SERVER_NAME, identity, trust
from handfast.config import ClientConfig, ServerConfig
from handfast.connection import Event
from handfast.events import ApplicationData, EarlyData, EarlyDataRejected, Handshake, SessionReceived
from handfast.handshake.psk import Psk, fingerprint
from handfast.limits import SESSION_SECONDS
from handfast.sessions.external import ExternalPsk
from handfast.sessions.session import CLOCKS, Basis, Session, milliseconds
from handfast.wire.codepoints import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme

EARLY = b"early data"
_NOW = milliseconds(NOW)
_HOUR = 3_600_000
_CLIENT = identity("client.example")


def _secret(name: str, length: int) -> bytes:
    return hashlib.shake_256(name.encode("ascii")).digest(length)


def _keys(role: Any) -> list[ExternalPsk]:
    secret = _secret("key", 32)
    return [
        ExternalPsk(b"key", secret, role=role),
        ExternalPsk.imported(b"imported", secret, role=role, hash_name="sha384"),
    ]


KEYS = {key.identity: key for key in _keys("server")}
"""The keys from outside, by identity."""
KEY, IMPORTED = KEYS


def _of_13(**facts: Any) -> dict[str, Any]:
    return {
        "version": ProtocolVersion.TLS_1_3,
        "suite_id": CipherSuite.TLS_AES_128_GCM_SHA256,
        "group": NamedGroup.X25519,
        "protocol": b"h2",
        "max_early_data": 200,
        **facts,
    }


def _of_12(**facts: Any) -> dict[str, Any]:
    suite = CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    return {
        "version": ProtocolVersion.TLS_1_2,
        "suite_id": suite,
        "group": NamedGroup.X25519,
        "protocol": None,
        **facts,
    }


_CHAIN = {"chain": _CLIENT.chain, "path": _CLIENT.chain, "scheme": SignatureScheme.ED25519}
_FACTS: dict[str, dict[str, Any]] = {
    "good": _of_13(),
    "other hash": _of_13(suite_id=CipherSuite.TLS_AES_256_GCM_SHA384),
    "no early data": _of_13(protocol=None, max_early_data=0),
    "no protocol": _of_13(protocol=None),
    "client": _of_13(**_CHAIN),
    "key": _of_13(basis={"identity": fingerprint(KEYS[KEY]), "key_name": KEY}),
    "old": _of_13(issued=_NOW - 2 * _HOUR, expires=_NOW),
    "future": _of_13(issued=_NOW + CLOCKS + 1),
    "other name": _of_13(server_name="other.example"),
    "other trust": _of_13(trust=b"somebody else's"),
    "other certificate": _of_13(basis={"shown": bytes(32)}),
    "stolen": _of_13(),
    "1.2": _of_12(),
    "1.2 client": _of_12(**_CHAIN),
    "1.2 other suite": _of_12(suite_id=CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    "1.2 old": _of_12(issued=_NOW - 2 * _HOUR, expires=_NOW),
    "1.2 other name": _of_12(server_name="other.example"),
    "1.2 stolen": _of_12(),
}
TICKETS = tuple(name.encode("ascii") for name in _FACTS)
"""The tickets, which are their names; of some the peer has another secret ("stolen"), some may not be used."""
DAMAGED = b"damaged"
"""One that opens to something that is no session."""
IDENTITIES = (*TICKETS, DAMAGED, *KEYS)
"""All that a client can offer. What is new goes to the end: a play names it by its place."""


def session(ticket: bytes, *, trusted: bytes, theirs: bool = False) -> Session:
    """The session of a ticket. ``trusted``: what it stands on; ``theirs``: as the peer has it."""
    name = ticket.decode("ascii")
    length = 48 if "1.2" in name or name == "other hash" else 32
    whose = f"their {name}" if theirs and name.endswith("stolen") else name
    facts: dict[str, Any] = {"server_name": SERVER_NAME, "scheme": 0, "issued": _NOW - 1_000, "expires": _NOW + _HOUR}
    facts |= {"trust": trusted, "age_add": 7, **_FACTS[name]}
    facts["basis"] = Basis(_NOW - _HOUR, **facts.get("basis", {"shown": identity().fingerprint}))
    return Session(secret=_secret(whose, length), **facts)


def peers_session(ticket: bytes) -> Session | None:
    """What the peer has for a ticket, None for one that it has never seen."""
    return session(ticket, trusted=b"", theirs=True) if ticket in TICKETS else None


def peers_psk(name: bytes) -> Psk | None:
    """The key that the peer has for an identity."""
    source = KEYS.get(name) or peers_session(name)
    if source is None or (isinstance(source, Session) and source.version != ProtocolVersion.TLS_1_3):
        return None
    return Psk.of(source)


def clients_session(name: str, config: ClientConfig) -> Session:
    """What our client keeps: the server has proved who it is, and there is a ticket, or an ID in its place."""
    ticket = name.removesuffix(" by ID").encode("ascii")
    kept = session(ticket, trusted=config.trust_id)
    if not kept.basis.identity:  # else it has shown a key from outside
        kept.chain = kept.path = identity().chain
        kept.scheme = SignatureScheme.ED25519
    kept.ticket, kept.session_id = (b"", ticket) if name.endswith(" by ID") else (ticket, b"")
    return kept


@dataclass
class Memory:
    """What one connection under test has in stores, and what became of it: its tickets, cache, guard and keys.

    ``admits``    what the guard says
    ``trust``     what the sessions stand on
    ``found``     on a server the sessions that a ticket or ID was opened to, and the keys from outside that were found; on
                  a client what it can offer
    ``admitted``  whether the guard has said yes; ``completed``  whether the handshake is complete
    ``required``  whether a client has to have a certificate
    ``ours, early``  on the client: the session to resume, and the early data
    """

    admits: bool = True
    trust: bytes = b""
    found: list[Session | ExternalPsk] = field(default_factory=list)
    admitted: bool = False
    completed: bool = False
    required: bool = False
    ours: Session | None = None
    early: bytes = b""
    _kept: dict[bytes, bytes] = field(default_factory=dict)

    # --- a TicketSealer and a SessionCache

    def seal(self, state: bytes, seconds: int) -> bytes:
        """A ticket is a name."""
        assert 0 < seconds <= SESSION_SECONDS
        check_state(state)
        ticket = b"given %d" % len(self._kept)
        self._kept[ticket] = state
        return ticket

    def open(self, ticket: bytes) -> bytes | None:
        """The state of a name."""
        if ticket == DAMAGED:
            return b"\x02 of no use"
        if ticket in self._kept:
            return self._kept[ticket]
        if ticket not in TICKETS:
            return None
        found = session(ticket, trusted=self.trust)
        self.found.append(found)
        return found.encode()

    def store(self, session_id: bytes, state: bytes, seconds: int) -> None:
        """Keep a state under an ID."""
        assert len(session_id) == 32
        self._kept[session_id] = state
        check_state(state)

    def load(self, session_id: bytes) -> bytes | None:
        """The state of an ID."""
        return self.open(session_id)

    # --- a ReplayGuard, and keys from outside

    def admit(self, binder: bytes, seconds: float) -> bool:
        """Whether early data is taken."""
        assert len(binder) >= 32
        self.admitted = self.admits
        return self.admits

    def find(self, name: bytes) -> ExternalPsk | None:
        """The key of this name."""
        key = KEYS.get(name)
        if key is not None:
            self.found.append(key)
        return key

    # --- a SessionStore

    def put(self, kept: Session) -> None:
        """Nothing is kept."""

    def take(self, server_name: str | None) -> Session | None:
        """The session that is to be resumed."""
        return self.ours

    # --- configurations

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a configuration, with this memory wherever it keeps something."""
        self.admits = given.get("admits", True)
        settings = {"sessions": self, "tickets": self, "session_cache": self, "early_data": self, **given}
        if given.get("with_keys"):
            settings["psks"] = self.find
        return settings

    def use(self, config: ClientConfig | ServerConfig, settings: Mapping[str, Any]) -> None:
        """The configuration is there: sessions stand on what it trusts."""
        self.trust = config.trust_id
        if isinstance(config, ServerConfig):
            self.required = config.demand == "required"
            return
        name = settings.get("session")
        self.ours = None if name is None else clients_session(name, config)
        self.found = [*config.psks, *([self.ours] if self.ours else [])]
        data = settings.get("early_data")
        self.early = data if isinstance(data, bytes) else b""

    # --- what has to hold

    def check_act(self, sends: bool) -> None:
        """Our application could do something: it sends no data before it may."""
        if sends:
            assert self.completed or self.admitted, "data may be sent before the handshake is complete"

    def check(self, event: Event) -> None:
        """An event came out of the connection."""
        if isinstance(event, ApplicationData):
            assert self.completed, "application data before the handshake is complete"
        elif isinstance(event, EarlyData):
            assert self.admitted, "early data that the guard has not admitted"
            assert not self.completed, "early data after the handshake"
        elif isinstance(event, EarlyDataRejected):
            assert event.data == self.early, "rejected data that was never sent"
        elif isinstance(event, SessionReceived):
            check_state(event.session.encode())
            assert event.session.trust == self.trust
            assert event.session.server_name == SERVER_NAME

    def check_facts(self, facts: Handshake, *, is_server: bool) -> None:
        """The handshake is complete."""
        self.completed = True
        if facts.early_data == "accepted":
            assert facts.resumed, "early data without a session"
            assert not is_server or self.admitted, "early data that the guard has not admitted"
        self._check_report(facts)
        if not facts.resumed:
            return
        allowed = [each for each in self.found if self._allows(each, facts)]
        assert allowed, "resumed, though no session allows it"
        chains = [each.chain if isinstance(each, Session) else () for each in allowed]
        assert (() if facts.peer is None else facts.peer.chain) in chains, "the peer is somebody else"

    def _check_report(self, facts: Handshake) -> None:
        """What is said of it is what happened."""
        report = facts.resumption
        if report is None:
            assert not facts.resumed
            assert facts.early_data != "accepted"  # it may come without anything to come back with
            return
        assert facts.resumed == (report.why_not is None), report
        assert report.by or not facts.resumed, report
        if facts.early_data is not None:
            assert (facts.early_data == "accepted") == (report.why_not_early is None), report

    def _allows(self, kept: Session | ExternalPsk, facts: Handshake) -> bool:
        """Whether this may have been resumed."""
        if isinstance(kept, ExternalPsk):
            return facts.version == "TLSv1.3"
        return (
            ProtocolVersion.name(kept.version) == facts.version
            and kept.issued <= _NOW + CLOCKS
            and kept.expires > _NOW
            and kept.server_name == facts.server_name
            and kept.trust == self.trust
            and (kept.basis.identity or kept.basis.shown == identity().fingerprint)
            and (bool(kept.chain) or not self.required)
            and kept.secret not in _STOLEN
        )


# What the peer does not have: with these nothing is ever resumed.
_STOLEN = [session(ticket, trusted=b"").secret for ticket in TICKETS if ticket.endswith(b"stolen")]


def check_state(state: bytes) -> None:
    """What is sealed or kept can be read again, and is not kept for too long."""
    kept = Session.decode(state)
    assert kept is not None, "a session that nobody can read"
    assert kept.encode() == state
    assert kept.expires <= kept.basis.verified + 1_000 * SESSION_SECONDS
    assert kept.expires <= _NOW + 1_000 * SESSION_SECONDS


# --- configurations

CLIENTS_BACK: dict[str, dict[str, Any]] = {
    "default": {"session": "good", "early_data": EARLY},
    "no early data": {"session": "no early data", "ticket_request": (2, 1)},
    "keys": {"session": "key", "psks": _keys("client"), "psk_modes": ["psk_dhe_ke", "psk_ke"]},
    "no share": {"session": "good", "early_data": EARLY, "key_shares": [], "groups": ["secp256r1", "x25519"]},
    "two hashes": {"session": "other hash", "psks": _keys("client"), "key_shares": [], "groups": ["secp256r1"]},
    "too much": {"session": "no protocol", "early_data": bytes(201), "record_size_limit": 64},
    "old": {"session": "old", "early_data": EARLY},
    "other name": {"session": "other name"},
    "other trust": {"session": "other trust", "early_data": EARLY},
    "stolen": {"session": "stolen", "early_data": EARLY},
}
SERVERS_BACK: dict[str, dict[str, Any]] = {
    "default": {},
    "replayed": {"admits": False},
    "keys": {"identities": [], "psk_modes": ["psk_dhe_ke", "psk_ke"], "with_keys": True},
    "required": {"client_authentication": "required", "client_trust": trust()},
    "retry": {"retry": "always", "cookie_key": bytes(32)},
    "groups": {"groups": ["secp256r1"], "psk_modes": ["psk_ke", "psk_dhe_ke"], "with_keys": True},
    "no early data": {
        "early_data": None,
        "cipher_suites": ["TLS_AES_256_GCM_SHA384"],
        "ticket_lifetime": 1,
        "ticket_count": 16,
    },
    "small": {"record_size_limit": 64, "max_early_data": 0, "ticket_count": 0, "alpn": []},
}
CLIENTS_BACK_12: dict[str, dict[str, Any]] = {
    "default": {"session": "1.2"},
    "by ID": {"session": "1.2 by ID", "max_version": "1.2"},
    "first": {"session": None},
    "fallen back": {"session": "good"},
    "old": {"session": "1.2 old", "max_version": "1.2"},
    "stolen": {"session": "1.2 stolen"},
}
SERVERS_BACK_12: dict[str, dict[str, Any]] = {
    "default": {},
    "cache": {"tickets": None, "max_version": "1.2"},
    "no cache": {"session_cache": None, "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]},
    "required": {"client_authentication": "required", "client_trust": trust()},
}
CONFIGURATIONS = {
    "client_back": CLIENTS_BACK,
    "server_back": SERVERS_BACK,
    "client_back_12": CLIENTS_BACK_12,
    "server_back_12": SERVERS_BACK_12,
}
"""Configurations with sessions, by the side under test and the version that its peer speaks."""
