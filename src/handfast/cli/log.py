"""What `handfast serve` says about each connection: what the client offered, what was chosen, how it ended."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
from datetime import UTC, datetime
from typing import Any

from handfast.certificates.parsed import parsed
from handfast.cli import report
from handfast.cli.facts import REQUESTS, subject
from handfast.cli.hints import hints
from handfast.cli.streams import abandon
from handfast.cli.watch import Return, Watch
from handfast.errors import AlertReceived, TLSError, shown
from handfast.events import Handshake
from handfast.observe import explain
from handfast.observe.tap import Trace
from handfast.wire.codepoints import AlertDescription, CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme
from handfast.wire.hello import ClientHello

_WIDTH = 96


class Log:
    """The lines: one a connection, for people or as JSON."""

    def __init__(self, as_json: bool, watch: Watch) -> None:
        self._json = as_json
        self._watch = watch
        self._broken = False

    def ended(
        self,
        address: Any,
        trace: Trace | None,
        facts: Handshake | None,
        problem: Exception | str | None,
        requests: list[str],
    ) -> None:
        """A connection is over. ``problem`` is what went wrong, in words or as it was raised; None if nothing did."""
        again = self._watch.ended(trace, facts)
        if self._json:
            line = json.dumps({**_document(address, trace, facts, problem, requests), **_coming_back(again)})
        else:
            line = _line(address, trace, facts, problem, requests, [] if again is None else again.in_brief)
        if self._broken:
            return
        try:
            print(line, flush=True)
        except OSError as error:
            self._broken = True
            abandon(sys.stdout)
            if isinstance(error, BrokenPipeError):  # nobody is there to read, so it ends as after Ctrl-C
                os.kill(os.getpid(), signal.SIGINT)
            else:
                print(f"handfast: no more lines: {error.strerror}", file=sys.stderr)


def _peer(address: Any) -> str:
    return f"{address[0]} port {address[1]}" if isinstance(address, tuple) else str(address)


def _document(
    address: Any, trace: Trace | None, facts: Handshake | None, problem: Exception | str | None, requests: list[str]
) -> dict[str, Any]:
    known = problem if isinstance(problem, TLSError) else None
    ended = "closed" if problem is None else "error" if known else _sentence(problem)
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "peer": _peer(address),
        "offered": offered(trace) or None,
        "chosen": chosen(facts) if facts else None,
        "client": report.peer(facts.peer) if facts and facts.peer else None,
        "requests": requests,
        "received": trace.received.bytes if trace else 0,
        "sent": trace.sent.bytes if trace else 0,
        "duration_ms": round(trace.age * 1000, 3) if trace else 0,
        "ended": ended,
        "error": report.error(known, serving=True) if known else None,
    }


def _coming_back(again: Return | None) -> dict[str, Any]:
    return {"session": None if again is None else again.document()}


def _line(
    address: Any,
    trace: Trace | None,
    facts: Handshake | None,
    problem: Exception | str | None,
    requests: list[str],
    came_back: list[str],
) -> str:
    parts = [_offer_in_brief(offered(trace))]
    if facts:
        agreed = (facts.version, facts.cipher_suite, facts.group, facts.signature_scheme, facts.alpn)
        again = ", after a HelloRetryRequest" if facts.hello_retry_request else ""
        parts.append("chosen " + ", ".join(value for value in agreed if value) + again)
        parts += [f"the client is {visitor(facts)}"] if asked(trace) or facts.peer is not None else []
    parts += came_back
    parts += requests
    if facts or not isinstance(problem, TLSError):
        parts.append("closed" if problem is None else _sentence(problem))
    else:
        parts += _failure(problem)
    if trace and facts:
        parts.append(f"{trace.received.bytes:,} bytes in, {trace.sent.bytes:,} out, {trace.age * 1000:.0f} ms")
    return f"{datetime.now().astimezone():%H:%M:%S} {_peer(address)}: {'; '.join(map(shown, parts))}"


def _failure(problem: TLSError) -> list[str]:
    """Why hands could not be shaken: the sentence, what the client was told, and what to try."""
    parts = [f"failed: {_sentence(problem).removesuffix('.')}"]
    if problem.sent_by == "us" and problem.alert is not None:
        parts.append(f"it was sent the alert {AlertDescription.name(problem.alert)}")
    return parts + [f"try: {hint.removesuffix('.')}" for hint in hints(problem, serving=True)[:1]]


def asked(trace: Trace | None) -> bool:
    """Whether the client was asked for a certificate."""
    return any(isinstance(seen.message, REQUESTS) for seen in (trace.messages if trace else ()))


def visitor(facts: Handshake) -> str:
    """Who the client has proved to be, on one line: its subject, and its names of all kinds."""
    peer = facts.peer
    if peer is None:
        return "anybody: it showed no certificate"
    names = shown(peer.subject_alternative_names) if peer.subject_alternative_names else ""
    return f"{shown(peer.subject)} ({names})" if peer.subject and names else shown(peer.subject) or names or "nameless"


def _sentence(problem: Exception | str | None) -> str:
    if isinstance(problem, AlertReceived):
        return f"the client sent the alert {problem.name}: {problem.meaning}"
    if isinstance(problem, TLSError) or not isinstance(problem, Exception):
        return str(problem)
    return f"{type(problem).__name__}: {problem}"


def _offer_in_brief(offer: dict[str, Any]) -> str:
    if not offer:
        return "no ClientHello"
    shares = ""  # which only TLS 1.3 has in its first message
    if offer["key_shares"] or "TLSv1.3" in offer["versions"]:
        shares = ", shares of " + (" and ".join(offer["key_shares"]) or "no group")
    alpn = f", ALPN {' '.join(map(_word, offer['alpn']))}" if offer["alpn"] else ""
    count = len(offer["cipher_suites"])
    return (
        f"offered {offer['server_name'] or 'no name'}, {' '.join(offer['versions'])}, "
        f"{count} suite{'' if count == 1 else 's'}{shares}{alpn}"
    )


def _word(name: str) -> str:
    """A name that a client has made up, in quotes where it could be taken for what the line says besides."""
    return name if name.isascii() and not set(' ,;"') & set(name) else json.dumps(name, ensure_ascii=False)


def offered(trace: Trace | None) -> dict[str, Any]:
    """What the ClientHello offered, by names; empty if none came."""
    for seen in trace.messages if trace else ():
        hello = seen.message
        if isinstance(hello, ClientHello):
            return {
                "server_name": None if hello.server_name is None else shown(hello.server_name),
                "versions": [
                    ProtocolVersion.name(value) for value in hello.supported_versions or [hello.legacy_version]
                ],
                "cipher_suites": [CipherSuite.name(value) for value in hello.cipher_suites],
                "groups": [NamedGroup.name(value) for value in hello.supported_groups or ()],
                "key_shares": [NamedGroup.name(share.group) for share in hello.key_share or ()],
                "signature_schemes": [SignatureScheme.name(value) for value in hello.signature_algorithms or ()],
                "alpn": [
                    shown(name.decode("utf-8", "backslashreplace"))
                    for name in hello.application_layer_protocol_negotiation or ()
                ],
            }
    return {}


def chosen(facts: Handshake) -> dict[str, Any]:
    """What was agreed, by names."""
    return {
        "version": facts.version,
        "cipher_suite": facts.cipher_suite,
        "group": facts.group,
        "signature_scheme": facts.signature_scheme,
        "alpn": None if facts.alpn is None else shown(facts.alpn),
        "client_signature_scheme": facts.client_signature_scheme,
        "hello_retry_request": facts.hello_retry_request,
        "resumed": facts.resumed,
    }


def page(trace: Trace, facts: Handshake) -> str:
    """What the server saw of a client's handshake, for the client: plain text."""
    lines = ["This is handfast serve. What it saw of your handshake:", ""]
    for seen in trace.messages:
        arrow = "<--" if seen.sent else "-->"
        protection = "encrypted" if seen.encrypted else "in the clear"
        unit = "byte " if seen.length == 1 else "bytes"
        lines.append(f"{arrow} {seen.name:<22}{seen.length:>6,} {unit}  {protection:<12}  {seen.at * 1000:8.1f} ms")
        lines += _indented(explain.summary(seen.message))
    sections = {
        "Your client offered": offered(trace),
        "This server chose": chosen(facts),
        "Who your client is": _client(trace, facts),
    }
    for title, values in sections.items():
        lines += ["", title, ""]
        for name, value in values.items():
            lines += _indented(f"{name:<23} {_words(value)}", 28)
    return "\n".join([*lines, ""])


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(value) if isinstance(value, list) else str(value or "")) or "none"


def _client(trace: Trace, facts: Handshake) -> dict[str, Any]:
    """Who the client has proved to be, for itself to see."""
    peer = facts.peer
    if peer is None:
        return {"certificate": "asked for, and none came" if asked(trace) else "not asked for"}
    return {
        "subject": shown(peer.subject),
        "names": [shown(name) for name in peer.subject_alternative_names],
        "valid": f"{peer.not_before:%Y-%m-%d} to {peer.not_after:%Y-%m-%d}",
        "proven by": " signed by ".join(subject(parsed(der)) for der in peer.path),
        "fingerprint (SHA-256)": peer.fingerprint_sha256,
    }


def _indented(text: str, following: int = 4) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent=" " * following, break_long_words=False)
