"""Text for people: messages, summary, errors. What peers sent is escaped before it gets here (errors.shown)."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import IO, Final

from rich.text import Text

from handfast.certificates.parsed import parsed
from handfast.certificates.surplus import Surplus, surplus
from handfast.cli import show_sessions
from handfast.cli.exports import Exported
from handfast.cli.facts import ClientProof, Roots, in_the_clear, retry, subject, why_this_version
from handfast.cli.hints import alert_meaning, hints
from handfast.cli.lines import BODY, NAME, field, left, moment, paragraph, row, wrapped
from handfast.cli.sessions import Visit
from handfast.cli.streams import Paper
from handfast.errors import AlertReceived, ConfigurationError, TLSError, shown
from handfast.events import Handshake
from handfast.observe import explain, words
from handfast.observe.explain_sessions import Resumed, Told
from handfast.observe.tap import Seen, Trace
from handfast.transport.starttls.dialogue import Said
from handfast.wire.codepoints import AlertDescription, CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme
from handfast.wire.hello import ClientHello

_PROGRAM: Final = "handfast: "
_TLS12: Final = ProtocolVersion.name(ProtocolVersion.TLS_1_2)
_SURPLUS: Final = 5  # certificates that are not needed, before the rest is only counted
_HELLO_AGAIN: Final = "The client says its hello again, with what the server asked for."

# The settings of a configuration, as the command line calls them; "" where it has no option.
_OPTIONS: Final = {
    "min_version": "--tls",
    "max_version": "--tls",
    "signature_schemes": "",
    "groups": "--group",
    "cipher_suites": "--suite",
    "alpn": "--alpn",
    "relax": "--relax",
    "networks": "--aia-network",
    "server_name": "the name of the server",
    "starttls": "--starttls",
    "proxy": "--proxy",
    "identities": "--cert and --key",
    "identity": "--cert and --key",
    "sessions": "--session",
    "ticket_count": "--tickets",
    "store": "--store",
    "key": "--key",
    "kind": "--kind",
    "lifetime": "--lifetime",
    "permit": "--permit",
    "exclude": "--exclude",
    "crl_url": "--crl-url",
    "issuer_url": "--issuer-url",
    "allow": "--allow",
    "name": "--name",
    "reason": "--reason",
}


def console(file: IO[str]) -> Paper:
    """A console for standard output or standard error."""
    return Paper(file)


# --- before the handshake -------------------------------------------------------------------------------------------


def said(out: Paper, item: Said) -> None:
    """One thing that was said before TLS."""
    head = Text().append("--> " if item.sent else "<-- ", "bold green" if item.sent else "bold magenta")
    out.print(head.append(shown(item.text)))


def agreed_to_begin(out: Paper) -> None:
    """The end of what was said before TLS."""
    out.print()
    paragraph(out, "==== so far in plain text, which proves nothing; here TLS begins", 0, "bold")
    out.print()


# --- the handshake, message by message -----------------------------------------------------------------------------


class Narrator:
    """Shows messages as they happen, from a thread of its own: to show one takes longer than to handle it.

    A moment passes before the first line, so that a quick handshake is over before anything is written, and the times
    that are shown are the handshake's and not ours.
    """

    _MOMENT = 0.05

    def __init__(self, out: Paper) -> None:
        self._out = out
        self._queue: SimpleQueue[Seen | None] = SimpleQueue()
        self._hellos = 0
        self._resumed = Resumed()
        self._thread = threading.Thread(target=self._work, name="handfast-narrator", daemon=True)
        self._thread.start()

    def __call__(self, seen: Seen) -> None:
        """Show a message soon; at once when all others have been shown."""
        if self._thread.is_alive():
            self._queue.put(seen)
        else:
            self._show(seen)

    def finish(self) -> None:
        """Wait until everything is shown."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (seen := self._queue.get()) is not None:
            time.sleep(self._MOMENT)
            self._show(seen)
            while not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    return
                self._show(following)

    def _show(self, seen: Seen) -> None:
        self._hellos += isinstance(seen.message, ClientHello)
        again = isinstance(seen.message, ClientHello) and self._hellos > 1
        told = self._resumed.told(seen)
        message(self._out, seen, told._replace(purpose=_HELLO_AGAIN) if again else told)


def message(out: Paper, seen: Seen, told: Told = Told()) -> None:  # noqa: B008 - a tuple
    """One message: what it is for, its fields, and what is different from here on. ``told``: what it does not say by itself."""
    head = Text().append("--> " if seen.sent else "<-- ", "bold green" if seen.sent else "bold magenta")
    head.append(f"{seen.name:<{NAME}}", "bold").append(f"{_size(seen.length):<13}")
    head.append(f"{'encrypted':<14}", "green") if seen.encrypted else head.append(f"{'in the clear':<14}", "yellow")
    head.append(f"{seen.at * 1000:9.1f} ms", "dim")
    out.print(head)
    paragraph(out, told.purpose or explain.purpose(seen.message, from_client=seen.from_client), BODY, "italic")
    for name, value, meaning in explain.lines(seen.message):
        field(out, name, value, told.meanings.get(name, meaning))
    milestone = told.milestone
    if milestone is None:
        milestone = explain.milestone(seen.message, from_client=seen.from_client)
    if milestone:
        out.print()
        paragraph(out, f"==== {milestone}", 0, "bold")
    out.print()


