"""What each message says, in a few words: the fields that matter, and why they are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from handfast.certificates.parsed import parsed
from handfast.errors import CertificateError, shown
from handfast.wire.alert import Alert, ChangeCipherSpec
from handfast.wire.codepoints import (
    AlertDescription,
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
    explain = _EXPLAINED.get(type(message))
    return list(explain(message)) if explain else []


def summary(message: Any) -> str:
    """A message in one sentence."""
    text = _SUMMARIES.get(type(message))
    return text(message) if text else ""


def _names(name: Callable[[int], str], values: Iterable[int] | None, most: int = _SHOWN) -> str:
    names = [name(value) for value in values or ()]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# --- the hellos ------------------------------------------------------------------------------------------------------


def _client_hello(hello: ClientHello) -> Iterable[Line]:
    if hello.server_name is not None:
        yield "server_name", shown(hello.server_name), "the name asked for, readable by everybody on the way"
    versions = hello.supported_versions or [hello.legacy_version]
    yield "supported_versions", _names(ProtocolVersion.name, versions), "what the client speaks, the best first"
    yield "cipher_suites", _names(CipherSuite.name, hello.cipher_suites), "how records may be encrypted"
    yield "supported_groups", _names(NamedGroup.name, hello.supported_groups), "how keys may be agreed on"
    shares = [f"{NamedGroup.name(share.group)} ({len(share.key_exchange)} bytes)" for share in hello.key_share or ()]
    yield "key_share", ", ".join(shares) or "none", "public keys made for this connection alone"
    yield (
        "signature_algorithms",
        _names(SignatureScheme.name, hello.signature_algorithms, 4),
        "how the server may prove who it is",
    )
    protocols = hello.application_layer_protocol_negotiation
    if protocols:
        yield (
            "alpn",
            shown([name.decode("utf-8", "backslashreplace") for name in protocols]),
            "what will be spoken inside",
        )
    if hello.legacy_session_id:
        yield "legacy_session_id", f"{len(hello.legacy_session_id)} bytes", "means nothing; old middleboxes want one"


def _client_hello_summary(hello: ClientHello) -> str:
    asked = f" for {shown(hello.server_name)}" if hello.server_name else ""
    return f"asks{asked}: {len(hello.cipher_suites)} suites, shares of {_names(NamedGroup.name, [s.group for s in hello.key_share or ()]) or 'no group'}"


def _server_hello(hello: ServerHello) -> Iterable[Line]:
    yield "version", ProtocolVersion.name(hello.version), "the server's choice"
    yield "cipher_suite", CipherSuite.name(hello.cipher_suite), "the cipher of the records, and the hash of everything"
    if hello.key_share is not None:
        share = hello.key_share
        size = len(share.key_exchange)
        yield (
            "key_share",
            f"{NamedGroup.name(share.group)} ({size} bytes)",
            "now both sides have the same secret: from here on all is encrypted",
        )
    if hello.selected_group is not None:
        yield "selected_group", NamedGroup.name(hello.selected_group), "the server wants a key share of this group"


def _server_hello_summary(hello: ServerHello) -> str:
    if hello.is_retry_request:
        return f"HelloRetryRequest: wants a key share of {NamedGroup.name(hello.selected_group or 0)}"
    group = NamedGroup.name(hello.key_share.group) if hello.key_share else "no key share"
    return f"chooses {ProtocolVersion.name(hello.version)}, {CipherSuite.name(hello.cipher_suite)}, {group}"


# --- after the hellos: all of this is encrypted ------------------------------------------------------------------------


def _encrypted_extensions(message: EncryptedExtensions) -> Iterable[Line]:
    protocol = message.application_layer_protocol_negotiation
    if protocol is not None:
        yield "alpn", shown(protocol.decode("utf-8", "backslashreplace")), "what will be spoken inside"
    if message.server_name_acknowledged:
        yield "server_name", "acknowledged", "the server has a certificate for this name"
    others = [value for value in message.extension_types if value in message.other_extensions]
    if others:
        yield "others", _names(ExtensionType.name, others), ""


def _encrypted_extensions_summary(message: EncryptedExtensions) -> str:
    return f"answers {_names(ExtensionType.name, message.extension_types) or 'nothing more'}"


def _certificate_request(message: CertificateRequest) -> Iterable[Line]:
    yield "signature_algorithms", _names(SignatureScheme.name, message.signature_algorithms, 4), ""
    if message.certificate_authorities:
        yield "certificate_authorities", f"{len(message.certificate_authorities)} names", "whom the server trusts"


def _certificate_request_summary(message: CertificateRequest) -> str:
    return "asks for a client certificate; we have none to show"


def _certificate(message: Certificate) -> Iterable[Line]:
    for number, entry in enumerate(message.certificate_list):
        who = "the server's own" if number == 0 else "an issuer's"
        try:
            certificate = parsed(entry.cert_data)
        except CertificateError:
            yield f"certificate {number + 1}", f"{len(entry.cert_data)} bytes", "cannot be read"
            continue
        subject = shown(certificate.subject) or "(empty subject)"
        yield f"certificate {number + 1}", subject, f"{who}, {certificate.kind}, until {certificate.not_after:%Y-%m-%d}"
        if number == 0 and certificate.names:
            yield "names", shown(list(certificate.names.texts[:_SHOWN])), "the names it is for"
        yield "issuer", shown(certificate.issuer) or "(empty)", "who says so"


def _certificate_summary(message: Certificate) -> str:
    count = len(message.certificate_list)
    return f"{count} certificate{'s' if count > 1 else ''}" if count else "no certificate"


def _certificate_verify(message: CertificateVerify) -> Iterable[Line]:
    yield (
        "algorithm",
        SignatureScheme.name(message.algorithm),
        "a signature over all messages so far, by the key of the certificate:",
    )
    yield "signature", f"{len(message.signature)} bytes", "only its owner can have made it, and only in this handshake"


def _certificate_verify_summary(message: CertificateVerify) -> str:
    return f"proves that it holds the certificate's key, by {SignatureScheme.name(message.algorithm)}"


def _finished(message: Finished) -> Iterable[Line]:
    yield (
        "verify_data",
        f"{len(message.verify_data)} bytes",
        "a MAC over all messages: both sides saw the same handshake",
    )


def _finished_summary(message: Finished) -> str:
    return "confirms the whole handshake"


def _ticket(message: NewSessionTicket) -> Iterable[Line]:
    yield "ticket_lifetime", f"{message.ticket_lifetime} seconds", "a ticket to come back with; not used yet"


def _ticket_summary(message: NewSessionTicket) -> str:
    return f"a ticket for {message.ticket_lifetime} seconds, which is ignored"


def _change_cipher_spec_summary(message: ChangeCipherSpec) -> str:
    return "means nothing in TLS 1.3; makes old middleboxes see TLS 1.2"


def _alert_summary(message: Alert) -> str:
    return f"{message.name}: {alert_meaning(message.description)}"


_EXPLAINED: Final[dict[type, Callable[[Any], Iterable[Line]]]] = {
    ClientHello: _client_hello,
    ServerHello: _server_hello,
    EncryptedExtensions: _encrypted_extensions,
    CertificateRequest: _certificate_request,
    Certificate: _certificate,
    CertificateVerify: _certificate_verify,
    Finished: _finished,
    NewSessionTicket: _ticket,
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

A = AlertDescription
_ALERTS: Final = {
    A.CLOSE_NOTIFY: "nothing more will be sent, and nothing was cut off",
    A.UNEXPECTED_MESSAGE: "a message came that may not come there",
    A.BAD_RECORD_MAC: "a record could not be decrypted",
    A.RECORD_OVERFLOW: "a record is too long",
    A.HANDSHAKE_FAILURE: "nothing in common: no suite, group or signature scheme that both sides accept",
    A.BAD_CERTIFICATE: "something is wrong with the certificate",
    A.UNSUPPORTED_CERTIFICATE: "the certificate is of a kind, or for a use, that is not accepted",
    A.CERTIFICATE_REVOKED: "the certificate has been revoked",
    A.CERTIFICATE_EXPIRED: "the certificate has expired",
    A.CERTIFICATE_UNKNOWN: "the certificate is not accepted",
    A.ILLEGAL_PARAMETER: "a field has a value that it may not have",
    A.UNKNOWN_CA: "the issuer of the certificate is not trusted",
    A.ACCESS_DENIED: "the certificate is good, and not allowed in",
    A.DECODE_ERROR: "a message does not parse",
    A.DECRYPT_ERROR: "a signature or a Finished is wrong",
    A.PROTOCOL_VERSION: "no version of TLS in common",
    A.INSUFFICIENT_SECURITY: "what was offered is too weak",
    A.INTERNAL_ERROR: "something unrelated to the protocol went wrong there",
    A.INAPPROPRIATE_FALLBACK: "a retry with an older version, which was not needed",
    A.USER_CANCELED: "given up for a reason of its own",
    A.MISSING_EXTENSION: "an extension is missing that has to be there",
    A.UNSUPPORTED_EXTENSION: "an answer to something that was never asked",
    A.UNRECOGNIZED_NAME: "no server of that name is here",
    A.BAD_CERTIFICATE_STATUS_RESPONSE: "the revocation status is not accepted",
    A.UNKNOWN_PSK_IDENTITY: "the session is not known",
    A.CERTIFICATE_REQUIRED: "a client certificate is needed, and none came",
    A.GENERAL_ERROR: "something went wrong there",
    A.NO_APPLICATION_PROTOCOL: "no application protocol (ALPN) in common",
    A.ECH_REQUIRED: "encrypted client hello is needed",
}


def alert_meaning(description: int) -> str:
    """What the sender of an alert says by it."""
    return _ALERTS.get(description, "an alert that has no name")
