"""Pre-shared keys: what a client offers, which one a server takes, and how both prove to have it (RFC 9846 section 4.3.11)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from handfast.certificates.peer import PeerIdentity
from handfast.config import ClientConfig, ServerConfig
from handfast.crypto.guard import Guarded
from handfast.crypto.schedule13 import EarlySecret, PskSecret
from handfast.crypto.suites import SUITES, Suite
from handfast.errors import PeerMisbehaved, TLSError
from handfast.handshake.flow import CheckPeer, FindPsk, Flow, LoadSession, OpenTicket
from handfast.handshake.link import Link
from handfast.handshake.negotiate import required, suites_in_order
from handfast.handshake.usable import fingerprint, known_session, obstacle
from handfast.limits import TICKETS_OPENED
from handfast.reasons import (
    BAD_BINDER,
    CALLBACK_FAILED,
    HELLO_CHANGED,
    PSK_MODE_NOT_OFFERED,
    PSK_NOT_OFFERED,
    WRONG_PSK_HASH,
)
from handfast.sessions.external import ExternalPsk
from handfast.sessions.session import Basis, Session
from handfast.sessions.verdict import Resumption, WhyNot
from handfast.wire.codepoints import ExtensionType, ProtocolVersion
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.psk import PSK_DHE_KE, PSK_KE, OfferedPsks, PskIdentity

AGE_MODULUS = 1 << 32


@dataclass(slots=True, repr=False)
class Psk(Guarded):
    """A key that both sides have, and where it is from.

    ``source``  a Session that is to be resumed, or a key from outside
    ``suite``   one that it goes with: the session's own, or the first of the key's hash
    ``secret``  the first stage of the key schedule, with that suite
    """

    source: Session | ExternalPsk
    suite: Suite
    secret: PskSecret

    @classmethod
    def of(cls, source: Session | ExternalPsk) -> Psk:
        """With the first stage of the key schedule."""
        if isinstance(source, Session):
            suite, key, purpose = source.suite, source.secret, "res"
        else:
            suite = next(suite for suite in SUITES.values() if suite.hash == source.hash)
            key, purpose = source.key, source.purpose
        return cls(source, suite, PskSecret(suite, key, purpose))

    @property
    def session(self) -> Session | None:
        """The session to resume; None for a key from outside."""
        return self.source if isinstance(self.source, Session) else None

    @property
    def hash(self) -> str:
        """Of the suites that it goes with."""
        return self.suite.hash

    @property
    def basis(self) -> Basis:
        """What a session of a connection with it stands on. A key from outside proves each time who the peer is."""
        source = self.source
        return source.basis if isinstance(source, Session) else Basis(0, fingerprint(source), source.identity)


def known_peer(config: ClientConfig | ServerConfig, psk: Psk) -> Flow[tuple[PeerIdentity | None, int]]:
    """Who the peer proved to be when the session was made, and by which scheme.

    It has the session's key only if it still is; whether it is still welcome, the application is asked.
    """
    session = psk.session
    peer = None if session is None else session.peer()
    if peer is not None and config.check_peer is not None:
        yield CheckPeer(peer)
    return peer, 0 if session is None else session.scheme


# --- the client ---------------------------------------------------------------------------------------------------


def session_to_offer(
    link: Link, config: ClientConfig, server_name: str | None, given: Session | None
) -> Flow[Session | None]:
    """The session to offer: what the application has given, or what its store has, if it may be used here and now."""
    session = given
    if session is None:
        if config.sessions is None:
            return None
        session = yield LoadSession(server_name)
    found = link.resumption = Resumption()
    if session is None:
        found.refuse(WhyNot.NONE_KEPT)
        return None
    why_not = obstacle(config, session, server_name, link.clock.wall())
    if why_not is None:
        return session
    found.refuse(why_not, session)
    is_taken_out = given is None and session.version == ProtocolVersion.TLS_1_3
    if config.sessions is not None and is_taken_out and why_not is not WhyNot.EXPIRED:
        config.sessions.put(session)  # others may use it
    return None


def offered_psks(config: ClientConfig, session: Session | None) -> list[Psk]:
    """What the ClientHello offers: the session, and the keys from outside."""
    found: list[Psk] = []
    if session is not None and session.version == ProtocolVersion.TLS_1_3:
        found.append(Psk.of(session))
    hashes = {SUITES[suite].hash for suite in config.suite_ids}
    found += [Psk.of(key) for key in config.psks if key.hash in hashes]
    return found


def put_into(link: Link, hello: ClientHello, psks: Sequence[Psk]) -> None:
    """Add the extension, with binders that are still empty."""
    now = link.clock.wall()
    identities = []
    for each in psks:
        source = each.source
        if isinstance(source, Session):
            age = (source.age(now) + source.age_add) % AGE_MODULUS
            identities.append(PskIdentity(source.ticket, age))
        else:
            identities.append(PskIdentity(source.identity))
    hello.pre_shared_key = OfferedPsks(identities, [bytes(each.suite.hash_length) for each in psks])


def bind(link: Link, hello: ClientHello, psks: Sequence[Psk]) -> None:
    """Prove that we have the keys: binders over all that was said up to them (RFC 9846 section 4.3.11.2)."""
    partial = hello.without_binders
    hello.bind([each.secret.binder(link.transcript.digest_with(each.hash, partial)) for each in psks])


def note_offer(link: Link, session: Session | None, psks: Sequence[Psk]) -> None:
    """What we have offered, for those who ask later what became of it."""
    if session is None and not psks:
        return
    found = link.resumption = link.resumption or Resumption()
    if session is None:
        found.by, found.why_not = "external PSK", None
    else:
        found.by = "ticket" if session.ticket else "session ID"
        found.seen(session, link.clock.wall())


def note_answer(link: Link, session: Session | None, suite: Suite, taken: Psk | Session | None) -> None:
    """Which of it the server has taken. Of the rest it does not say why not."""
    found = link.resumption
    if found is None or found.by is None:
        return
    if isinstance(taken, Psk) and isinstance(taken.source, ExternalPsk):
        found.by, found.age, found.identity = "external PSK", None, taken.source.name
    elif taken is None and session is not None and session.version != link.version:
        found.refuse(WhyNot.OTHER_VERSION, session)
    elif taken is None and session is not None and session.suite.hash != suite.hash:
        found.refuse(WhyNot.OTHER_HASH, session)
    elif taken is None:
        found.refuse(WhyNot.NOT_TAKEN)


def agreed_psk(psks: Sequence[Psk], answer: ServerHello, suite: Suite, modes: bytes) -> Psk | None:
    """The PSK that the server has selected; None for a handshake with certificates."""
    if answer.selected_identity is None:
        return None
    if answer.selected_identity >= len(psks):
        raise PeerMisbehaved(PSK_NOT_OFFERED, selected=answer.selected_identity, we_offered=len(psks))
    chosen = psks[answer.selected_identity]
    if chosen.hash != suite.hash:
        raise PeerMisbehaved(WRONG_PSK_HASH, psk=chosen.hash, suite=suite.name)
    if (PSK_KE if answer.key_share is None else PSK_DHE_KE) not in modes:
        raise PeerMisbehaved(PSK_MODE_NOT_OFFERED)
    return chosen


# --- the server ---------------------------------------------------------------------------------------------------


@dataclass(slots=True, repr=False)
class Chosen(Guarded):
    """What a server has taken of the client's offer.

    ``index``     its place in the offer, ``identity`` its name there
    ``suite``     to use with it: the one we prefer, or for a key from outside the first of its hash
    ``with_dhe``  whether there is a key exchange as well
    """

    psk: Psk
    index: int
    identity: bytes
    suite: Suite
    with_dhe: bool


def choose_psk(link: Link, config: ServerConfig, hello: ClientHello, suite: Suite) -> Flow[Chosen | None]:
    """The first PSK of the client's that we know and may use; None for a full handshake. ``suite``: what we prefer.

    Its binder has to be right: a wrong one is an attack, or a bug, and no reason to go on with a full handshake.
    """
    offered = hello.pre_shared_key
    if offered is None:
        return None
    modes = required(hello.psk_key_exchange_modes, ExtensionType.PSK_KEY_EXCHANGE_MODES)
    mode = next((mode for mode in config.psk_mode_ids if mode in modes), None)
    verdicts: list[Resumption] = []
    for index, identity in enumerate(offered.identities if mode is not None else ()):
        verdicts.append(Resumption("ticket"))
        link.resumption = verdicts[-1]
        source = yield from _known(link, config, hello, index, identity)
        if source is None:
            continue
        candidate = Psk.of(source)
        fitting = suite if candidate.session is not None else _suite_for(config, hello, suite, candidate)
        if candidate.hash != fitting.hash:
            link.resumption.refuse(WhyNot.OTHER_HASH, candidate.session)
            continue
        chosen = Chosen(candidate, index, identity.identity, fitting, mode == PSK_DHE_KE)
        check_binder(link, hello, chosen)
        return chosen
    link.resumption = verdicts[0] if verdicts else Resumption("ticket", why_not=WhyNot.OTHER_MODE)
    return None


def chosen_again(link: Link, hello: ClientHello, chosen: Chosen | None) -> Chosen | None:
    """The same PSK in the second ClientHello, which the client has to offer again (RFC 9846 section 4.2.2).

    Nobody is asked for it a second time: a ticket may be good for once.
    """
    if chosen is None:
        return None
    offered = [] if hello.pre_shared_key is None else [each.identity for each in hello.pre_shared_key.identities]
    if chosen.identity not in offered:
        raise PeerMisbehaved(HELLO_CHANGED, differing=[ExtensionType.name(ExtensionType.PRE_SHARED_KEY)])
    again = replace(chosen, index=offered.index(chosen.identity))
    check_binder(link, hello, again)
    return again


def check_binder(link: Link, hello: ClientHello, chosen: Chosen) -> None:
    """That the client has the PSK (RFC 9846 section 4.3.11.2)."""
    assert hello.pre_shared_key is not None, "a PSK was chosen of it"
    digest = link.transcript.digest_with(chosen.psk.hash, hello.without_binders)
    if not hmac.compare_digest(chosen.psk.secret.binder(digest), hello.pre_shared_key.binders[chosen.index]):
        raise PeerMisbehaved(BAD_BINDER)


def _suite_for(config: ServerConfig, hello: ClientHello, preferred: Suite, psk: Psk) -> Suite:
    """The common suite that goes with a key from outside: there may be nothing but that key to prove who is who."""
    common = suites_in_order(config.suite_ids, hello.cipher_suites, config.suite_order == "client")
    return next((SUITES[suite] for suite in common if SUITES[suite].hash == psk.hash), preferred)


def _known(
    link: Link, config: ServerConfig, hello: ClientHello, index: int, identity: PskIdentity
) -> Flow[Session | ExternalPsk | None]:
    """The session or key that an identity stands for."""
    found = link.resumption
    assert found is not None, "the client has shown something"
    if config.psks is not None and (index < TICKETS_OPENED or isinstance(config.psks, Mapping)):
        key: ExternalPsk | None = yield FindPsk(identity.identity)
        if key is not None and key.role != "server":  # one key has one direction (Selfie, RFC 9257 section 4.1)
            raise TLSError(CALLBACK_FAILED, question=FindPsk.NAME, problem=f"the key is for a {key.role}")
        if key is not None:
            found.by, found.identity = "external PSK", key.name
            return key
    if config.tickets is None or index >= TICKETS_OPENED:
        found.refuse(WhyNot.OFF)
        return None
    state: bytes | None = yield OpenTicket(identity.identity)
    return (yield from known_session(link, config, hello, state, ProtocolVersion.TLS_1_3))


def early_secret(agreed: Psk | None, suite: Suite) -> EarlySecret:
    """The first stage of the key schedule, with or without a PSK; of the suite that was agreed, which may be another."""
    return EarlySecret(suite) if agreed is None else agreed.secret.for_suite(suite)
