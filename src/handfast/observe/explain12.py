"""What the messages of TLS 1.2 are for, and what their fields say: tables that explain.py takes in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from handfast.observe import words
from handfast.observe.phrases import (
    Line,
    accepted_schemes,
    certificate_kinds,
    certificates,
    count,
    excerpt,
    listed,
    protocols,
    sender,
    size_limit,
)
from handfast.wire.codepoints import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme
from handfast.wire.hello import DOWNGRADED_FURTHER, DOWNGRADED_TO_12, ClientHello, ServerHello
from handfast.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateVerify12,
    ClientKeyExchange,
    Finished12,
    HelloRequest,
    ServerHelloDone,
    ServerKeyExchange,
)

# --- the hellos: what they have for TLS 1.2 alone


def client_hello(hello: ClientHello) -> Iterable[Line]:
    """Extensions that a client sends for servers of TLS 1.2."""
    if hello.extended_main_secret:
        yield (
            "extended_main_secret",
            "offered",
            "or extended_master_secret: in TLS 1.2 the keys shall depend on the whole handshake, certificates too",
        )
    if hello.renegotiation_info is not None:
        yield _renegotiation(
            hello.renegotiation_info, "in TLS 1.2: a first handshake, before which nobody can put data"
        )
    if CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV in hello.cipher_suites:
        yield "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", "offered", "no suite: stands for an empty renegotiation_info"
    if CipherSuite.TLS_FALLBACK_SCSV in hello.cipher_suites:
        yield (
            "TLS_FALLBACK_SCSV",
            "offered",
            "no suite: says that a try with a newer version failed; a server that has one refuses",
        )
    if hello.ec_point_formats is not None:
        yield _point_formats(hello.ec_point_formats)


def server_hello(hello: ServerHello) -> Iterable[Line]:
    """What a server answers in the clear, in TLS 1.2."""
    protocol = hello.application_layer_protocol_negotiation
    if protocol is not None:
        yield "alpn", protocols([protocol]), "what will be spoken inside; everybody on the way can read it"
    if hello.server_name_acknowledged:
        yield "server_name", "acknowledged", "the name was of use in choosing the certificate"
    if hello.extended_main_secret:
        yield (
            "extended_main_secret",
            "agreed",
            "the keys are made from a hash of all messages up to ClientKeyExchange: no other connection has the same",
        )
    if hello.renegotiation_info is not None:
        yield _renegotiation(hello.renegotiation_info, "a first handshake for the server too")
    if hello.ec_point_formats is not None:
        yield _point_formats(hello.ec_point_formats)
    if hello.record_size_limit is not None:
        yield size_limit(hello.record_size_limit)
    if hello.legacy_session_id_echo and hello.version <= ProtocolVersion.TLS_1_2:
        size = count(len(hello.legacy_session_id_echo), "byte")
        yield "session_id", size, "a name for this session, to go on with it later; the client's own where it does"


def server_random(hello: ServerHello) -> str:
    """What a server's random is: it also tells of a newer version that was not used (RFC 9846 section 4.2.3)."""
    if hello.version <= ProtocolVersion.TLS_1_2 and hello.random.endswith(DOWNGRADED_TO_12):
        return "ends in DOWNGRD and 1: the server speaks TLS 1.3 too, and a client that does would break off here"
    if hello.version <= ProtocolVersion.TLS_1_2 and hello.random.endswith(DOWNGRADED_FURTHER):
        return "ends in DOWNGRD and 0: the server speaks TLS 1.2 too, and a client that does would break off here"
    return "fresh on this side too"


def _renegotiation(content: bytes, meaning: str) -> Line:
    if content:
        return "renegotiation_info", excerpt(content), "names an earlier handshake, which there was none of"
    return "renegotiation_info", "empty", meaning


def _point_formats(formats: bytes) -> Line:
    names = listed(lambda value: _POINT_FORMATS.get(value, str(value)), formats)
    return "ec_point_formats", names, "how points on curves may be written; only uncompressed is left"


_POINT_FORMATS: Final = {0: "uncompressed", 1: "compressed (prime)", 2: "compressed (char2)"}


# --- the server's flight, in the clear


def _certificate_purpose(message: Certificate12, from_client: bool) -> str:
    who = sender(from_client)
    if not message.certificate_list and from_client:
        return "The client has no certificate to show. Whether it gets in without one is up to the server."
    if not message.certificate_list:
        return "The server has no certificate to show, which it has to."
    return (
        f"Who the {who} says it is, in the clear: there are no keys yet, so everybody on the way can read it. TLS 1.3 hides "
        "it. Anybody could send this: the proof comes next."
    )


def _certificate(message: Certificate12) -> Iterable[Line]:
    return certificates(message.certificate_list)


def _certificate_summary(message: Certificate12) -> str:
    return count(len(message.certificate_list), "certificate") if message.certificate_list else "no certificate"


def _server_key_exchange_purpose(_: ServerKeyExchange, __: bool) -> str:
    return (
        "The server's half of the key exchange, signed with the key of its certificate. The signature covers both randoms, "
        "so it is made for this handshake; it does not cover what was offered: only Finished protects that."
    )


