"""The one JSON object of `handfast connect --json`; docs/schema/connect.json describes it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from handfast.certificates.parsed import Parsed, parsed
from handfast.certificates.peer import PeerIdentity
from handfast.certificates.surplus import Surplus
from handfast.certificates.surplus import surplus as found_in
from handfast.cli.facts import ClientProof, Retry
from handfast.cli.hints import hints
from handfast.errors import CertificateError, TLSError, shown
from handfast.events import Handshake
from handfast.observe import explain
from handfast.observe.tap import Seen
from handfast.transport.starttls.dialogue import Dialogue
from handfast.wire.codepoints import AlertDescription

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handfast.certificates.aia import Attempt
    from handfast.cli.visit import Visit


def messages(seen: list[Seen]) -> list[dict[str, Any]]:
    """The messages, in their order."""
    return [
        {
            "direction": "sent" if item.sent else "received",
            "type": item.name,
            "length": item.length,
            "at_ms": _ms(item.at),
            "encrypted": item.encrypted,
            "summary": explain.summary(item.message),
        }
        for item in seen
    ]


def agreed(facts: Handshake | None) -> dict[str, Any]:
    """What was agreed; null for everything that was not reached."""
    if facts is None:
        names = ("version", "cipher_suite", "group", "signature_scheme", "alpn", "peer")
        return {**dict.fromkeys(names), "resumed": False, "verified": False}
    return {
        "version": facts.version,
        "cipher_suite": facts.cipher_suite,
        "group": facts.group,
        "signature_scheme": facts.signature_scheme,
        "resumed": facts.resumed,
        "alpn": None if facts.alpn is None else shown(facts.alpn),
        "peer": None if facts.peer is None else peer(facts.peer),
        "verified": facts.peer is not None and facts.peer.verified_by == "chain",
    }


def nothing() -> dict[str, Any]:
    """What there is to say where no connection was begun."""
    return {
        **agreed(None),
        "starttls": None,
        "hello_retry_request": None,
        "session": None,
        "early_data": None,
        "fetches": None,
        "surplus": None,
        "client_certificate": None,
        "exports": [],
        "messages": [],
        "timings_ms": timings(None, None, 0.0),
        "response": None,
    }


def connection(visit: Visit) -> dict[str, Any]:
    """A few words on one connection of several."""
    facts = visit.facts
    return {
        "resumed": facts is not None and facts.resumed,
        "why_not": None if facts is None else visit.session.why_full(facts) or None,
        "early_data": None if visit.early is None else visit.early.outcome,
        "tcp_connect_ms": None if visit.tcp_seconds is None else _ms(visit.tcp_seconds),
        "handshake_ms": None if facts is None else _ms(facts.timings.handshake),
        "sent": visit.trace.sent.bytes,
        "received": visit.trace.received.bytes,
    }


def starttls(dialogue: Dialogue | None) -> dict[str, Any] | None:
    """What was said before TLS; null if TLS came first."""
    if dialogue is None:
        return None
    said = [{"direction": "sent" if item.sent else "received", "text": shown(item.text)} for item in dialogue.said]
    return {"protocol": dialogue.protocol.name, "agreed": dialogue.done, "said": said}


def fetches(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    """The addresses that were asked for certificates that a server did not send, and what came."""
    return [
        {
            "url": shown(item.url),
            "found": len(item.found),
            "cached": item.cached,
            "error": None if item.failed is None else error(item.failed),
        }
        for item in attempts
    ]


def unneeded(facts: Handshake | None) -> list[dict[str, Any]] | None:
    """What of the server's chain need not be there; null where no chain was sent and verified."""
    if facts is None or facts.resumed or facts.peer is None or facts.peer.verified_by != "chain":
        return None
    return surplus(found_in(facts.peer.chain, facts.peer.path))


def surplus(found: Iterable[Surplus]) -> list[dict[str, Any]]:
    """Certificates that are not needed, by their number of those that came."""
    return [{"number": item.position, "kind": item.kind} for item in found]


def retry(facts: Retry | None) -> dict[str, Any] | None:
    """The HelloRetryRequest; null if there was none."""
    if facts is None:
        return None
    return {
        "selected_group": facts.asked_for,
        "key_shares_sent": list(facts.shares),
        "why": facts.why,
        "remedy": facts.remedy or None,
    }


def client_certificate(proof: ClientProof | None) -> dict[str, Any] | None:
    """Whether the server asked who we are, and what it got; null where the handshake did not get that far."""
    if proof is None:
        return None
    return {
        "requested": proof.requested,
        "sent": None if proof.sent is None else _described(proof.sent),
        "signature_scheme": proof.signature_scheme,
        "not_sent": proof.not_sent,
        "accepted": proof.accepted,
    }


def peer(identity: PeerIdentity) -> dict[str, Any]:
    """Who the peer is, by its certificate."""
    return {
        "subject": shown(identity.subject),
        "issuer": shown(identity.issuer),
        "subject_alternative_names": [shown(name) for name in identity.subject_alternative_names],
        "not_before": identity.not_before.isoformat(),
        "not_after": identity.not_after.isoformat(),
        "chain": [_certificate(der) for der in identity.chain],
    }


def _certificate(der: bytes) -> dict[str, Any]:
    try:
        certificate = parsed(der)
    except CertificateError:
        return {"subject": "", "issuer": "", "not_after": None}
    return _described(certificate)


def _described(certificate: Parsed) -> dict[str, Any]:
    return {
        "subject": shown(certificate.subject),
        "issuer": shown(certificate.issuer),
        "not_after": certificate.not_after.isoformat(),
    }


def timings(facts: Handshake | None, tcp_seconds: float | None, total: float) -> dict[str, Any]:
    """Milliseconds; null for what was not reached."""
    times = facts.timings if facts else None
    return {
        "tcp_connect": None if tcp_seconds is None else _ms(tcp_seconds),
        "handshake": _ms(times.handshake) if times else None,
        "certificate_verification": _ms(times.certificate_verification) if times else None,
        "key_exchange": _ms(times.key_exchange) if times else None,
        "signature": _ms(times.signature) if times else None,
        "total": _ms(total),
    }


def error(problem: TLSError, *, serving: bool = False, given: bool = False) -> dict[str, Any]:
    """Why it failed. ``serving``: it is `handfast serve` that is run. ``given``: the roots are those of --ca."""
    return {
        "type": type(problem).__name__,
        "reason": problem.reason.name,
        "alert": None if problem.alert is None else AlertDescription.name(problem.alert),
        "sent_by": problem.sent_by,
        "step": problem.step,
        "sentence": problem.reason.sentence,
        "evidence": {name: _plain(value) for name, value in problem.evidence.items()},
        "hints": hints(problem, serving=serving, given=given),
    }


def _plain(value: object) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return shown(value)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