def _size(length: int) -> str:
    return f"{length:,} byte{'' if length == 1 else 's'}"


# --- the summary -----------------------------------------------------------------------------------------------------


def summary(
    out: Paper, facts: Handshake, trace: Trace, roots: Roots, proof: ClientProof | None, kept: Visit | None = None
) -> None:
    """What was agreed, and who proved to be whom.

    ``roots``  where the certificates are from that the server did not send
    ``kept``   what there was to come back with, where sessions are kept
    """
    for each in _agreed(facts, trace):
        row(out, *each)
    if kept is not None:
        show_sessions.resumption(out, kept, facts)
    _server(out, facts, roots)
    if facts.resumed and kept is not None and kept.session is not None and kept.session.basis.identity:
        row(out, "client", "known by the certificate shown before", "the session stands for it")
    elif proof is not None:
        _client(out, proof)


def _agreed(facts: Handshake, trace: Trace) -> list[tuple[str, str, str]]:
    """What was agreed, and what it cost: name, value, meaning."""
    scheme = SignatureScheme.value(facts.signature_scheme or "") or 0
    in_12 = facts.version == _TLS12
    suite = (
        "that of the session" if in_12 and facts.resumed else words.suite(CipherSuite.value(facts.cipher_suite) or 0)
    )
    rows: list[tuple[str, str, str]] = [
        ("version", facts.version, why_this_version(trace)),
        ("cipher suite", facts.cipher_suite, suite),
    ]
    if facts.group is not None and not (in_12 and facts.resumed):
        rows.append(("key exchange", facts.group, words.group(NamedGroup.value(facts.group) or 0)))
    if facts.signature_scheme is not None and not facts.resumed:
        proof_of = words.scheme_12(scheme) if in_12 else words.scheme(scheme)
        rows.append(("signature", facts.signature_scheme, proof_of))
    if facts.alpn is not None:
        rows.append(("application", shown(facts.alpn), "the protocol inside, by ALPN"))
    again = retry(trace)
    if again is not None:
        rows.append(("round trips", "2, one more than needed" if again.remedy else "2", again.why))
        if again.remedy:
            rows.append(("", again.remedy, ""))
    if in_12 and not facts.resumed:
        rows.append(("round trips", "2", "before the client may send data; TLS 1.3 needs one"))
    if in_12 and facts.resumed:
        rows.append(("round trips", "1", "before the client may send data; a full handshake of TLS 1.2 needs two"))
    if in_12 and in_the_clear(trace):
        rows.append(("in the clear", in_the_clear(trace), "everybody on the way could read this; TLS 1.3 encrypts it"))
    return rows


def _server(out: Paper, facts: Handshake, roots: Roots) -> None:
    peer = facts.peer
    if peer is None or peer.verified_by != "chain":
        out.print(Text().append("server        ", "cyan").append("NOT VERIFIED: this may be anybody", "bold red"))
        return
    before = ", in the handshake that the session goes back to" if facts.resumed else ""
    name = peer.uris[0] if roots.by_id else facts.server_name or ""
    proved = f"proved to be {shown(name)}{before}"
    out.print(Text().append("server        ", "cyan").append(proved, "bold green"))
    last = len(peer.path) - 1
    for at, der in enumerate(peer.path):
        certificate = parsed(der)
        notes = [_days_left(certificate.not_after)] if at == 0 else []
        notes += [f"trusted: in {shown(roots.trusted)}"] if at == last else []
        if der in roots.fetched:
            notes.append(f"the server forgot it: fetched from {shown(roots.fetched[der])}")
        row(out, "certificate" if at == 0 else "  signed by", subject(certificate), ", ".join(notes))
    if facts.resumed:
        show_sessions.vouching(out)
    else:
        not_needed(out, surplus(peer.chain, peer.path))


def not_needed(out: Paper, found: Sequence[Surplus]) -> None:
    """What a chain has in surplus: it is no error, and costs bytes in each handshake."""
    for item in found[:_SURPLUS]:
        paragraph(out, f"not needed: {shown(item)}", 0, "yellow")
    if len(found) > _SURPLUS:
        paragraph(out, f"and {len(found) - _SURPLUS} more that are not needed", 0, "yellow")


# nginx shakes hands with any client, also where ssl_verify_client is on, and answers 400.
_LATER: Final = "may still refuse in its answer (--get / shows it)"


