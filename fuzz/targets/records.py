"""The record layer: bytes to records to messages, with and without keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from random import Random
from typing import Any

from fuzz import recorded, steps
from fuzz.steps import Step, pieces
from fuzz.target import Change, Target, check_refusal, may_refuse
from handfast import limits
from handfast.crypto.schedule12 import RecordKey
from handfast.crypto.schedule13 import TrafficSecret
from handfast.crypto.suites import SUITES, SUITES_12
from handfast.errors import TLSError
from handfast.record.framing import CIPHERTEXT_LIMIT, HEADER_LENGTH, PLAINTEXT_LIMIT, Framing
from handfast.record.layer import RecordLayer
from handfast.record.reassembly import Reassembly
from handfast.wire.codepoints import CipherSuite as C
from handfast.wire.codepoints import ContentType, HandshakeType

_RECORD = CIPHERTEXT_LIMIT + HEADER_LENGTH
_LONGEST_MESSAGE = max(limits.CLIENT_HELLO, limits.CERTIFICATE)


# --- framing


def framed(data: bytes, size: int, *, encrypted: bool) -> tuple[list[Any], str, int]:
    """The records of a stream that arrives in pieces, the reason of its refusal, and what is left of it."""
    framing = Framing()
    if encrypted:
        framing.limit = CIPHERTEXT_LIMIT
    found: list[Any] = []
    refusal = ""
    try:
        for piece in pieces(data, size):
            framing.feed(piece)
            while (record := framing.next()) is not None:
                content_type, header, body = record
                assert len(body) <= framing.limit
                found.append((content_type, header, bytes(body)))
            assert len(framing) < _RECORD, "whole records are held"
    except TLSError as error:
        check_refusal(error)
        refusal = error.reason.name
    return found, refusal, len(framing)


def run_framing(data: bytes) -> None:
    """The first byte: whether there are keys, and the size of pieces. They make no difference."""
    first, stream = (data[0], data[1:]) if data else (0, b"")
    encrypted = bool(first & 1)
    whole = framed(stream, 0, encrypted=encrypted)
    in_pieces = framed(stream, 1 + (first >> 1), encrypted=encrypted)
    assert in_pieces[:2] == whole[:2]
    records = b"".join(header + body for _, header, body in whole[0])
    assert stream.startswith(records)
    if not whole[1]:
        assert whole[2] == in_pieces[2] == len(stream) - len(records)


def _framing_seeds() -> Mapping[str, bytes]:
    streams = recorded.streams()
    short = {f"{name}-whole": b"\xff" + stream[:2000] for name, stream in streams.items() if "_back" not in name}
    return {
        **short,
        "bytes": b"\x01\x15\x03\x03\x00\x02\x02\x28\x14\x03\x03\x00\x01\x01",
        "http": b"\x00HTTP/1.1 400 Bad Request\r\n",
        "sslv2": b"\x00\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        "too-long": b"\x05\x16\x03\x01\x40\x01\x00",
    }


# --- reassembly


def reassembled(data: bytes, size: int) -> tuple[list[bytes], str, int]:
    """The messages of a stream that arrives in pieces, the reason of its refusal, and what is left of it."""
    reassembly = Reassembly()
    found: list[bytes] = []
    refusal = ""
    try:
        for piece in pieces(data, size):
            reassembly.feed(memoryview(piece))
            while (message := reassembly.next()) is not None:
                found.append(message)
            assert len(reassembly) < _LONGEST_MESSAGE
    except TLSError as error:
        check_refusal(error)
        refusal = error.reason.name
    return found, refusal, len(reassembly)


def run_reassembly(data: bytes) -> None:
    """The first byte is the size of pieces, which makes no difference."""
    first, stream = (data[0], data[1:]) if data else (0, b"")
    whole = reassembled(stream, 0)
    assert reassembled(stream, 1 + first)[:2] == whole[:2]
    assert stream.startswith(b"".join(whole[0]))


def _reassembly_seeds() -> Mapping[str, bytes]:
    flight = b"".join(raw for name, raw in recorded.messages() if name.startswith("client_default-"))
    return {
        "flight": b"\x40" + flight[:2000],
        "too-large": b"\x00\x14\xff\xff\xff",
        "short": b"\x00\x18\x00\x00\x01\x00",
    }


# --- the layer, with keys

SEALED, RAW, GARBLED, NEW_KEY = range(4)
"""A TLSInnerPlaintext as it is, bytes of the wire, a sealed record with a byte of it changed, the next key. In TLS 1.2 the
last byte that is not 0 says the type, too; and some key comes next."""

CCS_ALLOWED, ALERT_ALLOWED, PLAIN, EARLY, TLS_1_2 = (1 << bit for bit in range(5))
SUITES_OF_12 = (
    C.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    C.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    C.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8,
)
"""The settings: what may be in plaintext, no keys to begin with, early data is skipped (in TLS 1.3 alone); TLS 1.2, of which
the bits above say the suite."""

SECRET = TrafficSecret(SUITES[0x1301], bytes(32))


@cache
def generation(number: int) -> TrafficSecret:
    """The secret after so many changes of keys."""
    return SECRET if number == 0 else generation(number - 1).next()


class _Sealing:
    """Seals whatever it is given, with no rule about it."""

    def __init__(self) -> None:
        self.generation = -1
        self.next()

    def next(self) -> None:
        self.generation += 1
        self.cipher: Any
        self.cipher, self.iv = self.key.cipher()
        self.sequence = 0

    @property
    def key(self) -> TrafficSecret | RecordKey:
        return generation(self.generation)

    def seal(self, inner: bytes) -> bytes:
        header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2)
        nonce = (self.iv ^ self.sequence).to_bytes(12)
        self.sequence += 1
        return header + bytes(self.cipher.encrypt(nonce, inner, header))


class _Sealing12(_Sealing):
    """The same in TLS 1.2, where the type of the content stands in the header."""

    def __init__(self, code: int) -> None:
        self.suite = SUITES_12[code]
        super().__init__()

    @property
    def key(self) -> TrafficSecret | RecordKey:
        suite = self.suite
        return RecordKey(suite, self.generation.to_bytes(suite.key_length), b"salt".ljust(suite.iv_length, b"."))

    def seal(self, inner: bytes) -> bytes:
        inner = inner.rstrip(b"\0") or b"\0"
        content, kind = inner[:-1], inner[-1:]
        number = self.sequence.to_bytes(8)
        self.sequence += 1
        additional = number + kind + b"\x03\x03" + len(content).to_bytes(2)
        nonce = (self.iv ^ int.from_bytes(number)).to_bytes(12)
        body = number[: self.suite.explicit_nonce] + bytes(self.cipher.encrypt(nonce, content, additional))
        return kind + b"\x03\x03" + len(body).to_bytes(2) + body


def _sealing(settings: int) -> _Sealing:
    return _Sealing12(SUITES_OF_12[(settings >> 5) % len(SUITES_OF_12)]) if settings & TLS_1_2 else _Sealing()


def run_records(data: bytes) -> None:
    """Records for a layer with keys; the settings say where else than encrypted a record may be."""
    settings, play = steps.decode(data)
    layer = RecordLayer()
    layer.change_cipher_spec_allowed = bool(settings & CCS_ALLOWED)
    layer.plaintext_alert_allowed = bool(settings & ALERT_ALLOWED)
    if settings & EARLY and not settings & TLS_1_2:
        layer.skip_early_data()
    sealing = _sealing(settings)
    if not settings & PLAIN:
        layer.install_read(sealing.key)
    messages = Reassembly()
    with may_refuse():
        for kind, content in play:
            if kind % 4 == NEW_KEY:
                sealing.next()
                layer.install_read(sealing.key)
                continue
            layer.feed(_wire(kind % 4, content, sealing))
            _read_all(layer, messages)


def _wire(kind: int, content: bytes, sealing: _Sealing) -> bytes:
    if kind == RAW:
        return content
    record = bytearray(sealing.seal(content[-CIPHERTEXT_LIMIT:]))
    if kind == GARBLED:
        record[-1 - len(content) % len(record)] ^= 0x10
    return bytes(record)


def _read_all(layer: RecordLayer, messages: Reassembly) -> None:
    while (record := layer.read()) is not None:
        content_type, content, encrypted = record
        assert len(content) <= PLAINTEXT_LIMIT
        assert encrypted or content_type != ContentType.APPLICATION_DATA
        if content_type == ContentType.HANDSHAKE:
            messages.feed(content)
            while messages.next() is not None:
                pass
    assert layer.held < _RECORD
    assert not layer.pending, "reading alone sends nothing"


_EARLY = b"\x17\x03\x03\0\x20" + bytes(32)


def _records_seeds() -> Mapping[str, bytes]:
    ticket = next(raw for _, raw in recorded.messages() if raw[0] == HandshakeType.NEW_SESSION_TICKET)
    played = {
        "data": [Step(SEALED, b"hello\x17"), Step(SEALED, b"hello\x17\0\0\0"), Step(SEALED, b"\x17")],
        "ticket": [Step(SEALED, ticket + b"\x16"), Step(SEALED, b"\x01\x00\x15")],
        "split": [Step(SEALED, ticket[:7] + b"\x16"), Step(SEALED, ticket[7:] + b"\x16\0")],
        "garbled": [Step(SEALED, b"a\x17"), Step(GARBLED, b"a\x17")],
        "keys": [Step(SEALED, b"\x18\0\0\x01\0\x16"), Step(NEW_KEY), Step(SEALED, b"b\x17"), Step(SEALED, b"\0\0")],
        "middlebox": [Step(RAW, b"\x14\x03\x03\0\x01\x01"), Step(RAW, b"\x15\x03\x03\0\x02\x02\x28")],
    }
    of_12 = [
        Step(SEALED, ticket + b"\x16"),
        Step(SEALED, b"\x01\x00\x15"),
        Step(SEALED, b"hello\x17"),
        Step(SEALED, b"\x17"),
    ]
    changed = [
        Step(RAW, b"\x16\x03\x03\0\x04\x0e\0\0\0"),
        Step(RAW, b"\x14\x03\x03\0\x01\x01"),
        Step(NEW_KEY),
        of_12[2],
    ]
    short = [Step(SEALED, b"a\x17"), Step(RAW, b"\x17\x03\x03\0\x0f" + bytes(15))]
    return {name: steps.encode(3, play) for name, play in played.items()} | {
        **{f"tls12-{number}": steps.encode(TLS_1_2 | number << 5, of_12) for number in range(len(SUITES_OF_12))},
        "tls12-change": steps.encode(CCS_ALLOWED | PLAIN | TLS_1_2, changed),
        "tls12-short": steps.encode(TLS_1_2 | 2 << 5, short),
        "tls12-garbled": steps.encode(TLS_1_2, [*of_12[:1], Step(GARBLED, b"a\x17")]),
        "early": steps.encode(11, [Step(RAW, _EARLY), Step(GARBLED, b"a\x17"), Step(SEALED, b"\x14\0\0\0\x16")]),
        "early-plain": steps.encode(13, [Step(RAW, _EARLY), Step(RAW, b"\x16\x03\x03\0\x04\x01\0\0\0")]),
        "plain": steps.encode(5, [Step(RAW, b"\x16\x03\x03\0\x04\x14\0\0\0"), Step(RAW, b"\x14\x03\x03\0\x01\x01")]),
    }


def _inside(step: Step, limit: int, random: Random, change: Change) -> Step:
    kind, content = step.kind % 4, step.content
    if random.random() < 0.1:
        return Step(random.randrange(4), content)
    head = content[:HEADER_LENGTH] if kind == RAW else b""
    body = content[len(head) :]
    if random.random() < 0.1:
        body += bytes(random.choice((1, 2, 255, 16_000)))
    else:
        body = change(body or b"\0", limit)
    if head and random.random() < 0.8:
        head = head[:3] + len(body).to_bytes(2)
    return Step(kind, head + body)


_STOCK = [
    Step(SEALED, b"\x17"),
    Step(RAW, _EARLY),
    Step(NEW_KEY),
    Step(RAW, b"\x14\x03\x03\0\x01\x01"),
    Step(RAW, b"\x15\x03\x03\0\x02\x02\x28"),
]

TARGETS = [
    Target("framing", run_framing, _framing_seeds, max_length=2048),
    Target("reassembly", run_reassembly, _reassembly_seeds, max_length=2048),
    Target("records", run_records, _records_seeds, steps.mutator(_inside, _STOCK, 256), max_length=20_000),
]
