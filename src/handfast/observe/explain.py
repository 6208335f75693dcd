"""What each message is for, and what its fields say: a handshake in plain words.

Three levels: :func:`summary` is a message in one line; :func:`purpose` says what it is for and what it proves;
:func:`lines` are its fields. All that comes from a peer goes through errors.shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from handfast.errors import shown
from handfast.observe import explain12, explain_sessions, words
from handfast.observe.phrases import (
    Line,
    accepted_schemes,
    certificates,
    cookie,
    count,
    excerpt,
    listed,
    other_extensions,
    protocols,
    sender,
    size_limit,
)
from handfast.reasons import alert_words
from handfast.wire.alert import Alert, ChangeCipherSpec
from handfast.wire.codepoints import (
    CipherSuite,
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
    is_grease,
)
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages12 import Finished12
from handfast.wire.messages13 import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    EncryptedExtensions,
    Finished,
    KeyUpdate,
)


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
    if isinstance(message, ServerHello) and not message.is_retry_request and message.version == _TLS13:
        return "both sides now have the same secret; from here on messages are encrypted"
    if isinstance(message, Finished12) and not from_client:
        return "the handshake is complete; application data follows"
    if isinstance(message, ChangeCipherSpec) and message.changes_keys:
        return f"what the {sender(from_client)} sends from here on is encrypted"
    if type(message) is Finished and from_client:
        return "the handshake is complete; application data follows, under new keys"
    if isinstance(message, KeyUpdate):
        return f"what the {sender(from_client)} sends from here on is sealed with its next key"
    return ""


_TLS13: Final = ProtocolVersion.TLS_1_3


# --- the hellos ------------------------------------------------------------------------------------------------------


def _client_hello_purpose(hello: ClientHello, _: bool) -> str:
    if hello.cookie is not None:
        return (
            "The client says its hello again, with what the server asked for. Nothing else may have changed: the server "
            "compares, and both hellos count in the proofs."
        )
    if not _offers_13(hello):
        return "The client says what it can do; TLS 1.3 is not among it, so its half of the key exchange comes a round trip later."
    return "The client says what it can do, and sends its half of a key exchange at once, to save a round trip."


def _client_hello(hello: ClientHello) -> Iterable[Line]:
    if hello.server_name is not None:
        yield "server_name", shown(hello.server_name), "whom it wants to reach, readable for everybody on the way"
    if hello.supported_versions is None:
        yield "legacy_version", ProtocolVersion.name(hello.legacy_version), "the newest version that it speaks"
    else:
        versions = listed(ProtocolVersion.name, hello.supported_versions)
        yield "supported_versions", versions or "none", "the versions it speaks, the best first"
    yield "cipher_suites", listed(CipherSuite.name, hello.cipher_suites), "how records may be encrypted"
    yield "supported_groups", listed(NamedGroup.name, hello.supported_groups) or "none", "how keys may be agreed on"
    if hello.key_share is not None or _offers_13(hello):
        shares = [
            f"{NamedGroup.name(share.group)} ({len(share.key_exchange)} bytes)" for share in hello.key_share or ()
        ]
        yield "key_share", ", ".join(shares) or "none", "public keys made for this connection alone, one a group"
    if hello.cookie is not None:
        yield cookie(hello.cookie, "what the server sent in its HelloRetryRequest, brought back as it came")
    yield from accepted_schemes(hello, "server")
    names = hello.application_layer_protocol_negotiation
    if names:
        yield "alpn", protocols(names), "what may be spoken inside, the best first"
    if hello.record_size_limit is not None:
        yield size_limit(hello.record_size_limit)
    yield from explain12.client_hello(hello)
    yield from explain_sessions.client_hello(hello)
    if hello.padding is not None:
        yield "padding", count(hello.padding, "byte"), "some old servers hang on a hello of 256 to 511 bytes"
    yield from other_extensions(hello)
    yield "random", excerpt(hello.random), "fresh each time, so that no handshake can be replayed"
    if hello.legacy_session_id:
        meaning = "an earlier session that it would like to go on with"
        if _offers_13(hello):
            meaning = "means nothing in TLS 1.3; makes it look like TLS 1.2 to old middleboxes"
            if hello.session_ticket:
                meaning += "; a server of TLS 1.2 says it again if it takes up the session"
        yield "legacy_session_id", count(len(hello.legacy_session_id), "byte"), meaning


def _client_hello_summary(hello: ClientHello) -> str:
    asked = f" for {shown(hello.server_name)}" if hello.server_name else ""
    again = " again, with the server's cookie" if hello.cookie is not None else ""
    suites = count(len(hello.cipher_suites), "suite")
    if not _offers_13(hello):
        known = [version for version in hello.supported_versions or () if not is_grease(version)]
        best = max(known, default=hello.legacy_version)
        return f"asks{asked}: {suites}, {ProtocolVersion.name(best)} at best"
    shares = listed(NamedGroup.name, [share.group for share in hello.key_share or ()]) or "no group"
    key = ", with a key of before" if hello.pre_shared_key is not None else ""
    early = " and early data" if hello.early_data else ""
    return f"asks{asked}{again}: {suites}, shares of {shares}{key}{early}"


def _offers_13(hello: ClientHello) -> bool:
    return _TLS13 in (hello.supported_versions or ())


def _server_hello_purpose(hello: ServerHello, _: bool) -> str:
    if hello.is_retry_request and hello.selected_group is None:
        return (
            "The server has all it needs, and lets the client say its hello again to see that the answer reaches it. "
            "That costs a round trip."
        )
    if hello.is_retry_request:
        return (
            "The server has no use for any of the key shares, and asks for one of another group. That costs a round trip: "
            "the client guessed wrong."
        )
    if hello.version != _TLS13:
        return (
            f"The server chooses {ProtocolVersion.name(hello.version)}: its certificate follows in the clear, and the key "
            "exchange takes a round trip more than in TLS 1.3."
        )
    half = ", and sends its half of the key exchange" if hello.key_share is not None else ""
    return f"The server chooses{half}.{explain_sessions.resumption(hello)}"


def _server_hello(hello: ServerHello) -> Iterable[Line]:
    yield "version", ProtocolVersion.name(hello.version), ""
    yield "cipher_suite", CipherSuite.name(hello.cipher_suite), words.suite(hello.cipher_suite)
    if hello.key_share is not None:
        share = hello.key_share
        yield "key_share", f"{NamedGroup.name(share.group)} ({len(share.key_exchange)} bytes)", words.group(share.group)
    if hello.selected_group is not None:
        yield "selected_group", NamedGroup.name(hello.selected_group), "the group that it wants a key share of"
    if hello.cookie is not None:
        yield cookie(
            hello.cookie, "to be brought back: shows that the client can be reached, and keeps what was decided"
        )
    yield from explain12.server_hello(hello)
    yield from explain_sessions.server_hello(hello)
    yield from other_extensions(hello)
    if hello.is_retry_request:
        yield (
            "random",
            excerpt(hello.random),
            "always this value: by it a client tells a HelloRetryRequest from a ServerHello",
        )
        yield (
            "message_hash",
            "not sent",
            "in all proofs to come the first hello is replaced by its hash, so that the server need not keep it",
        )
    else:
        yield "random", excerpt(hello.random), explain12.server_random(hello)


def _server_hello_summary(hello: ServerHello) -> str:
    if hello.is_retry_request:
        cookie = "its cookie back" if hello.cookie is not None else ""
        share = f"a key share of {NamedGroup.name(hello.selected_group)}" if hello.selected_group is not None else ""
        return f"wants {' and '.join(filter(None, (share, cookie))) or 'nothing new'}"
    group = f", {NamedGroup.name(hello.key_share.group)}" if hello.key_share else ""
    known = ", and knows the client again" if hello.selected_identity is not None else ""
    return f"chooses {ProtocolVersion.name(hello.version)}, {CipherSuite.name(hello.cipher_suite)}{group}{known}"


# --- after the hellos: all of this is encrypted ------------------------------------------------------------------------


def _encrypted_extensions_purpose(_: EncryptedExtensions, __: bool) -> str:
    return "The rest of the server's answers, which are nobody else's business: the first encrypted message."


def _encrypted_extensions(message: EncryptedExtensions) -> Iterable[Line]:
    protocol = message.application_layer_protocol_negotiation
    if protocol is not None:
        yield "alpn", protocols([protocol]), "what will be spoken inside"
    if message.server_name_acknowledged:
        yield "server_name", "acknowledged", "the name was of use in choosing the certificate"
    if message.supported_groups:
        yield "supported_groups", listed(NamedGroup.name, message.supported_groups), "what the server likes best"
    if message.record_size_limit is not None:
        yield size_limit(message.record_size_limit)
    yield from explain_sessions.encrypted_extensions(message)
    yield from other_extensions(message)
    if not message.extension_types:
        yield "extensions", "none", ""


def _encrypted_extensions_summary(message: EncryptedExtensions) -> str:
    return f"answers {listed(ExtensionType.name, message.extension_types) or 'nothing more'}"


def _certificate_request_purpose(_: CertificateRequest, __: bool) -> str:
    return "The server wants to know who the client is, too. The client answers at the end, once the server has proved itself."


def _certificate_request(message: CertificateRequest) -> Iterable[Line]:
    context = message.certificate_request_context
    if context:
        yield "certificate_request_context", excerpt(context), "which request an answer is for; empty in a handshake"
    yield from accepted_schemes(message, "client")
    yield from other_extensions(message)


def _certificate_request_summary(message: CertificateRequest) -> str:
    names = message.certificate_authorities
    return "asks for a client certificate" + (f" of {count(len(names), 'authority', 'authorities')}" if names else "")


def _certificate_purpose(message: Certificate, from_client: bool) -> str:
    who = sender(from_client)
    if not message.certificate_list and from_client:
        return "The client has no certificate to show. Whether it gets in without one is up to the server."
    if not message.certificate_list:
        return "The server has no certificate to show, which it has to."
    return f"Who the {who} says it is, and who vouches for it. Anybody could send this: the proof comes next."


def _certificate(message: Certificate) -> Iterable[Line]:
    return certificates(entry.cert_data for entry in message.certificate_list)


def _certificate_summary(message: Certificate) -> str:
    number = len(message.certificate_list)
    return count(number, "certificate") if number else "no certificate"


def _certificate_verify_purpose(_: CertificateVerify, from_client: bool) -> str:
    who = sender(from_client)
    return f"The proof: the {who} signs all messages so far, as only the owner of the certificate's key can."


def _certificate_verify(message: CertificateVerify) -> Iterable[Line]:
    yield "algorithm", SignatureScheme.name(message.algorithm), words.scheme(message.algorithm)
    yield "signature", excerpt(message.signature), "good for this handshake alone: the randoms and key shares are in it"


def _certificate_verify_summary(message: CertificateVerify) -> str:
    return f"proves that it holds the certificate's key, by {SignatureScheme.name(message.algorithm)}"


def _finished_purpose(_: Finished, from_client: bool) -> str:
    if from_client:
        return "The client confirms the same, from its side."
    return "The seal on it all: nobody changed anything on the way, not even in the hellos that were in the clear."


def _finished(message: Finished) -> Iterable[Line]:
    yield (
        "verify_data",
        excerpt(message.verify_data),
        "a MAC over all messages so far, with a key from the shared secret",
    )


def _finished_summary(_: Finished) -> str:
    return "confirms the whole handshake"


# --- after the handshake, and beside it --------------------------------------------------------------------------------


def _key_update_purpose(message: KeyUpdate, from_client: bool) -> str:
    who, other = sender(from_client), sender(not from_client)
    text = f"The {who} changes the key of what it sends: whoever finds the new one cannot read what was sent before."
    return f"{text} It asks the {other} to change its own key as well." if message.update_requested else text


def _key_update(message: KeyUpdate) -> Iterable[Line]:
    if message.update_requested:
        yield (
            "request_update",
            "update_requested",
            "the other side has to change its key too, before it sends data again",
        )
    else:
        yield "request_update", "update_not_requested", "the key of the other side stays: each direction has its own"


def _key_update_summary(message: KeyUpdate) -> str:
    return "changes its key" + (", and asks the other side to do so too" if message.update_requested else "")


def _change_cipher_spec_purpose(message: ChangeCipherSpec, from_client: bool) -> str:
    if message.changes_keys:
        return (
            f"The {sender(from_client)} has the keys now, and uses them from the next record on. This is no message of the "
            "handshake, and no proof covers it: it may stand here and nowhere else."
        )
    return "Means nothing in TLS 1.3; makes it look like TLS 1.2 to old middleboxes."


def _change_cipher_spec_summary(message: ChangeCipherSpec) -> str:
    if message.changes_keys:
        return "what comes next is encrypted"
    return "means nothing in TLS 1.3; makes old middleboxes see TLS 1.2"


def _alert_purpose(message: Alert, _: bool) -> str:
    return f"{message.name}: {alert_words.meaning(message.description)}."


def _alert_summary(message: Alert) -> str:
    return f"{message.name}: {alert_words.meaning(message.description)}"


_FIELDS: Final[dict[type, Callable[[Any], Iterable[Line]]]] = {
    ClientHello: _client_hello,
    ServerHello: _server_hello,
    EncryptedExtensions: _encrypted_extensions,
    CertificateRequest: _certificate_request,
    Certificate: _certificate,
    CertificateVerify: _certificate_verify,
    Finished: _finished,
    KeyUpdate: _key_update,
    **explain12.FIELDS,
    **explain_sessions.FIELDS,
}
_PURPOSES: Final[dict[type, Callable[[Any, bool], str]]] = {
    ClientHello: _client_hello_purpose,
    ServerHello: _server_hello_purpose,
    EncryptedExtensions: _encrypted_extensions_purpose,
    CertificateRequest: _certificate_request_purpose,
    Certificate: _certificate_purpose,
    CertificateVerify: _certificate_verify_purpose,
    Finished: _finished_purpose,
    KeyUpdate: _key_update_purpose,
    ChangeCipherSpec: _change_cipher_spec_purpose,
    Alert: _alert_purpose,
    **explain12.PURPOSES,
    **explain_sessions.PURPOSES,
}
_SUMMARIES: Final[dict[type, Callable[[Any], str]]] = {
    ClientHello: _client_hello_summary,
    ServerHello: _server_hello_summary,
    EncryptedExtensions: _encrypted_extensions_summary,
    CertificateRequest: _certificate_request_summary,
    Certificate: _certificate_summary,
    CertificateVerify: _certificate_verify_summary,
    Finished: _finished_summary,
    KeyUpdate: _key_update_summary,
    ChangeCipherSpec: _change_cipher_spec_summary,
    Alert: _alert_summary,
    **explain12.SUMMARIES,
    **explain_sessions.SUMMARIES,
}