def _server_key_exchange(message: ServerKeyExchange) -> Iterable[Line]:
    share = f"{NamedGroup.name(message.group)} ({count(len(message.public), 'byte')})"
    yield "public", share, words.group(message.group)
    yield "algorithm", SignatureScheme.name(message.algorithm), words.scheme_12(message.algorithm)
    yield (
        "signature",
        excerpt(message.signature),
        "over both randoms and the share: nobody else can have made it, nor at another time",
    )


def _server_key_exchange_summary(message: ServerKeyExchange) -> str:
    return f"a share of {NamedGroup.name(message.group)}, signed by {SignatureScheme.name(message.algorithm)}"


def _certificate_request_purpose(_: CertificateRequest12, __: bool) -> str:
    return "The server wants to know who the client is, too. The client's certificate will cross in the clear."


def _certificate_request(message: CertificateRequest12) -> Iterable[Line]:
    kinds = listed(lambda kind: certificate_kinds([kind])[0], message.certificate_types)
    yield "certificate_types", kinds, "kinds of keys that the client's certificate may have"
    yield from accepted_schemes(message, "client")


def _certificate_request_summary(message: CertificateRequest12) -> str:
    names = message.certificate_authorities
    return "asks for a client certificate" + (f" of {count(len(names), 'authority', 'authorities')}" if names else "")


def _done_purpose(_: ServerHelloDone, __: bool) -> str:
    return "The server has said all it had to: it is the client's turn."


def _done_summary(_: ServerHelloDone) -> str:
    return "that is all; the client's turn"


# --- the client's flight, and the end


def _client_key_exchange_purpose(_: ClientKeyExchange, __: bool) -> str:
    return "The client's half of the key exchange: both sides can work out the same secret now, and nobody else."


def _client_key_exchange(message: ClientKeyExchange) -> Iterable[Line]:
    yield (
        "public",
        excerpt(message.public),
        "made for this connection alone: once its private half is gone, nobody can read what was recorded",
    )


def _client_key_exchange_summary(message: ClientKeyExchange) -> str:
    return f"a share of {count(len(message.public), 'byte')}"


def _certificate_verify_purpose(_: CertificateVerify12, __: bool) -> str:
    return "The proof: the client signs all messages so far, as only the owner of the certificate's key can."


def _certificate_verify(message: CertificateVerify12) -> Iterable[Line]:
    yield "algorithm", SignatureScheme.name(message.algorithm), words.scheme_12(message.algorithm)
    yield "signature", excerpt(message.signature), "good for this handshake alone: the randoms and shares are in it"


def _certificate_verify_summary(message: CertificateVerify12) -> str:
    return f"proves that it holds the certificate's key, by {SignatureScheme.name(message.algorithm)}"


def _finished_purpose(_: Finished12, from_client: bool) -> str:
    if from_client:
        return (
            "The first encrypted message: the client proves that it has the keys, and seals all that it saw, the hellos too: "
            "had anybody changed a byte on the way, the server would notice now."
        )
    return (
        "The server confirms the same, from its side: nobody changed anything on the way, not even what was offered in the "
        "hellos."
    )


def _finished(message: Finished12) -> Iterable[Line]:
    yield (
        "verify_data",
        excerpt(message.verify_data),
        "a MAC over all messages so far, with the main secret (or master secret)",
    )


def _finished_summary(_: Finished12) -> str:
    return "confirms the whole handshake"


def _hello_request_purpose(_: HelloRequest, __: bool) -> str:
    return "The server wants to shake hands again inside the connection. handfast never does."


def _hello_request_summary(_: HelloRequest) -> str:
    return "asks for a renegotiation, which is refused"


FIELDS: Final[dict[type, Callable[[Any], Iterable[Line]]]] = {
    Certificate12: _certificate,
    ServerKeyExchange: _server_key_exchange,
    CertificateRequest12: _certificate_request,
    ClientKeyExchange: _client_key_exchange,
    CertificateVerify12: _certificate_verify,
    Finished12: _finished,
}
PURPOSES: Final[dict[type, Callable[[Any, bool], str]]] = {
    Certificate12: _certificate_purpose,
    ServerKeyExchange: _server_key_exchange_purpose,
    CertificateRequest12: _certificate_request_purpose,
    ServerHelloDone: _done_purpose,
    ClientKeyExchange: _client_key_exchange_purpose,
    CertificateVerify12: _certificate_verify_purpose,
    Finished12: _finished_purpose,
    HelloRequest: _hello_request_purpose,
}
SUMMARIES: Final[dict[type, Callable[[Any], str]]] = {
    Certificate12: _certificate_summary,
    ServerKeyExchange: _server_key_exchange_summary,
    CertificateRequest12: _certificate_request_summary,
    ServerHelloDone: _done_summary,
    ClientKeyExchange: _client_key_exchange_summary,
    CertificateVerify12: _certificate_verify_summary,
    Finished12: _finished_summary,
    HelloRequest: _hello_request_summary,
}
