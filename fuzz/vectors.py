"""Handshake messages changed by their structure: where a vector becomes longer, the lengths around it follow.

A change of bytes alone hardly ever leaves a message that parses, since three or four lengths enclose most bytes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from fuzz.target import Change, Mutate
from handfast.wire.codepoints import ExtensionType, HandshakeType

H = HandshakeType

_EXTENSIONS = sorted(ExtensionType.names())

OF_12 = 0x100
"""Added to a HandshakeType for the message as TLS 1.2 has it; it matters where TLS 1.3 has another one of that type."""


class Span(NamedTuple):
    """A vector: where its length stands, where its content begins and ends."""

    length: int
    start: int
    stop: int


class _Finder:
    """Walks through a message, as far as it is one, and notes its vectors."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.spans: list[Span] = []
        self.blocks: list[Span] = []
        self.at = 0

    def vector(self, width: int, stop: int) -> Span | None:
        """Note a vector, and stand behind it; None where there is none."""
        start = self.at + width
        if start > stop:
            self.at = stop
            return None
        end = start + int.from_bytes(self.body[self.at : start])
        if end > stop:
            self.at = stop
            return None
        span = Span(self.at, start, end)
        self.spans.append(span)
        self.at = end
        return span

    def extensions(self, stop: int) -> None:
        """An extension block, its entries, and in these what looks like a vector that fills the entry."""
        block = self.vector(2, stop)
        if block is None:
            return
        self.blocks.append(block)
        self.at = block.start
        while self.at < block.stop:
            kind = int.from_bytes(self.body[self.at : self.at + 2])
            self.at += 2
            entry = self.vector(2, block.stop)
            if entry is not None and kind == ExtensionType.PRE_SHARED_KEY:
                self._psks(entry)
            elif entry is not None:
                self._filling(entry)
        self.at = block.stop

    def _psks(self, entry: Span) -> None:
        """OfferedPsks (RFC 9846 section 4.3.11), or the place of the one that was selected."""
        self.at = entry.start
        for width, more in ((2, 4), (1, 0)):  # identities with their age, binders
            outer = self.vector(2, entry.stop)
            if outer is None:
                break
            self.at = outer.start
            while self.at < outer.stop and self.vector(width, outer.stop) is not None:
                self.at = min(self.at + more, outer.stop)
            self.at = outer.stop
        self.at = entry.stop

    def _filling(self, entry: Span) -> None:
        for width in (1, 2):
            start = entry.start + width
            if start <= entry.stop and int.from_bytes(self.body[entry.start : start]) == entry.stop - start:
                self.spans.append(Span(entry.start, start, entry.stop))

    def message(self, kind: int) -> None:
        """The vectors of a message of this type."""
        walk = _WALKS.get(kind) or _WALKS.get(kind % OF_12)
        if walk is not None:
            walk(self, len(self.body))

    def _client_hello(self, end: int) -> None:
        self.at = 34
        self.vector(1, end)
        self.vector(2, end)
        self.vector(1, end)
        self.extensions(end)

    def _server_hello(self, end: int) -> None:
        self.at = 34
        self.vector(1, end)
        self.at += 3
        self.extensions(end)

    def _certificate_request(self, end: int) -> None:
        self.vector(1, end)
        self.extensions(end)

    def _certificate(self, end: int) -> None:
        self.vector(1, end)
        chain = self.vector(3, end)
        if chain is not None:
            self.at = chain.start
            while self.at < chain.stop and self.vector(3, chain.stop) is not None:
                self.extensions(chain.stop)

    def _certificate_verify(self, end: int) -> None:
        self.at = 2
        self.vector(2, end)

    def _ticket(self, end: int) -> None:
        self.at = 8
        self.vector(1, end)
        self.vector(2, end)
        self.extensions(end)

    # --- of TLS 1.2

    def _certificate_12(self, end: int) -> None:
        self._entries(3, end)

    def _certificate_request_12(self, end: int) -> None:
        self.vector(1, end)
        self.vector(2, end)
        self._entries(2, end)

    def _server_key_exchange(self, end: int) -> None:
        self.at = 3
        self.vector(1, end)
        self.at += 2
        self.vector(2, end)

    def _ticket_12(self, end: int) -> None:
        self.at = 4
        self.vector(2, end)

    def _client_key_exchange(self, end: int) -> None:
        self.vector(1, end)

    def _entries(self, width: int, end: int) -> None:
        """A vector of vectors, whose lengths are all as wide."""
        outer = self.vector(width, end)
        if outer is not None:
            self.at = outer.start
            while self.at < outer.stop and self.vector(width, outer.stop) is not None:
                pass