def _client(out: Paper, proof: ClientProof) -> None:
    """Who we proved to be, and what the server made of it."""
    if not proof.requested:
        row(out, "client", "proved nothing", "it was not asked for a certificate")
    elif proof.sent is None:
        end = f"; the server goes on without, and {_LATER}" if proof.accepted else ""
        row(out, "client", "proved nothing", f"asked for a certificate; {proof.not_sent}{end}")
    else:
        accepted = f"accepted in the handshake; the server {_LATER}"
        said = accepted if proof.accepted else "the server has not said yet whether it accepts it"
        value = Text().append("client        ", "cyan")
        out.print(value.append(f"showed {subject(proof.sent)}", "bold green" if proof.accepted else "bold"))
        row(out, "  signed by", shown(proof.sent.issuer), _days_left(proof.sent.not_after))
        row(out, "  proof", proof.signature_scheme or "", said)


def times(out: Paper, facts: Handshake, tcp_seconds: float, trace: Trace) -> None:
    """Where the time went, and what was on the wire."""
    seconds = facts.timings
    parts = [
        f"our key exchange {_ms(seconds.key_exchange)}",
        f"verifying the chain {_ms(seconds.certificate_verification)}",
    ]
    if facts.identity is not None:
        parts.append(f"signing {_ms(seconds.signature)}")
    row(out, "time", f"TCP {_ms(tcp_seconds)}, handshake {_ms(seconds.handshake)}", f"of it {', '.join(parts)}")
    sent, received = trace.sent, trace.received
    row(
        out,
        "on the wire",
        f"sent {_size(sent.bytes)}, received {_size(received.bytes)}",
        f"of them encrypted {sent.encrypted:,} and {received.encrypted:,}",
    )
    out.print()


def exports(out: Paper, found: Sequence[Exported]) -> None:
    """What --export asked for: label and length, and the value whole, on a line of its own."""
    for item in found:
        what = f"channel binding {item.label}" if item.is_binding else f"export {item.label}"
        secret = ", secret" if item.is_secret else ""
        paragraph(out, f"{what}, {_size(len(item.value))}{secret}:", 0, "cyan")
        out.print("  " + item.value.hex())
    if found:
        out.print()


def _days_left(until: datetime) -> str:
    now = datetime.now(UTC)
    if until < now:
        return f"expired on {moment(until, now)}"
    return f"valid until {moment(until, now)}, {left(until, now)}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def unverified(out: Paper, problem: TLSError | None, *, given: bool) -> None:
    """What verification would have said, where it was turned off. ``given``: by the roots of --ca."""
    if problem is None:
        paragraph(out, "Verification would have accepted this server: --no-verify is not needed for it.", 0, "bold")
    else:
        paragraph(out, f"Verification would have refused this server: {problem.reason.sentence}", 0, "bold red")
        _facts(out, _evidence(problem, given=given))
    out.print()


# --- warnings and errors ------------------------------------------------------------------------------------------------


def warning(out: Paper, text: str) -> None:
    """Something that must not be missed: one line, whole, so that it can be searched for."""
    out.print(Text(f"{_PROGRAM}{text}", "bold red"))


def _first_line(out: Paper, text: str) -> None:
    """What an error begins with, as wide as the rest of it."""
    first, *others = wrapped(out, text, len(_PROGRAM))
    out.print(Text(f"{_PROGRAM}{first}", "bold red"))
    for line in others:
        out.print(Text(" " * len(_PROGRAM)).append(line, "bold red"))


def error(out: Paper, problem: TLSError, *, given: bool = False) -> None:
    """What happened, in which message, who broke off, the evidence, what to try. ``given``: the roots are those of --ca."""
    setting = problem.evidence.get("setting")
    if isinstance(problem, ConfigurationError) and setting and "problem" in problem.evidence:
        _first_line(out, f"{_option(str(setting))}: {shown(problem.evidence['problem'])}")
        told = ("setting", "problem", "profile")  # no option chooses a profile
        _facts(out, [(name, value) for name, value in problem.evidence.items() if name not in told])
        return
    _first_line(out, problem.reason.sentence)
    facts: list[tuple[str, object]] = []
    if isinstance(problem, AlertReceived):
        facts.append(("it means", alert_meaning(problem)))
    if problem.step:
        facts.append(("in message", problem.step))
    if problem.sent_by != "nobody":
        by = "by us" if problem.sent_by == "us" else "by the peer"
        alert = f", with the alert {AlertDescription.name(problem.alert)}" if problem.alert is not None else ""
        facts.append(("broken off", by + alert))
    _facts(out, facts + _evidence(problem, given=given))


def _option(setting: str) -> str:
    """A setting, or several with commas between, as options."""
    options = dict.fromkeys(_OPTIONS.get(name, shown(name)) for name in setting.split(", "))
    return ", ".join(filter(None, options))


def _evidence(problem: TLSError, *, given: bool) -> list[tuple[str, object]]:
    """What was offered and what came, what to try, and where the rule stands."""
    facts = [(name, value) for name, value in problem.evidence.items() if name != "alert"]
    facts += [("try", hint) for hint in hints(problem, given=given)]
    return [*facts, ("see", problem.reason.section)] if problem.reason.section else facts


def _facts(out: Paper, facts: list[tuple[str, object]]) -> None:
    width = max((len(name) for name, _ in facts), default=0) + 2
    for name, value in facts:
        field(out, name.replace("_", " "), shown(value), indent=2, width=width)
