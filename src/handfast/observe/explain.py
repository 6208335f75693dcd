"""What each message is for, and what its fields say: a handshake in plain words.

Three levels: :func:`summary` is a message in one line; :func:`purpose` says what it is for and what it proves;
:func:`lines` are its fields. All that comes from a peer goes through errors.shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from handfast.certificates.parsed import Parsed, parsed
from handfast.errors import CertificateError, shown
from handfast.observe import words
from handfast.wire.alert import Alert, ChangeCipherSpec
from handfast.wire.codepoints import (
    CipherSuite,
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
)
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    EncryptedExtensions,
    Finished,
    NewSessionTicket,
)

Line = tuple[str, str, str]
"""A field by its RFC name, its value as text that is safe to show, and what it means ("" where that is plain)."""

_SHOWN: Final = 6


def lines(message: Any) -> list[Line]:
    """The fields of a message that matter."""
    explain = _FIELDS.get(type(message))
    return list(explain(message)) if explain else []


def summary(message: Any) -> str:
    """A message in one line."""
    text = _SUMMARIES.get(type(message))
    return text(message) if text else ""


def purpose(message: Any, *, from_client: bool) -> str:
    """What a message is for, and what it proves."""
    text = _PURPOSES.get(type(message))
    return text(message, from_client) if text else ""


def milestone(message: Any, *, from_client: bool) -> str:
    """What is different from here on, if this message is as it has to be; "" for most messages."""
    if isinstance(message, ServerHello) and message.key_share is not None and message.version == _TLS13:
        return "both sides now have the same secret; from here on messages are encrypted"
    if isinstance(message, Finished) and from_client:
        return "the handshake is complete; application data follows, under new keys"
    return ""


alert_meaning = words.alert

_TLS13: Final = ProtocolVersion.TLS_1_3


def _names(name: Callable[[int], str], values: Iterable[int] | None, most: int = _SHOWN) -> str:
    names = [name(value) for value in values or ()]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _bytes(data: bytes) -> str:
    """The beginning of something random, enough to find it elsewhere, and its length."""
    return f"{data[:8].hex()}... ({len(data)} bytes)" if len(data) > 8 else f"{data.hex()} ({len(data)} bytes)"


def _protocols(names: Iterable[bytes]) -> str:
    return shown([name.decode("utf-8", "backslashreplace") for name in names])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# --- the hellos ------------------------------------------------------------------------------------------------------


def _client_hello_purpose(hello: ClientHello, _: bool) -> str:
    if hello.cookie is not None:
        return "The client says its hello again, now with the key share that the server asked for."
    if _TLS13 not in (hello.supported_versions or ()):
        return "The client says what it can do; TLS 1.3 is not among it."
    return "The client says what it can do, and sends its half of a key exchange at once, to save a round trip."


def _client_hello(hello: ClientHello) -> Iterable[Line]:
    if hello.server_name is not None:
        yield "server_name", shown(hello.server_name), "whom it wants to reach, readable for everybody on the way"
    versions = hello.supported_versions or [hello.legacy_version]
    yield "supported_versions", _names(ProtocolVersion.name, versions), "the versions it speaks, the best first"
    yield "cipher_suites", _names(CipherSuite.name, hello.cipher_suites), "how records may be encrypted"
    yield "supported_groups", _names(NamedGroup.name, hello.supported_groups) or "none", "how keys may be agreed on"
    shares = [f"{NamedGroup.name(share.group)} ({len(share.key_exchange)} bytes)" for share in hello.key_share or ()]
    yield "key_share", ", ".join(shares) or "none", "public keys made for this connection alone, one a group"
    yield (
        "signature_algorithms",
        _names(SignatureScheme.name, hello.signature_algorithms, 4) or "none",
        "how the server may prove who it is",
    )
    protocols = hello.application_layer_protocol_negotiation
    if protocols:
        yield "alpn", _protocols(protocols), "what may be spoken inside, the best first"
    if hello.padding is not None:
        yield "padding", f"{hello.padding} bytes", "some old servers hang on a hello of 256 to 511 bytes"
    others = [value for value in hello.extension_types if value in hello.other_extensions]
    if others:
        yield "other extensions", _names(ExtensionType.name, others), ""
    yield "random", _bytes(hello.random), "fresh each time, so that no handshake can be replayed"
    if hello.legacy_session_id:
        yield (
            "legacy_session_id",
            f"{len(hello.legacy_session_id)} bytes",
            "means nothing in TLS 1.3; makes it look like TLS 1.2 to old middleboxes",
        )


def _client_hello_summary(hello: ClientHello) -> str:
    asked = f" for {shown(hello.server_name)}" if hello.server_name else ""
    shares = _names(NamedGroup.name, [share.group for share in hello.key_share or ()]) or "no group"
    return f"asks{asked}: {_count(len(hello.cipher_suites), 'suite')}, shares of {shares}"


def _server_hello_purpose(hello: ServerHello, _: bool) -> str:
    if hello.is_retry_request:
        return "The server has no use for any of the key shares, and asks for one of another group."
    if hello.version != _TLS13:
        return f"The server answers in {ProtocolVersion.name(hello.version)}."
    return "The server chooses, and sends its half of the key exchange."


def _server_hello(hello: ServerHello) -> Iterable[Line]:
    yield "version", ProtocolVersion.name(hello.version), ""
    yield "cipher_suite", CipherSuite.name(hello.cipher_suite), words.suite(hello.cipher_suite)
    if hello.key_share is not None:
        share = hello.key_share
        yield "key_share", f"{NamedGroup.name(share.group)} ({len(share.key_exchange)} bytes)", words.group(share.group)
    if hello.selected_group is not None:
        yield "selected_group", NamedGroup.name(hello.selected_group), "the group that it wants a key share of"
    if not hello.is_retry_request:
        yield "random", _bytes(hello.random), "fresh on this side too"


def _server_hello_summary(hello: ServerHello) -> str:
    if hello.is_retry_request:
        return f"wants a key share of {NamedGroup.name(hello.selected_group or 0)}"
    group = NamedGroup.name(hello.key_share.group) if hello.key_share else "no key share"
    return f"chooses {ProtocolVersion.name(hello.version)}, {CipherSuite.name(hello.cipher_suite)}, {group}"


# --- after the hellos: all of this is encrypted ------------------------------------------------------------------------


def _encrypted_extensions_purpose(_: EncryptedExtensions, __: bool) -> str:
    return "The rest of the server's answers, which are nobody else's business: the first encrypted message."


def _encrypted_extensions(message: EncryptedExtensions) -> Iterable[Line]:
    protocol = message.application_layer_protocol_negotiation
    if protocol is not None:
        yield "alpn", _protocols([protocol]), "what will be spoken inside"
    if message.server_name_acknowledged:
        yield "server_name", "acknowledged", "the name was of use in choosing the certificate"
    if message.supported_groups:
        yield "supported_groups", _names(NamedGroup.name, message.supported_groups), "what the server likes best"
    others = [value for value in message.extension_types if value in message.other_extensions]
    if others:
        yield "other extensions", _names(ExtensionType.name, others), ""
    if not message.extension_types:
        yield "extensions", "none", ""


def _encrypted_extensions_summary(message: EncryptedExtensions) -> str:
    return f"answers {_names(ExtensionType.name, message.extension_types) or 'nothing more'}"


def _certificate_request_purpose(_: CertificateRequest, __: bool) -> str:
    return "The server wants to know who the client is, too."


def _certificate_request(message: CertificateRequest) -> Iterable[Line]:
    schemes = _names(SignatureScheme.name, message.signature_algorithms, 4)
    yield "signature_algorithms", schemes or "none", "how the client may prove it"
    if message.certificate_authorities:
        yield "certificate_authorities", _count(len(message.certificate_authorities), "name"), "whom the server trusts"


def _certificate_request_summary(_: CertificateRequest) -> str:
    return "asks for a client certificate"


def _certificate_purpose(message: Certificate, from_client: bool) -> str:
    if not message.certificate_list:
        return f"The {'client' if from_client else 'server'} has no certificate to show."
    who = "client" if from_client else "server"
    return f"Who the {who} says it is, and who vouches for it. Anybody could send this: the proof comes next."


def _certificate(message: Certificate) -> Iterable[Line]:
    for number, entry in enumerate(message.certificate_list, 1):
        label = f"certificate {number}"
        try:
            certificate = parsed(entry.cert_data)
        except CertificateError:
            yield label, f"{len(entry.cert_data)} bytes", "cannot be read"
            continue
        until = f"valid until {certificate.not_after:%Y-%m-%d}"
        whose = "the sender's own" if number == 1 else "vouches for the one before"
        subject = shown(certificate.subject) or "(empty subject)"
        yield label, subject, f"{whose}; {_key(certificate)} key, {until}"
        if number == 1 and certificate.alternative_names:
            yield "names", _listed(certificate.alternative_names), "whom it is for"
        yield "issuer", shown(certificate.issuer) or "(empty)", "who signed it" if number == 1 else ""


def _key(certificate: Parsed) -> str:
    size = f"-{certificate.key.key_size}" if certificate.kind.startswith("rsa") and certificate.key else ""
    return f"{certificate.kind}{size}" if certificate.key else "unknown"


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return shown([name.removeprefix("DNS:").removeprefix("IP:") for name in names[:_SHOWN]]) + more


def _certificate_summary(message: Certificate) -> str:
    count = len(message.certificate_list)
    return _count(count, "certificate") if count else "no certificate"


def _certificate_verify_purpose(_: CertificateVerify, from_client: bool) -> str:
    who = "client" if from_client else "server"
    return f"The proof: the {who} signs all messages so far, as only the owner of the certificate's key can."


def _certificate_verify(message: CertificateVerify) -> Iterable[Line]:
    yield "algorithm", SignatureScheme.name(message.algorithm), words.scheme(message.algorithm)
    yield "signature", _bytes(message.signature), "good for this handshake alone: the randoms and key shares are in it"


def _certificate_verify_summary(message: CertificateVerify) -> str:
    return f"proves that it holds the certificate's key, by {SignatureScheme.name(message.algorithm)}"


def _finished_purpose(_: Finished, from_client: bool) -> str:
    if from_client:
        return "The client confirms the same, from its side."
    return "The seal on it all: nobody changed anything on the way, not even in the hellos that were in the clear."


def _finished(message: Finished) -> Iterable[Line]:
    yield (
        "verify_data",
        _bytes(message.verify_data),
        "a MAC over all messages so far, with a key from the shared secret",
    )


def _finished_summary(_: Finished) -> str:
    return "confirms the whole handshake"


# --- after the handshake, and beside it --------------------------------------------------------------------------------


def _ticket_purpose(_: NewSessionTicket, __: bool) -> str:
    return "With this the client could come back later without certificate and signature. It is not used yet."


def _ticket(message: NewSessionTicket) -> Iterable[Line]:
    yield "ticket_lifetime", f"{message.ticket_lifetime} seconds", ""
    yield "ticket", f"{len(message.ticket)} bytes", "what the server needs to know it again, sealed for itself"


def _ticket_summary(message: NewSessionTicket) -> str:
    return f"a ticket for {message.ticket_lifetime} seconds, which is ignored"


def _change_cipher_spec_purpose(_: ChangeCipherSpec, __: bool) -> str:
    return "Means nothing in TLS 1.3; makes it look like TLS 1.2 to old middleboxes."


def _change_cipher_spec_summary(_: ChangeCipherSpec) -> str:
    return "means nothing in TLS 1.3; makes old middleboxes see TLS 1.2"


def _alert_purpose(message: Alert, _: bool) -> str:
    return f"{message.name}: {words.alert(message.description)}."


def _alert_summary(message: Alert) -> str:
    return f"{message.name}: {words.alert(message.description)}"


_FIELDS: Final[dict[type, Callable[[Any], Iterable[Line]]]] = {
    ClientHello: _client_hello,
    ServerHello: _server_hello,
    EncryptedExtensions: _encrypted_extensions,
    CertificateRequest: _certificate_request,
    Certificate: _certificate,
    CertificateVerify: _certificate_verify,
    Finished: _finished,
    NewSessionTicket: _ticket,
}
_PURPOSES: Final[dict[type, Callable[[Any, bool], str]]] = {
    ClientHello: _client_hello_purpose,
    ServerHello: _server_hello_purpose,
    EncryptedExtensions: _encrypted_extensions_purpose,
    CertificateRequest: _certificate_request_purpose,
    Certificate: _certificate_purpose,
    CertificateVerify: _certificate_verify_purpose,
    Finished: _finished_purpose,
    NewSessionTicket: _ticket_purpose,
    ChangeCipherSpec: _change_cipher_spec_purpose,
    Alert: _alert_purpose,
}
_SUMMARIES: Final[dict[type, Callable[[Any], str]]] = {
    ClientHello: _client_hello_summary,
    ServerHello: _server_hello_summary,
    EncryptedExtensions: _encrypted_extensions_summary,
    CertificateRequest: _certificate_request_summary,
    Certificate: _certificate_summary,
    CertificateVerify: _certificate_verify_summary,
    Finished: _finished_summary,
    NewSessionTicket: _ticket_summary,
    ChangeCipherSpec: _change_cipher_spec_summary,
    Alert: _alert_summary,
}
