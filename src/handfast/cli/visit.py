"""One connection of `handfast connect`: the handshake, what is asked for then, and what there is to tell of it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from handfast.certificates.policy import ChainVerifier
from handfast.cli import exports, report, sessions, show, show_sessions
from handfast.cli.facts import ClientProof, Roots, client_proof, retry, subject
from handfast.cli.hints import NOT_SENT
from handfast.cli.pipe import pipe
from handfast.cli.request import Response, get
from handfast.cli.settings import Settings
from handfast.cli.streams import Paper
from handfast.errors import AlertReceived, ConnectionFailed, TLSError, TruncationError, shown
from handfast.events import Handshake
from handfast.observe.tap import Trace
from handfast.transport.blocking import TLSSocket, dial
from handfast.transport.starttls.dialogue import Dialogue, Said
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.messages13 import NewSessionTicket

_SETTLE_SECONDS: Final = 2.0  # what a server gets to refuse our certificate, to give us a ticket, or to answer
_SLICE: Final = 0.1  # seconds of silence after the first ticket: the others come with it
_PIECE: Final = 65_536
_TLS13: Final = ProtocolVersion.name(ProtocolVersion.TLS_1_3)
_TLS12: Final = ProtocolVersion.name(ProtocolVersion.TLS_1_2)


class Visit:
    """What one connection does, and what it has reached.

    ``number``  1 for the first; --reconnect makes more
    """

    def __init__(self, settings: Settings, narration: Paper, *, number: int = 1) -> None:
        options = settings.options
        self._settings = settings
        self._options = options
        self._narration = narration
        self._tell = not (options.quiet or options.json) and number <= show_sessions.TOLD
        self._narrator = show.Narrator(narration) if self._tell else None
        self._dialogue = None if options.starttls is None else Dialogue(options.starttls, on_said=self._said)
        self._started = time.perf_counter()
        self._tls: TLSSocket | None = None
        self._response: Response | None = None
        self._exports: list[exports.Exported] = []
        self._accepted: bool | None = None
        self.number = number
        self.trace = Trace(self._narrator)
        self.session = sessions.Visit()
        self.early: sessions.Early | None = None
        if settings.keeper is not None:
            settings.keeper.visit = self.session

    # --- what it does

    def run(self, host: str, port: int, server_name: str) -> None:
        """Connect, and do what is asked for then."""
        options, settings = self._options, self._settings
        proxy = settings.proxy(host)
        if self._tell:
            way = f", through {proxy}" if proxy else ""
            verb = "connecting" if self.number == 1 else "connecting again"
            self._narration.print(f"{verb} to {shown(host)}, port {port}{way}", end="\n\n")
        self.trace.restart()
        tls = self._tls = dial(
            host,
            port,
            config=settings.config,
            server_name=server_name,
            timeout=options.timeout,
            tap=self.trace,
            proxy=proxy,
            starttls=self._dialogue,
            early_data=settings.early_data,
        )
        if self._dialogue is not None and self._dialogue.said and self._tell:
            show.agreed_to_begin(self._narration)
        tls.settimeout(options.timeout)
        tls.do_handshake()
        self._exports = exports.exported(tls, settings.wanted)
        if settings.early_data:
            self._send_early_data_again(tls)
        if not options.pipe and options.get is None:
            if settings.early_data:
                self._read_answer(tls)
            self._settle(tls)
        self._summarize(tls)
        if options.pipe:
            tls.settimeout(None)
            pipe(tls)
        elif options.get is not None:
            self._get(tls, options.server_name or host, port, options.get)
        self.close()

    def _said(self, said: Said) -> None:
        if self._tell:
            show.said(self._narration, said)

    def _send_early_data_again(self, tls: TLSSocket) -> None:
        """Data that did not arrive early is sent now, which nobody but the user can allow: by --early-data he did."""
        data = self._settings.early_data
        self.early = sessions.early(tls.handshake, self.session, len(data))
        if self.early.outcome != "accepted" and not self.early.misfit:
            tls.sendall(data)
            self.early = replace(self.early, sent_again=True)

    def _read_answer(self, tls: TLSSocket) -> None:
        """What the server says to the early data, until it ends or has said nothing for a while."""
        assert self.early is not None, "data was sent"
        keep = self._options.output is not None or not self._options.json
        tls.settimeout(min(_SETTLE_SECONDS, self._options.timeout))
        count, waited = 0, None
        try:
            while data := tls.recv(_PIECE):
                waited = self.trace.age if waited is None else waited
                count += len(data)
                if keep:
                    self._settings.body.write(data)
        except TimeoutError:
            pass
        finally:
            self.early = replace(self.early, answer=count, waited=waited)
        self._settings.body.finish()
        if count:
            self._accepted = True

    def _settle(self, tls: TLSSocket) -> None:
        """Hear what the server makes of our certificate, or of our having none, and get its tickets.

        In TLS 1.3 our side of the handshake is over before the server has looked at our certificate, and no message says
        yes (RFC 9846 section 4.5.3). A no is an alert, which is raised; to have got a ticket, or to be let go in good
        order, is a yes. A server that says nothing in time, or breaks off without a word, leaves it open. In TLS 1.2 the
        server's Finished has said it already. Tickets come after the handshake too, in TLS 1.3.
        """
        proof = self._proof
        for_proof = proof is not None and proof.requested and proof.accepted is None
        for_tickets = self._settings.keeper is not None and tls.handshake.version == _TLS13
        if not for_proof and not (for_tickets and not self.session.received):
            return
        deadline = time.monotonic() + min(_SETTLE_SECONDS, self._options.timeout)
        try:
            tls.shutdown_write()
            while (left := deadline - time.monotonic()) > 0:
                tls.settimeout(min(left, _SLICE))
                try:
                    if not tls.recv():
                        self._accepted = True if for_proof else self._accepted
                        break
                except TimeoutError:
                    if self._has_ticket:
                        break
        except (TruncationError, ConnectionFailed):
            pass
        if for_proof and self._has_ticket:
            self._accepted = True

    @property
    def _has_ticket(self) -> bool:
        return any(seen.message.NAME == NewSessionTicket.NAME for seen in self.trace.messages)

    def _get(self, tls: TLSSocket, host: str, port: int, path: str) -> None:
        body = self._settings.body
        keep = self._options.output is not None or not self._options.json
        self._response = get(
            tls, host, port, path, on_head=self._show_head, write=body.write if keep else lambda _: None
        )
        body.finish()
        self._accepted = True  # or it would not have answered

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._tls is not None:
            self._tls.close()
        if self._narrator is not None:
            self._narrator.finish()

    # --- what there is to tell

    def _summarize(self, tls: TLSSocket) -> None:
        """What was agreed and proved; of --quiet only the secrets that were asked for are left."""
        if self._narrator is None:
            if self._options.quiet and not self._options.json:
                for item in self._exports:
                    self._narration.print(item.value.hex())
            return
        self._narrator.finish()
        out, facts = self._narration, tls.handshake
        trusted = self._settings.trust.source if self._options.verify else ""
        roots = Roots(trusted, self._settings.fetched, by_id=bool(self._options.spiffe))
        show.summary(out, facts, self.trace, roots, self._proof, self.session if self._settings.keeper else None)
        if self.early is not None:
            show_sessions.early_data(out, self.early)
        if self._settings.keeper is not None:
            keeper, kept = self._settings.keeper, self._settings.all_kept
            show_sessions.received(out, self.session, keeper.path, facts.version, kept=kept)
        show.times(out, facts, tls.tcp_connect_seconds, self.trace)
        show.exports(out, self._exports)
        if not self._options.verify:
            show.unverified(out, self._verdict(facts), given=self._options.roots_given)

    @property
    def _proof(self) -> ClientProof | None:
        """What came of client authentication."""
        return client_proof(self.trace, self.facts, self._settings.identity, self._accepted)

    @property
    def facts(self) -> Handshake | None:
        """What was agreed; None where the handshake did not get that far."""
        return self._tls.connection.handshake if self._tls else None

    @property
    def tcp_seconds(self) -> float | None:
        """How long the TCP connection took."""
        return self._tls.tcp_connect_seconds if self._tls else None

    def explain(self, failure: AlertReceived) -> None:
        """Say what we had shown, where an alert comes after we have: it is likely to be about that."""
        proof = self._proof
        if proof is None or not proof.answered:
            return
        self._accepted = False
        if proof.sent is not None:
            until = f"valid until {proof.sent.not_after:%Y-%m-%d}"
            failure.evidence["client_certificate"] = f"{subject(proof.sent)}, from {shown(proof.sent.issuer)}, {until}"
        else:
            failure.evidence["client_certificate"] = f"{NOT_SENT}{proof.not_sent}"
        failure.evidence["version"] = _TLS13 if self.facts and self.facts.version == _TLS13 else _TLS12

    def _show_head(self, response: Response) -> None:
        self._response = response
        if self._tell:
            for line in response.head:
                self._narration.print(shown(line))
            self._narration.print()

    def _verdict(self, facts: Handshake) -> TLSError | None:
        """What verification would have said, where it was turned off."""
        assert facts.peer is not None, "a server always has a certificate"
        try:
            ChainVerifier(self._settings.trust).verify_server(facts.peer.chain, facts.server_name, datetime.now(UTC))
        except TLSError as error:
            return error
        return None

    def report(self) -> dict[str, Any]:
        """Its part of what --json prints."""
        facts = self.facts
        document: dict[str, Any] = {
            **report.agreed(facts),
            "starttls": report.starttls(self._dialogue),
            "hello_retry_request": report.retry(retry(self.trace)),
            "session": None if self._settings.keeper is None else self.session.document(facts),
            "early_data": None if self.early is None else self.early.document(),
            "fetches": report.fetches(self._settings.attempts) if self._options.aia else None,
            "surplus": report.unneeded(facts),
            "client_certificate": report.client_certificate(self._proof),
            "exports": [item.document() for item in self._exports],
            "messages": report.messages(self.trace.messages),
            "timings_ms": report.timings(facts, self.tcp_seconds, time.perf_counter() - self._started),
            "response": None,
        }
        if self._response is not None:
            document["response"] = {
                "status": self._response.status,
                "headers": [[shown(name), shown(value)] for name, value in self._response.headers],
                "bytes": self._response.bytes,
            }
        return document
