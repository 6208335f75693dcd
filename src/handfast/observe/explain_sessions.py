"""What the messages and extensions say by which a client comes back, or shows a key that both sides were given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from handfast.observe.phrases import Line, count, excerpt, listed
from handfast.observe.tap import Seen
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages12 import Finished12, NewSessionTicket12
from handfast.wire.messages13 import EncryptedExtensions, EndOfEarlyData, Finished, NewSessionTicket
from handfast.wire.psk import PSK_DHE_KE, PSK_KE

_MODES: Final = {PSK_KE: "psk_ke", PSK_DHE_KE: "psk_dhe_ke"}


def client_hello(hello: ClientHello) -> Iterable[Line]:
    """How a client would like to come back, and what it shows for that."""
    if hello.psk_key_exchange_modes is not None:
        modes = listed(lambda mode: _MODES.get(mode, str(mode)), hello.psk_key_exchange_modes)
        only = PSK_DHE_KE not in hello.psk_key_exchange_modes
        meaning = "no fresh key exchange, so no forward secrecy" if only else "with a fresh key exchange as well"
        yield "psk_key_exchange_modes", modes, f"how a key of before may be used: {meaning}"
    if hello.ticket_request is not None:
        fresh, resumed = hello.ticket_request
        yield (
            "ticket_request",
            f"{fresh}, {resumed}",
            "tickets it would like: after a full handshake, after a resumed one",
        )
    if hello.session_ticket:
        yield "session_ticket", excerpt(hello.session_ticket), "of a session of TLS 1.2, to go on with it"
    elif hello.session_ticket is not None:
        yield "session_ticket", "empty", "it takes tickets of TLS 1.2"
    if hello.early_data:
        yield "early_data", "follows", "sent before any answer: whoever records it can send it again"
    if hello.pre_shared_key is not None:
        names = [excerpt(each.identity) for each in hello.pre_shared_key.identities[:2]]
        more = len(hello.pre_shared_key.identities) - len(names)
        text = ", ".join(names) + (f" and {more} more" if more else "")
        yield "pre_shared_key", text, "tickets, or names of keys that both sides have; the server may take one"
        binders = count(len(hello.pre_shared_key.binders), "MAC")
        meaning = "over this hello, by the key of each: a ticket that was only seen on the wire is of no use"
        yield "binders", binders, meaning


def server_hello(hello: ServerHello) -> Iterable[Line]:
    """Whether the server knows it again."""
    if hello.selected_identity is not None:
        value = f"number {hello.selected_identity + 1} of the offer"
        yield "pre_shared_key", value, "the server knows the client again: neither shows a certificate"
        if hello.key_share is None:
            yield "key_share", "none", "all keys come from that one: whoever gets it can read this connection"
    if hello.session_ticket_promised:
        yield "session_ticket", "promised", "a ticket follows, to come back with"


def encrypted_extensions(message: EncryptedExtensions) -> Iterable[Line]:
    """What becomes of early data, and how many tickets there will be."""
    if message.early_data:
        yield "early_data", "accepted", "what was sent with the hello goes to the application"
    if message.expected_tickets is not None:
        yield "ticket_request", count(message.expected_tickets, "ticket"), "how many will come"


def resumption(hello: ServerHello) -> str:
    """What a selected pre-shared key means for the rest, for the purpose of a ServerHello; "" without one."""
    if hello.selected_identity is None or hello.version != ProtocolVersion.TLS_1_3:
        return ""
    return (
        " It takes a key of before: the binder has shown that the client has it, and the server's Finished will show the "
        "same of the server. So no certificate follows, and no signature."
    )


class Told(NamedTuple):
    """What is to be told of a message in place of what it says by itself.

    ``purpose``    what it is for; "" for nothing else
    ``milestone``  what is different after it; None for nothing else, "" for nothing at all
    ``meanings``   of its fields, by their names
    """

    purpose: str = ""
    milestone: str | None = None
    meanings: Mapping[str, str] = MappingProxyType({})


class Resumed:
    """Tells the messages of a handshake that is resumed, as far as one message alone does not show that it is.

    In TLS 1.2 two messages do together: the server says the session ID that the client has said. Its Finished then comes
    first, and the client's is the last one (RFC 5246 section 7.3, RFC 5077 section 3.1).
    """

    def __init__(self) -> None:
        self._asked = b""
        self._resumed = self._by_key = False

    def told(self, seen: Seen) -> Told:
        """What a message is for, and what is different after it, where it is another thing than in a full handshake."""
        message = seen.message
        if isinstance(message, ClientHello):
            self._asked = message.legacy_session_id
        elif isinstance(message, ServerHello) and message.version == ProtocolVersion.TLS_1_2:
            self._resumed = bool(self._asked) and message.legacy_session_id_echo == self._asked
            if self._resumed:
                return Told(_RESUMED_12, meanings=_MEANINGS_12)
        elif isinstance(message, ServerHello) and not message.is_retry_request:
            self._by_key = message.selected_identity is not None
        elif type(message) is Finished and not seen.from_client and self._by_key:
            return Told(_FINISHED_13)
        elif isinstance(message, Finished12) and self._resumed:
            return Told(_LAST_12, _DONE) if seen.from_client else Told(_FIRST_12, "")
        return Told()


_FINISHED_13: Final = (
    "The proof of who the server is, in place of certificate and signature: without the key of before nobody can make this "
    "MAC. And the seal on it all: nobody changed anything on the way, not even in the hellos that were in the clear."
)
_RESUMED_12: Final = (
    "The server knows the session, and says so by its ID: no certificate, no key exchange. The session's main secret and "
    "the two randoms make the keys, so there is no forward secrecy of its own, and a round trip less."
)
_MEANINGS_12: Final = {
    "cipher_suite": "the session's: its kind of keys and of certificate are those of the handshake that it goes back to",
    "extended_main_secret": "the session's secret was made from a hash of its whole handshake: no other session has the same",
    "session_id": "what the client has said, said again: that is how the server takes up the session",
    "session_ticket": "a new ticket follows, in place of the one that the client has shown",
}
_FIRST_12: Final = (
    "The server proves first, since it has nothing to wait for: it has the session's secret, and nobody changed the hellos. "
    "Who has the secret is the server that the session was made with."
)
_LAST_12: Final = (
    "The client proves that it has the secret too. With that it may send data at once: one round trip in all."
)
_DONE: Final = "the handshake is complete; application data follows"


# --- the messages


def _ticket_purpose(_: NewSessionTicket, __: bool) -> str:
    return (
        "With this the client can come back without certificate and signature. In it, for the server alone, is what the "
        "server has to know then; the key that goes with it both sides have worked out, and it was not sent."
    )


def _ticket(message: NewSessionTicket) -> Iterable[Line]:
    lifetime = f"{message.ticket_lifetime} seconds" if message.ticket_lifetime else "0: throw it away"
    yield "ticket_lifetime", lifetime, "seven days at most"
    yield "ticket", f"{len(message.ticket)} bytes", "what the server needs to know it again, sealed for itself"
    if message.max_early_data_size is not None:
        yield (
            "early_data",
            f"up to {count(message.max_early_data_size, 'byte')}",
            "may come before the answer next time",
        )


def _ticket_summary(message: NewSessionTicket) -> str:
    early = ", with early data" if message.max_early_data_size else ""
    return f"a ticket for {count(message.ticket_lifetime, 'second')}{early}"


def _ticket12_purpose(message: NewSessionTicket12, _: bool) -> str:
    if not message.ticket:
        return "The server had promised a ticket, and has none to give."
    return (
        "With this the client can come back in one round trip less. It is sent in the clear, sealed for the server alone: "
        "who has the server's ticket key can read this connection."
    )


def _ticket12(message: NewSessionTicket12) -> Iterable[Line]:
    hint = f"{message.ticket_lifetime_hint} seconds" if message.ticket_lifetime_hint else "not said"
    yield "ticket_lifetime_hint", hint, ""
    yield "ticket", f"{len(message.ticket)} bytes", "the session, sealed for the server itself"


def _ticket12_summary(message: NewSessionTicket12) -> str:
    return f"a ticket for {count(message.ticket_lifetime_hint, 'second')}" if message.ticket else "no ticket after all"


def _end_purpose(_: EndOfEarlyData, __: bool) -> str:
    return "The end of the client's early data: what comes next has keys that are fresh."


def _end_summary(_: EndOfEarlyData) -> str:
    return "no more early data"


FIELDS: Final[dict[type, Callable[[Any], Iterable[Line]]]] = {NewSessionTicket: _ticket, NewSessionTicket12: _ticket12}
PURPOSES: Final[dict[type, Callable[[Any, bool], str]]] = {
    NewSessionTicket: _ticket_purpose,
    NewSessionTicket12: _ticket12_purpose,
    EndOfEarlyData: _end_purpose,
}
SUMMARIES: Final[dict[type, Callable[[Any], str]]] = {
    NewSessionTicket: _ticket_summary,
    NewSessionTicket12: _ticket12_summary,
    EndOfEarlyData: _end_summary,
}
