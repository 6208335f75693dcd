"""HelloRetryRequest: the round trip more that a handshake takes when the first key shares do not fit.

Figure 2 of RFC 9846 section 2.1::

    Client                                               Server

    ClientHello
    + key_share              -------->
                                               HelloRetryRequest
                             <--------               + key_share
    ClientHello
    + key_share              -------->
                                                     ServerHello
                                                            ...
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import fields
from typing import Final

from handfast.config import ServerConfig
from handfast.crypto.suites import Suite
from handfast.errors import PeerMisbehaved
from handfast.handshake.flow import Flow, expect
from handfast.handshake.hello import Offer, agreed_suite, offer_again
from handfast.handshake.link import Link
from handfast.handshake.negotiate import check_hello
from handfast.reasons import (
    BAD_COOKIE,
    EARLY_DATA_AFTER_RETRY,
    GROUP_NOT_OFFERED,
    HELLO_CHANGED,
    RETRY_NOT_KEPT,
    RETRY_WITHOUT_CHANGE,
    SECOND_RETRY,
    WRONG_RETRY_SHARE,
)
from handfast.sessions.verdict import WhyNot
from handfast.wire.codepoints import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import HELLO_RETRY_RANDOM, ClientHello, ServerHello

E = ExtensionType

# The extensions that may differ between the two hellos (RFC 9846 section 4.2.2); a client that tries ECH with a server
# which cannot read it encrypts its second hello anew (RFC 9849 section 6.1.5).
_MAY_CHANGE: Final = {E.KEY_SHARE, E.EARLY_DATA, E.COOKIE, E.PRE_SHARED_KEY, E.PADDING, E.ENCRYPTED_CLIENT_HELLO}
_NOT_COMPARED: Final = {
    "cookie",
    "early_data",
    "pre_shared_key",
    "key_share",
    "padding",
    "extension_types",
    "other_extensions",
    "raw",
}
_COMPARED: Final = tuple(field.name for field in fields(ClientHello) if field.name not in _NOT_COMPARED)


# --- the client ---------------------------------------------------------------------------------------------------


def retry(link: Link, sent: Offer, request: ServerHello) -> Flow[tuple[Offer, ServerHello]]:
    """Say hello again, as the server asks; what we offer now, and what it answers."""
    link.check_no_excess()
    suite = agreed_suite(sent, request)
    check_request(sent, request)
    transcript = link.transcript
    transcript.use(suite.hash)
    transcript.fold()
    transcript.add(request)

    if sent.message.early_data:
        link.layer.write_in_plaintext()  # it was not taken; the second hello is read without keys
    if sent.message.legacy_session_id:
        link.send_change_cipher_spec()
    again = offer_again(link, sent, request)
    link.send(again.message)
    link.flush()
    transcript.add(again.message)

    answer = yield from expect(ServerHello)
    if answer.is_retry_request:
        raise PeerMisbehaved(SECOND_RETRY)
    if answer.selected_version != request.selected_version or answer.cipher_suite != request.cipher_suite:
        raise PeerMisbehaved(
            RETRY_NOT_KEPT,
            asked_for=[ProtocolVersion.name(request.version), CipherSuite.name(request.cipher_suite)],
            came=[ProtocolVersion.name(answer.version), CipherSuite.name(answer.cipher_suite)],
        )
    return again, answer


def check_request(sent: Offer, request: ServerHello) -> None:
    """What a HelloRetryRequest may ask for (RFC 9846 sections 4.2.4 and 4.3.8)."""
    group = request.selected_group
    we_sent = [share.group for share in sent.shares]
    if group is None and request.cookie is None:
        raise PeerMisbehaved(RETRY_WITHOUT_CHANGE)
    if group is None:
        return
    if group in we_sent:
        shares = [NamedGroup.name(share) for share in we_sent]
        raise PeerMisbehaved(RETRY_WITHOUT_CHANGE, asked_for=NamedGroup.name(group), we_sent_shares_of=shares)
    if group not in sent.config.group_ids:
        groups = [NamedGroup.name(offered) for offered in sent.config.group_ids]
        raise PeerMisbehaved(GROUP_NOT_OFFERED, selected=NamedGroup.name(group), we_offered=groups)


# --- the server ---------------------------------------------------------------------------------------------------


def ask_again(
    link: Link, config: ServerConfig, hello: ClientHello, suite: Suite, wanted: KeyShareEntry | int | None
) -> Flow[tuple[ClientHello, KeyShareEntry | None]]:
    """Let the client say hello again; its second hello, which the caller adds to the transcript, and its share.

    ``wanted``: the group to ask it a share of; or the share that it has sent and that will do, if it is to show only
    that the cookie reaches it; or None, if none is needed.
    """
    link.check_no_excess()
    if hello.early_data:
        link.layer.skip_early_data(config.max_early_data)
        if link.resumption is not None:
            link.resumption.why_not_early = WhyNot.RETRIED
    transcript = link.transcript
    group = wanted if isinstance(wanted, int) else None
    cookie = None if config.cookie_key is None else _cookie(config.cookie_key, hello, suite, group)
    request = ServerHello(
        random=HELLO_RETRY_RANDOM,
        legacy_session_id_echo=hello.legacy_session_id,
        cipher_suite=suite.id,
        selected_version=ProtocolVersion.TLS_1_3,
        selected_group=group,
        cookie=cookie,
    )
    link.send(request)
    transcript.fold()
    transcript.add(request)
    if hello.legacy_session_id:
        link.send_change_cipher_spec()
    link.flush()

    again = yield from expect(ClientHello)
    check_again(hello, again)
    if not hmac.compare_digest(again.cookie or b"", cookie or b""):
        raise PeerMisbehaved(BAD_COOKIE)
    came = again.key_share or []
    if isinstance(wanted, int):
        if len(came) != 1 or came[0].group != wanted:
            names = [NamedGroup.name(share.group) for share in came]
            raise PeerMisbehaved(WRONG_RETRY_SHARE, we_asked_for=NamedGroup.name(wanted), came=names)
        return again, came[0]
    if came != (hello.key_share or []):
        raise PeerMisbehaved(HELLO_CHANGED, differing=[E.name(E.KEY_SHARE)])
    return again, wanted


def check_again(first: ClientHello, second: ClientHello) -> None:
    """That the second hello is the first one, but for what a retry changes (RFC 9846 section 4.2.2)."""
    check_hello(second)
    differing = [name for name in _COMPARED if getattr(first, name) != getattr(second, name)]
    before, after = (
        {extension: data for extension, data in hello.other_extensions.items() if extension not in _MAY_CHANGE}
        for hello in (first, second)
    )
    if second.early_data:
        raise PeerMisbehaved(EARLY_DATA_AFTER_RETRY)
    differing += [E.name(kind) for kind in before.keys() | after.keys() if before.get(kind) != after.get(kind)]
    if differing:
        raise PeerMisbehaved(HELLO_CHANGED, differing=sorted(differing))


def _cookie(key: bytes, hello: ClientHello, suite: Suite, group: int | None) -> bytes:
    """What the second hello has to bring back: the first one's hash and what we decided, authenticated by our key.

    It depends on nothing but the key and the first hello, so it can be checked by whoever has the key
    (RFC 9846 section 4.3.2).
    """
    content = suite.id.to_bytes(2) + (group or 0).to_bytes(2) + hashlib.new(suite.hash, hello.raw).digest()
    return content + hmac.digest(key, b"handfast cookie\0" + content, "sha256")