_WALKS: dict[int, Callable[[_Finder, int], None]] = {
    H.CLIENT_HELLO: _Finder._client_hello,
    H.SERVER_HELLO: _Finder._server_hello,
    H.ENCRYPTED_EXTENSIONS: _Finder.extensions,
    H.CERTIFICATE_REQUEST: _Finder._certificate_request,
    H.CERTIFICATE: _Finder._certificate,
    H.CERTIFICATE_VERIFY: _Finder._certificate_verify,
    H.NEW_SESSION_TICKET: _Finder._ticket,
    H.CERTIFICATE | OF_12: _Finder._certificate_12,
    H.CERTIFICATE_REQUEST | OF_12: _Finder._certificate_request_12,
    H.SERVER_KEY_EXCHANGE | OF_12: _Finder._server_key_exchange,
    H.NEW_SESSION_TICKET | OF_12: _Finder._ticket_12,
    H.CLIENT_KEY_EXCHANGE | OF_12: _Finder._client_key_exchange,
}


def find(kind: int, body: bytes) -> tuple[list[Span], list[Span]]:
    """The vectors of a message's body, and those of them that are extension blocks."""
    finder = _Finder(body)
    finder.message(kind)
    return finder.spans, finder.blocks


def spliced(body: bytes, spans: list[Span], start: int, stop: int, new: bytes) -> bytes:
    """``new`` in place of the bytes from ``start`` to ``stop``; the lengths of all vectors around them follow."""
    more = len(new) - (stop - start)
    result = bytearray(body)
    for span in spans:
        if span.start <= start and stop <= span.stop:
            width = span.start - span.length
            length = max(0, span.stop - span.start + more)
            result[span.length : span.start] = (length % (1 << 8 * width)).to_bytes(width)
    result[start:stop] = new
    return bytes(result)


def mutated(kind: int, body: bytes, limit: int, random: Random, change: Change) -> bytes:
    """The body of a message of this type, with one change; at most ``limit`` bytes."""
    spans, blocks = find(kind, body)
    if not spans or random.random() < 0.2:
        return change(body, limit)
    if blocks and random.random() < 0.3:
        result = _with_other_extensions(body, spans, random.choice(blocks), random)
    else:
        span = random.choice(spans)
        room = max(1, limit - len(body) + span.stop - span.start)
        result = spliced(body, spans, span.start, span.stop, change(body[span.start : span.stop] or b"\0", room))
    return result if len(result) <= limit else change(body, limit)


def _with_other_extensions(body: bytes, spans: list[Span], block: Span, random: Random) -> bytes:
    """One extension dropped, doubled, moved to the front, renamed or added."""
    entries: list[bytes] = []
    at = block.start
    while at + 4 <= block.stop:
        stop = at + 4 + int.from_bytes(body[at + 2 : at + 4])
        entries.append(body[at:stop])
        at = stop
    new = random.choice(_EXTENSIONS).to_bytes(2)
    if not entries or random.random() < 0.25:
        data = random.randbytes(random.choice((0, 1, 2, 3, 8)))
        entries.insert(random.randint(0, len(entries)), new + len(data).to_bytes(2) + data)
    else:
        chosen = random.randrange(len(entries))
        entry = entries.pop(chosen)
        entries[chosen:chosen] = random.choice(([], [entry, entry], [new + entry[2:]]))
        if random.random() < 0.25:
            entries.insert(0, entry)
    return spliced(body, spans, block.start, block.stop, b"".join(entries))


def mutator(kind: int) -> Mutate:
    """For a target whose inputs are bodies of messages of one type."""

    def mutate(data: bytes, limit: int, random: Random, change: Change) -> bytes:
        return mutated(kind, data, limit, random, change)

    return mutate
