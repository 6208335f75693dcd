"""What `handfast serve` says about each connection: what the client offered, what was chosen, how it ended."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
import threading
from datetime import UTC, datetime
from typing import Any

from handfast.cli import report
from handfast.cli.streams import abandon
from handfast.errors import AlertReceived, TLSError, shown
from handfast.events import Handshake
from handfast.observe import explain, words
from handfast.observe.tap import Trace
from handfast.wire.codepoints import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme
from handfast.wire.hello import ClientHello

_WIDTH = 96


class Log:
    """The lines, from any thread: one a connection, for people or as JSON."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._lock = threading.Lock()
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
        if self._json:
            line = json.dumps(_document(address, trace, facts, problem, requests))
        else:
            line = _line(address, trace, facts, problem, requests)
        with self._lock:
            self._write(line)

    def _write(self, line: str) -> None:
        if self._broken:
            return
        try:
            print(line, flush=True)
        except OSError as error:
            self._broken = True
            abandon(sys.stdout)
            if isinstance(error, BrokenPipeError):  # nobody is there to read; and the main thread waits for connections
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
        "requests": requests,
        "received": trace.received.bytes if trace else 0,
        "sent": trace.sent.bytes if trace else 0,
        "duration_ms": round(trace.age * 1000, 3) if trace else 0,
        "ended": ended,
        "error": report.error(known) if known else None,
    }


def _line(
    address: Any, trace: Trace | None, facts: Handshake | None, problem: Exception | str | None, requests: list[str]
) -> str:
    parts = [_offer_in_brief(offered(trace))]
    if facts:
        parts.append("chosen " + ", ".join(str(value) for value in chosen(facts).values() if value))
    parts += requests
    end = "closed" if problem is None else _sentence(problem)
    parts.append(end if facts else f"failed: {end}")
    if trace and facts:
        parts.append(f"{trace.received.bytes:,} bytes in, {trace.sent.bytes:,} out, {trace.age * 1000:.0f} ms")
    return f"{datetime.now().astimezone():%H:%M:%S} {_peer(address)}: {'; '.join(map(shown, parts))}"


def _sentence(problem: Exception | str | None) -> str:
    if isinstance(problem, AlertReceived):
        return f"the client sent the alert {problem.name}: {words.alert(problem.description)}"
    if isinstance(problem, TLSError) or not isinstance(problem, Exception):
        return str(problem)
    return f"{type(problem).__name__}: {problem}"


def _offer_in_brief(offer: dict[str, Any]) -> str:
    if not offer:
        return "no ClientHello"
    shares = " and ".join(offer["key_shares"]) or "no group"
    alpn = f", ALPN {' '.join(offer['alpn'])}" if offer["alpn"] else ""
    count = len(offer["cipher_suites"])
    return (
        f"offered {offer['server_name'] or 'no name'}, {' '.join(offer['versions'])}, "
        f"{count} suite{'' if count == 1 else 's'}, shares of {shares}{alpn}"
    )


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
    }


def page(trace: Trace, facts: Handshake) -> str:
    """What the server saw of a client's handshake, for the client: plain text."""
    lines = ["This is handfast serve. What it saw of your handshake:", ""]
    for seen in trace.messages:
        arrow = "<--" if seen.sent else "-->"
        protection = "encrypted" if seen.encrypted else "in the clear"
        lines.append(f"{arrow} {seen.name:<22}{seen.length:>6,} bytes  {protection:<12}  {seen.at * 1000:8.1f} ms")
        lines += _indented(explain.summary(seen.message))
    for title, values in (("Your client offered", offered(trace)), ("This server chose", chosen(facts))):
        lines += ["", title, ""]
        for name, value in values.items():
            text = ", ".join(value) if isinstance(value, list) else value
            lines += _indented(f"{name:<20}{text or 'none'}", 24)
    return "\n".join([*lines, ""])


def _indented(text: str, following: int = 4) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent=" " * following, break_long_words=False)
