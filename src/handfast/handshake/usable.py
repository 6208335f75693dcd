"""Whether a session may be gone on with: it has to stand for what a full handshake here and now would show."""

from __future__ import annotations

import hmac
from datetime import datetime

from handfast.certificates.identity import Identity
from handfast.config import ClientConfig, ServerConfig
from handfast.crypto.suites import SUITES
from handfast.handshake.flow import ChooseIdentity, FindPsk, Flow
from handfast.handshake.link import Link
from handfast.limits import TICKET_OFFERED
from handfast.sessions.external import ExternalPsk
from handfast.sessions.session import CLOCKS, Basis, Session
from handfast.sessions.verdict import WhyNot
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.hello import ClientHello


def fingerprint(key: ExternalPsk) -> bytes:
    """Tells keys from outside apart, in the sessions that stand on one."""
    return hmac.digest(key.key, key.identity, "sha256")


def _proof_counts(config: ClientConfig | ServerConfig, session: Session) -> bool:
    """Whether the scheme by which the peer has proved itself would still do."""
    return not session.chain or session.scheme in config.scheme_ids or session.scheme in config.scheme_12_ids


# --- the client ---------------------------------------------------------------------------------------------------


def obstacle(config: ClientConfig, session: Session, server_name: str | None, now: datetime) -> WhyNot | None:
    """Why a client may not offer a session; None if it may.

    Same name, same trust, a client identity that we still have, and algorithms that we still offer. Where the server has
    shown no certificate, but a key from outside, we still have to have that key.
    """
    if session.version not in config.versions:
        return WhyNot.OTHER_VERSION
    if not session.ticket and (session.version == ProtocolVersion.TLS_1_3 or not session.session_id):
        return WhyNot.NONE_KEPT
    if not session.is_valid(now):
        return WhyNot.EXPIRED
    if len(session.ticket) > TICKET_OFFERED:
        return WhyNot.TICKET_TOO_LONG
    return _algorithm_obstacle(config, session) or _standing_obstacle(config, session, server_name)


def _algorithm_obstacle(config: ClientConfig, session: Session) -> WhyNot | None:
    in_13 = session.version == ProtocolVersion.TLS_1_3
    if in_13 and session.suite.hash not in {SUITES[suite].hash for suite in config.suite_ids}:
        return WhyNot.OTHER_HASH
    if not in_13 and session.suite_id not in config.suite_12_ids:
        return WhyNot.OTHER_SUITE
    if not in_13 and session.group not in config.group_ids:  # in TLS 1.3 there is a fresh key exchange, or none
        return WhyNot.OTHER_ALGORITHM
    return None if _proof_counts(config, session) else WhyNot.OTHER_ALGORITHM


def _standing_obstacle(config: ClientConfig, session: Session, server_name: str | None) -> WhyNot | None:
    if session.server_name != server_name:
        return WhyNot.OTHER_NAME
    if not session.trust or not hmac.compare_digest(session.trust, config.trust_id):
        return WhyNot.OTHER_TRUST
    identity = session.basis.identity
    if session.chain:
        proven = not identity or identity in {ours.fingerprint for ours in config.identities}
    else:
        proven = identity in {fingerprint(key) for key in config.psks}
    return None if proven else WhyNot.OTHER_IDENTITY


# --- the server ---------------------------------------------------------------------------------------------------


def known_session(
    link: Link, config: ServerConfig, hello: ClientHello, state: bytes | None, version: int
) -> Flow[Session | None]:
    """The session that was sealed or stored, if it may go on here and now; why not, ``link.resumption`` says."""
    found = link.resumption
    assert found is not None, "the client has shown something"
    session = None if state is None else Session.decode(state)
    if session is None:
        found.refuse(WhyNot.UNKNOWN)
        return None
    now = link.clock.wall()
    found.seen(session, now)
    why_not = objection(config, session, hello, version, now)
    if why_not is None:
        why_not = yield from objection_to_basis(config, session.basis, hello)
    if why_not is not None:
        found.refuse(why_not, session)
        return None
    return session


def objection(config: ServerConfig, session: Session, hello: ClientHello, version: int, now: datetime) -> WhyNot | None:
    """Why a session does not stand for what a full handshake with this configuration would show; None if it does.

    Same name, same trust in clients, and a client certificate where one is required. Where keys from outside are all that
    proves who a client is, the session has to stand on one.
    """
    if session.version != version:
        return WhyNot.OTHER_VERSION
    if version == ProtocolVersion.TLS_1_2 and not (
        session.suite_id in hello.cipher_suites and session.suite_id in config.suite_12_ids
    ):
        return WhyNot.OTHER_SUITE
    if session.server_name != hello.server_name:
        return WhyNot.OTHER_NAME
    if not session.is_valid(now, ahead=CLOCKS):
        return WhyNot.EXPIRED
    if not session.trust or not hmac.compare_digest(session.trust, config.trust_id):
        return WhyNot.OTHER_TRUST
    if not _proof_counts(config, session):
        return WhyNot.OTHER_ALGORITHM
    by_key = bool(session.basis.identity)
    without_certificate = not config.identities and config.choose_identity is None
    unproven = config.demand == "required" and not session.chain
    if (by_key and config.psks is None) or (without_certificate and not by_key) or unproven:
        return WhyNot.OTHER_IDENTITY
    return None


def objection_to_basis(config: ServerConfig, basis: Basis, hello: ClientHello) -> Flow[WhyNot | None]:
    """Why we would not be who we were, or the client not be let in by the key from outside that it had; None if all is so.

    Servers may share the keys of tickets, and not be the same: a client of one must not find itself at another. So the
    certificate that the session was made under has to be one of ours, and right for the name that the client asks for.
    """
    if basis.identity:
        key: ExternalPsk | None = yield FindPsk(basis.key_name)
        there = key is not None and hmac.compare_digest(fingerprint(key), basis.identity)
        return None if there else WhyNot.OTHER_IDENTITY
    chosen: Identity | None = None
    if config.choose_identity is not None:
        chosen = yield ChooseIdentity(hello)
    ours = config.identities if chosen is None else [chosen]
    if all(identity.fingerprint != basis.shown for identity in ours):
        return WhyNot.OTHER_CERTIFICATE
    if chosen is None and config.unknown_names == "refuse" and hello.server_name is not None:
        return None if any(identity.fits(hello.server_name) for identity in ours) else WhyNot.OTHER_CERTIFICATE
    return None
